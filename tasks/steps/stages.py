"""A task that reproduces one DVC stage: the nightly job runs exactly what a person runs by hand."""

from functools import partial

from prefect import task

from amun.core.paths import ADOPTED_WEIGHTS
from amun.core.stage_result import StageResult
from amun.ledger import Claim
from tasks.tools import dvc
from tasks.tools.dvc import StageRun
from tasks.tools.options import TASK_OPTIONS
from tasks.tools.sound import make_sound
from tasks.tools.stage_progress import follow_progress
from tasks.tools.story import tell
from tasks.workspace.workspace import Workspace, require_lease

# stages that train or differentiate, on the accelerator where there is one
GPU_STAGES = ("train", "references", "power", "adversarial", "unlearn", "audit", "report")


@task(**TASK_OPTIONS | {"task_run_name": "{title}"})
def _reproduce(workspace: Workspace, claim: Claim, stage: str, title: str, force: bool) -> StageResult:
    require_lease(claim)
    # before it reads them: DVC would compute on what is damaged, and record that; weights that a base was adopted from
    # are under DVC by themselves
    for line in make_sound(workspace.root, [*dvc.list_inputs(workspace.root, stage), str(ADOPTED_WEIGHTS)]):
        tell(f"  {line}")
    follow = partial(follow_progress, title=title)
    return dvc.reproduce(workspace.root, stage, force=force, follow=follow)


def reproduce_stage(
    workspace: Workspace, claim: Claim, stage: str, *, attempt: int | None = None, force: bool = False
) -> StageRun:
    """Runs the task for one stage, up to date or not if forced; those for the accelerator carry the tag `gpu`."""
    tags = {"gpu"} if stage in GPU_STAGES else set()
    title = stage if attempt is None else f"{stage} attempt {attempt}"
    result = _reproduce.with_options(name=stage, tags=tags)(workspace, claim, stage, title, force)
    return StageRun(stage, result, attempt)
