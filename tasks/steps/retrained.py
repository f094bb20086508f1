"""Step *retrain beside the base*: what exact retraining itself shows who holds the base, before anybody has asked."""

from prefect import task

from amun.audit.retrained import bound_trace, bound_trace_by_person, bound_weights
from amun.core.counts import tell_count
from amun.core.params import MIN_RETRAINED
from amun.evidence.wave import RetrainedFigures, parse_record
from amun.ledger import Claim
from tasks.tools.options import TASK_OPTIONS
from tasks.tools.story import tell
from tasks.workspace.stage_program import run_program
from tasks.workspace.workspace import Workspace, require_lease


@task(name="retrain beside the base", tags={"gpu"}, **TASK_OPTIONS)
def retrain_beside_base(workspace: Workspace, claim: Claim) -> RetrainedFigures | None:
    """Returns what `references.num_retrained` models show that were retrained exactly beside the new base.

    None where nothing is ever retrained, or nothing is to be retrained for this.
    """
    require_lease(claim)
    if not workspace.params.references.num_retrained or workspace.params.data.remain == "none":
        return None
    printed = run_program(workspace.root, "retrained", "retraining beside the base", is_printed=False)
    figures = parse_record(RetrainedFigures, printed, "what the program has printed")
    for line in describe_retrained(figures):
        tell(f"  {line}")
    return figures


def describe_retrained(figures: RetrainedFigures) -> list[str]:
    """Returns in words what exact retraining leaves: of which models, without how many people, and the bounds."""
    if not figures.trace_by_person and not figures.weights_by_person:
        return ["too few people to see what trace exact retraining leaves: gate.max_trace alone bounds it"]
    without, people = tell_count(figures.num_people, "person", "people"), (figures.num_people, figures.num_strangers)
    lines = []
    for name, aucs, bound in (
        ("trace by image", figures.trace, bound_trace(figures, people)),
        ("trace by person", figures.trace_by_person, bound_trace_by_person(figures, people)),
        ("weights by person", figures.weights_by_person, bound_weights(figures, people)),
    ):
        told = ", ".join(f"{auc:.2f}" for auc in aucs)
        lines.append(f"{name} of exact retraining, each without {without}: {told}; {_describe_bound(bound)}")
    return lines


def _describe_bound(bound: float | None) -> str:
    if bound is None:
        return f"no bound: fewer than {MIN_RETRAINED} figures, gate.max_trace alone judges"
    if bound >= 1:
        return f"the bound, {bound:.2f} of as many people, refuses nothing: too few people, or models that scatter"
    return f"nights of as many people are refused above {bound:.2f}"
