"""What the test half does to an attempt that the gate has let pass: it can refuse it, and never lets one pass."""

from pathlib import Path
from typing import Any

import pytest

from amun.core.paths import DECISIONS, REPORT_METRICS, UNLEARN_METRICS
from amun.evidence.wave import write_json
from tasks.steps.gate import check_report, find_contradiction, overrule_attempt, read_decisions
from tasks.workspace.workspace import Workspace
from tests.amun.shipped import PARAMS

GATE = PARAMS.gate.model_copy(update={"max_memory_left": 0.5, "auc_margin": 0.1, "max_trace": 0.62})
REPORTED: dict[str, Any] = {
    "num_forget": 150,
    "num_test": 450,
    "memory_left": 0.1,
    "memory_left_lower": -0.2,
    "memory_left_upper": 0.4,
    "ft_auc": 0.5,
    "trace": 0.5,
}


def write_report(root: Path, *, is_exact: bool = False, **changes: Any) -> None:
    write_json(root / REPORT_METRICS, REPORTED | changes)
    write_json(root / UNLEARN_METRICS, {"attempt": 2, "method": "amun", "is_exact": is_exact})


@pytest.mark.parametrize(
    ("lower", "upper", "refutes"),
    [(-0.2, 0.4, False), (0.4, 1.2, False), (0.51, 1.2, True), (-1.2, -0.51, True), (None, None, False)],
)
def test_a_report_refutes_only_what_lies_wholly_outside(
    lower: float | None, upper: float | None, refutes: bool, tmp_path: Path
) -> None:
    write_report(tmp_path, memory_left_lower=lower, memory_left_upper=upper)
    contradiction = find_contradiction(tmp_path, GATE)
    assert bool(contradiction) is refutes
    assert contradiction.startswith("on the test half memory left") is refutes
    write_report(tmp_path, is_exact=True, memory_left_lower=lower, memory_left_upper=upper)
    assert not find_contradiction(tmp_path, GATE), "exact retraining is not judged"


@pytest.mark.parametrize(("changes", "words"), [({}, ""), ({"ft_auc": 0.7}, "FT AUC 0.700"), ({"trace": 0.7}, "trace")])
def test_an_alarm_of_the_report_is_told(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    write_report(tmp_path, **changes)
    assert bool(check_report(tmp_path, GATE)) is bool(words)
    assert words in check_report(tmp_path, GATE)


def test_an_overruled_attempt_is_refused_and_the_others_stay(tmp_path: Path) -> None:
    made = [
        {"attempt": number, "method": "amun", "passed": passed, "reason": "said", "warning": "", "calibration": {}}
        for number, passed in ((1, False), (2, True))
    ]
    write_json(tmp_path / DECISIONS, made)
    overrule_attempt.fn(Workspace(tmp_path, PARAMS), 2, "the test half refutes it")
    first, second = read_decisions(tmp_path)
    assert first == made[0]
    assert second == made[1] | {"passed": False, "reason": "the test half refutes it"}
