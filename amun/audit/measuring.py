"""What `audit` and `report` share: base and unlearned model, audited on one held-out half."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch

from amun.audit.decision import count_references
from amun.audit.evaluation import AuditSets, ModelAudit, audit_model, choose_audit_sets
from amun.audit.memory import Memory
from amun.audit.night import MIN_POWER, NightPower, share_alpha
from amun.audit.roc import auc_standard_error
from amun.audit.sizes import read_sizes
from amun.audit.tonight import LogitsPair, Tonight
from amun.core.params import Params
from amun.core.paths import AUDIT_INCLUSION, AUDIT_LOGITS, TRAIN, UNLEARNED, WAVE_BASE
from amun.evidence.figures import AuditFigures, ModelFigures
from amun.evidence.wave import Wave, read_wave
from amun.model.building import load_for
from amun.store.drawing import find_strangers
from amun.store.opening import SampleOpener
from amun.store.samples import LabelledSamples, Samples, read_samples
from amun.store.store import read_owners, read_shape

AnyFigures = TypeVar("AnyFigures", bound=ModelFigures)


@dataclass(frozen=True)
class WaveAudit:
    """The wave's two models on one held-out half. Of its people canaries alone are in it, where there are any.

    Attributes:
        sets: what the unlearned model was audited on, as it is after the wave.
        sets_before: what the base was audited on, as it was before the wave.
        before: the base.
        after: the unlearned model.
        memory: how much of the base's memory of the wave's people is left; None where it cannot be measured.
        num_references: how many models the membership attack compares with.
        not_measured: which figures are missing whatever the wave, and why; None where none is.
    """

    sets: AuditSets
    sets_before: AuditSets
    before: ModelAudit
    after: ModelAudit
    memory: Memory | None
    num_references: int
    not_measured: str | None

    def compute_standard_error(self) -> float | None:
        """Returns the standard error of the FT AUC; None where there are no samples to compare."""
        if not self.sets.num_forget or not len(self.sets.held_out):
            return None
        return auc_standard_error(self.sets.num_forget, len(self.sets.held_out))


def audit_half(params: Params, device: torch.device, half: Path) -> WaveAudit:
    """Returns the audit of the current folder's wave on the held-out half stored at `half`.

    Where the remaining training samples are not at hand, of the training split only what is to be forgotten is read.
    Of people who were gone before nothing is: their keys may be destroyed.
    """
    wave, shape, num_references = read_wave(), read_shape(TRAIN), count_references(read_shape(AUDIT_LOGITS))
    is_at_hand = params.data.remain == "use"
    gone = wave.earlier_gone_ids
    opener = SampleOpener(params.runtime, device)
    train = opener.open(TRAIN, sample_ids=None if is_at_hand else wave.forget_ids, without=gone)
    held_out, references = opener.open(half, without=gone), read_samples(AUDIT_LOGITS, without=gone)
    sets = choose_audit_sets(wave, train, held_out, references)
    sets_before = choose_audit_sets(wave, train, held_out, references, is_before=True)
    before = audit_model(load_for(params, shape, device, WAVE_BASE), sets_before, params.audit)
    after = audit_model(load_for(params, shape, device, UNLEARNED), sets, params.audit)
    # the base is asked of who is left after the wave, as the unlearned model is
    is_left = torch.from_numpy(sets_before.held_out.is_among(sets.held_out.sample_ids.tolist()))
    of_base = before.forget_logits, before.held_out_logits[is_left]
    of_unlearned = after.forget_logits, after.held_out_logits
    shown_before, shown = keep_shown(wave, sets_before, before), keep_shown(wave, sets, after)
    return WaveAudit(
        sets=shown[0],
        sets_before=shown_before[0],
        before=shown_before[1],
        after=shown[1],
        memory=measure_wave_memory(sets, references, of_base, of_unlearned, params, wave),
        num_references=num_references,
        not_measured=_explain_missing(is_at_hand, num_references),
    )


def select_strangers(held_out: LabelledSamples) -> LabelledSamples:
    """Returns the held-out samples of people of whom none was trained on in the current folder."""
    return held_out.select(find_strangers(held_out, read_owners(TRAIN)))


def add_memory(figures: AnyFigures, memory: Memory | None, params: Params, *, is_refuting: bool = False) -> AnyFigures:
    """Returns figures with memory left and its bounds; None where they cannot be had.

    Args:
        figures: without them.
        memory: what was measured.
        params: the attempts.
        is_refuting: the bounds only refute what the gate has let pass. Then they are not widened for the images left.
    """
    alpha = share_alpha(params.unlearning.attempts)
    bounds = None if memory is None else (memory.as_measured if is_refuting else memory).bound(alpha)
    lower, upper = bounds or (None, None)
    measured = {
        "memory_left": None if memory is None or memory.base_total <= 0 else memory.left,
        "memory_left_lower": lower,
        "memory_left_upper": upper,
        "spread": None if memory is None else memory.spread,
        "max_spread": None if memory is None else memory.null.max_spread,
        "overlooked": None if memory is None else memory.overlooked,
        "max_overlooked": None if memory is None else memory.null.max_overlooked,
        "num_standing_out": None if memory is None else memory.num_standing_out,
        "is_apart": None if memory is None else memory.is_apart,
    }
    return figures.model_copy(update=measured)


def fit_to_night(figures: AnyFigures, memory: Memory | None, night: NightPower, params: Params) -> AnyFigures:
    """Returns figures with what memory left would have noticed; in a night that cannot show anything, without it.

    Whether it can is foreseen of all of the gate, not of memory left alone. Where it cannot, spread can only refuse: it
    is told beside the references as they are, not widened for the images left. Of canaries it would say nothing of
    those who asked: `power_asked` of the night does.
    """
    if memory is None:
        return figures
    if night.insufficient:
        return figures.model_copy(update={"spread": memory.as_measured.spread})
    if memory.run is not None:
        return figures
    alpha, margin = share_alpha(params.unlearning.attempts), params.gate.max_memory_left
    return figures.model_copy(update={"noticed": memory.find_noticed(margin, alpha, MIN_POWER)})


def add_refuting(figures: AuditFigures, memory: Memory | None, params: Params) -> AuditFigures:
    """Returns the gate's figures with the bounds that refute in a night that cannot show anything.

    They rest on no guess of how exact retraining scatters with fewer images: to refute wrongly costs one retraining.
    """
    bounds = None if memory is None else memory.as_measured.bound(share_alpha(params.unlearning.attempts))
    if bounds is None or bounds == figures.bounds:
        return figures
    return figures.model_copy(update={"refuting_lower": bounds[0], "refuting_upper": bounds[1]})


def measure_wave_memory(
    sets: AuditSets,
    references: Samples,
    base: LogitsPair,
    unlearned: LogitsPair,
    params: Params,
    wave: Wave,
) -> Memory | None:
    """Returns how much of the base's memory of tonight's people a model has left.

    Args:
        sets: what both are asked of: tonight's forget samples and the held-out ones who are left after the wave.
        references: every sample's logits by the audit references; no samples where there are none.
        base: its logits (F, C) of the forget samples and (H, C) of the held-out ones.
        unlearned: likewise, of the model after.
        params: the signal of the attack.
        wave: whose forget samples they are.
    """
    is_telling = sets.forget.is_among(wave.telling_ids)
    forget = sets.forget.select(is_telling)
    is_stranger = find_strangers(sets.held_out, read_owners(TRAIN))
    held_out = sets.held_out.select(is_stranger)
    asked = [*forget.sample_ids.tolist(), *held_out.sample_ids.tolist()]
    inclusion = read_samples(AUDIT_INCLUSION, sample_ids=asked)
    before, after = ((of_forget[is_telling], of_held_out[is_stranger]) for of_forget, of_held_out in (base, unlearned))
    tonight = Tonight(forget, held_out, references, inclusion, params.audit)
    return tonight.measure(before, after, wave.forgetting.canary_ids, read_sizes(wave).growth)


def keep_shown(wave: Wave, sets: AuditSets, audited: ModelAudit) -> tuple[AuditSets, ModelAudit]:
    """Returns what figures are of: of the samples to forget canaries' alone, where there are any."""
    is_shown = sets.forget.is_among(wave.figure_ids)
    rows, references, scores = torch.from_numpy(is_shown), sets.forget_references, audited.scores
    kept = replace(
        sets,
        forget=sets.forget.select(is_shown),
        forget_references=None if references is None else references[rows],
    )
    shown = replace(
        audited,
        forget_logits=audited.forget_logits[rows],
        scores=None if scores is None else replace(scores, forget=scores.forget[rows]),
    )
    return kept, shown


def _explain_missing(is_at_hand: bool, num_references: int) -> str | None:
    reasons = [] if num_references else ["FT AUC: references.num_audit is 0"]
    if not is_at_hand:
        of_remain = "remain accuracy and confidence" + (", the SVC attack" if not num_references else "")
        reasons.append(f"{of_remain}: data.remain is none")
    return "; ".join(reasons) or None
