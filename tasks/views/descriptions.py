"""What the pages say of a wave, in plain words and Markdown: what was forgotten, how it was judged, what it means."""

from amun.core.counts import tell_count
from amun.evidence.attempts import Judged, find_earlier
from amun.evidence.figures import Comparison
from tasks.tools.git import name_tag
from tasks.views.facts import WaveFacts
from tasks.views.values import TOO_FEW, show_auc, show_left, show_percent, tell_noticed

NO_REFERENCES = "no references to say"
COMPARISON_MARK = "\n\n**Exact retraining** "


def summarise(facts: WaveFacts) -> str:
    """Returns the wave in one line, without Markdown: lists show no more of a description."""
    wave, reported = facts.wave, facts.reported
    if wave.kind == "base":
        origin = "a new base" if facts.adopted is None else f"a base adopted from {facts.adopted.source}"
        return f"Wave {wave.number}: {origin}, accuracy {show_percent(reported.accuracy)}"
    if not wave.forget_ids:
        return f"Wave {wave.number} forgot {count_forgotten(facts)}: the model is unchanged"
    left = show_left(facts.reported)
    figures = f"memory left {left}, FT AUC {show_change(facts, 'ft_auc')}, accuracy {show_change(facts, 'accuracy')}"
    return f"Wave {wave.number} forgot {count_forgotten(facts)} by {facts.unlearned.method}: {figures}"


def describe_wave(facts: WaveFacts, commit: str) -> str:
    """Returns the wave in Markdown, for the page of its version and of its run."""
    origin = f"Git commit `{commit[:12]}`, tag `{name_tag(facts.wave.number)}`."
    if facts.wave.base_version is not None:
        origin = f"Made from version {facts.wave.base_version}. {origin}"
    parts = [
        f"{summarise(facts)}.",
        _explain(facts),
        _tell_noticed(facts),
        _tell_trace(facts),
        _tell_earlier(facts),
        _tell_attempts(facts),
        _tell_warning(facts),
        origin,
    ]
    return "\n\n".join(part for part in parts if part)


def describe_attempt(made: Judged, number: int) -> str:
    """Returns one attempt of a wave in Markdown."""
    return f"Wave {number}, {tell_attempt(made)}. Figures `calibration/...` are those that the gate judged."


def tell_attempt(made: Judged) -> str:
    """Returns what was tried and what the gate said of it, in one line."""
    outcome = "passed" if made.passed else "refused"
    warning = f" (warning: {made.warning})" if made.warning else ""
    settings = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in made.parameters.items())
    return f"attempt {made.attempt}, {made.method}{f' ({settings})' if settings else ''}: {outcome}: " + (
        f"{made.reason}{warning}"
    )


def describe_comparison(comparison: Comparison) -> str:
    """Returns the sentence that puts exact retraining beside a wave."""
    accuracy, ft_auc = show_percent(comparison.accuracy), show_auc(comparison.ft_auc)
    trace = f", trace {show_auc(comparison.trace)}" if comparison.trace is not None else ""
    if comparison.trace_by_person is not None:
        trace += f", by person {show_auc(comparison.trace_by_person)}"
    if comparison.weights_by_person is not None:
        trace += f", weights by person {show_auc(comparison.weights_by_person)}"
    memory = "" if comparison.memory_left is None else f"memory left {show_left(comparison)}, "
    return f"{COMPARISON_MARK}on what remained would have given {memory}FT AUC {ft_auc}, accuracy {accuracy}{trace}."


def count_forgotten(facts: WaveFacts) -> str:
    """Returns how many people, canaries among them, and training samples a wave forgot."""
    forgetting = facts.wave.forgetting
    canaries = f" and {tell_count(len(forgetting.canary_keys), 'canary', 'canaries')}" if forgetting.canary_keys else ""
    return (
        f"{tell_count(len(forgetting.subject_keys), 'person', 'people')}{canaries} "
        f"({tell_count(len(forgetting.forget_ids), 'training sample')})"
    )


def show_change(facts: WaveFacts, figure: str) -> str:
    """Returns a figure of the test half before and after the wave."""
    show = show_auc if figure == "ft_auc" else show_percent
    before, after = (getattr(facts.reported, name) for name in (f"{figure}_base", figure))
    if after is None:
        has_references = figure != "ft_auc" or facts.audited.num_references != 0
        return TOO_FEW if has_references else NO_REFERENCES
    error = f" ± {facts.reported.standard_error:.3f}" if figure == "ft_auc" else ""
    return f"{show(before)} → {show(after)}{error}"


