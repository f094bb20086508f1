"""Step *retrain beside the base*: what trace exact retraining itself leaves, before anybody has asked."""

from prefect import task

from amun.audit.retrained import bound_trace
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
    tell(f"  {describe_retrained(figures)}")
    return figures


def describe_retrained(figures: RetrainedFigures) -> str:
    """Returns in words what exact retraining leaves: of which models, without how many people, and the bound."""
    traces = figures.trace_by_person
    if not traces:
        return "too few people to see what trace exact retraining leaves: gate.max_trace alone bounds it"
    told = ", ".join(f"{trace:.2f}" for trace in traces)
    without = tell_count(figures.num_people, "person", "people")
    return f"trace by person of exact retraining, each without {without}: {told}; {_describe_bound(figures)}"


def _describe_bound(figures: RetrainedFigures) -> str:
    bound = bound_trace(figures, (figures.num_people, figures.num_strangers))
    if bound is None:
        return f"no bound: fewer than {MIN_RETRAINED} figures, gate.max_trace alone judges"
    if bound >= 1:
        return f"the bound, {bound:.2f} of as many people, refuses nothing: too few people, or models that scatter"
    return f"nights of as many people are refused above {bound:.2f}"
