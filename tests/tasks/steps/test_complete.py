"""What is kept of the stages that a run has computed."""

from amun.core.stage_result import UP_TO_DATE, StageResult, Work
from amun.evidence.costs import StageCost
from tasks.steps.complete import describe_costs
from tasks.tools.dvc import StageRun
from tests.amun.shipped import PARAMS

HERE = "a processor, 1 thread"


def test_a_stage_that_was_up_to_date_has_taken_nothing() -> None:
    runs = [
        StageRun("power", StageResult(0, "", 0.5, machine=HERE)),
        StageRun("adversarial", UP_TO_DATE),
        StageRun("unlearn", StageResult(0, "", 12.3456, work=Work(898, 10), machine=HERE), attempt=1),
        StageRun("audit", StageResult(0, "", 1.0, work=Work(1329), machine=HERE), attempt=2),
    ]
    assert list(describe_costs(runs, PARAMS.unlearning)) == [
        StageCost(stage="power", seconds=0.5, machine=HERE),
        StageCost(stage="unlearn", seconds=12.346, num_samples=898, epochs=10, method="never_seen", machine=HERE),
        StageCost(stage="audit", seconds=1.0, num_samples=1329, method="retrain", machine=HERE),
    ]