def _explain(facts: WaveFacts) -> str:
    """Says what the wave's result means."""
    if facts.wave.kind == "base":
        return "Nobody is forgotten in it; the waves after it start from it."
    if not facts.wave.forget_ids:
        return (
            "None of their samples was trained on, so the model is the one before, byte for byte. Their held-out "
            "samples are used no more."
        )
    if facts.unlearned.is_exact:
        return "**What it means:** the model was trained anew without them, so it has never seen them."
    if facts.decisions[-1].warning:
        return (
            f"**What it means:** it is not shown by measurement that they are forgotten: "
            f"{facts.decisions[-1].warning}. `gate.insufficient` lets such a wave pass with this warning."
        )
    return (
        "**What it means:** of what the model before remembered of these people, taken together, less than "
        f"{facts.gate.max_memory_left:.0%} is left. The gate has shown it with 95 % confidence, by person, beside "
        "people never trained on; exact retraining leaves 0 on average. It is an average over them: it says nothing of "
        "a single person, and up to about that share of them may be remembered as before."
        f"{_tell_canaries(facts)}"
    )


def _tell_canaries(facts: WaveFacts) -> str:
    """Says what canaries show, and what not."""
    if not facts.wave.forgetting.canary_keys:
        return ""
    return (
        " *These people* are canaries, who had not asked: they show what the run leaves of people like those who did, "
        "not that it treated these alike; the alarm on those who asked alone looks at that."
    )


def _tell_noticed(facts: WaveFacts) -> str:
    """Says what the gate would have refused; of exact retraining nothing is to be noticed."""
    noticed = tell_noticed(facts.audited)
    return "" if facts.unlearned.is_exact or not noticed else f"**What memory left would have told:** {noticed}."


def _tell_trace(facts: WaveFacts) -> str:
    """Says what an attacker sees who holds the model from before as well."""
    trace, bound = facts.reported.trace, facts.gate.max_trace
    if trace is None:
        return ""
    by_person = ""
    if facts.reported.trace_by_person is not None:
        judged = tell_bound(facts.reported.max_trace_by_person)
        by_person = (
            f" From all samples of a person together it is {facts.reported.trace_by_person:.3f} ± "
            f"{facts.reported.trace_by_person_standard_error:.3f}; {judged}."
        )
    bounded = "`gate.max_trace` is null: the gate does not judge it" if bound is None else f"the gate allows {bound:g}"
    if bound is not None and facts.reported.max_trace is not None:
        bounded = tell_bound(facts.reported.max_trace)
    return (
        "**The trace:** whoever holds the model from before as well tells them from strangers with an AUC of "
        f"{trace:.3f} ± {facts.reported.trace_standard_error:.3f}; 0.5 is not at all, and less tells as much as "
        f"more ({bounded}).{by_person}{_tell_weights(facts)}"
    )


def _tell_weights(facts: WaveFacts) -> str:
    """Says what that attacker sees of a person's samples in the weights alone."""
    weights = facts.reported.weights_by_person
    if weights is None:
        return ""
    return (
        f" By the weights alone it is, likewise of people, {weights:.3f} ± "
        f"{facts.reported.weights_by_person_standard_error:.3f}; {tell_bound(facts.reported.max_weights_by_person)}."
    )


def tell_bound(most: float | None) -> str:
    """Says how the gate judges what is seen by person."""
    if most is None:
        return "the gate does not judge that"
    if most >= 1:
        return f"the gate refuses nothing by that: of so few people exact retraining may show anything ({most:.3f})"
    return f"the gate allows {most:.3f}, by what exact retraining was seen to leave"


def _tell_earlier(facts: WaveFacts) -> str:
    """Says what is left of people whom earlier waves have forgotten, where some were looked at."""
    earlier = find_earlier(facts.decisions)
    return "" if earlier is None else f"**Earlier waves, on this model:** {earlier.describe()}."


def _tell_attempts(facts: WaveFacts) -> str:
    if not facts.attempts:
        return ""
    gate = facts.gate
    bounds = (
        f"**The gate** asks for memory left within {gate.max_memory_left:g} of 0 with 95 % confidence, for an FT AUC "
        f"not shown to be further than {gate.auc_margin:g} from 0.5, and for an accuracy at most "
        f"{gate.max_accuracy_drop:g} below that of the last exactly trained version{_tell_bound_on_trace(facts)}, all "
        "beside people never trained on:"
    )
    return "\n".join([bounds, "", *(f"- {tell_attempt(made)}" for made in facts.attempts)])


def _tell_bound_on_trace(facts: WaveFacts) -> str:
    """Says what is asked of the trace by image; nothing where nothing is."""
    fixed, seen = facts.gate.max_trace, facts.audited.max_trace
    if fixed is None or (seen is not None and seen >= 1):
        return ""
    most = f"{fixed:g}" if seen is None else f"{seen:.3f}, as exact retraining was seen to leave"
    return f", and for max(trace, 1 - trace) of at most {most}"


def _tell_warning(facts: WaveFacts) -> str:
    return f"**Warning:** {facts.warning}." if facts.warning else ""
