"""What is kept of the gate's decisions."""

from pathlib import Path

from amun.evidence.attempts import Judged, read_decisions, write_decisions
from tasks.steps.gate import overrule_attempt
from tasks.workspace.workspace import Workspace
from tests.amun.shipped import PARAMS


def test_an_overruled_attempt_is_refused_and_the_others_stay(tmp_path: Path) -> None:
    made = tuple(
        Judged(attempt=number, method="amun", parameters={"learning_rate": 0.1}, passed=passed, reason="said")
        for number, passed in ((1, False), (2, True))
    )
    write_decisions(tmp_path, made)
    overrule_attempt.fn(Workspace(tmp_path, PARAMS), 2, "the test half refutes it")
    first, second = read_decisions(tmp_path)
    assert first == made[0]
    refused = {"passed": False, "reason": "the test half refutes it", "overruled": True}
    assert second == made[1].model_copy(update=refused)
