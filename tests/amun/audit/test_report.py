"""What the test half does to an attempt that the gate has let pass: it can refuse it, and never lets one pass."""

from typing import Any

import pytest

from amun.audit.decision import find_alarms, find_contradiction
from amun.evidence.figures import ReportFigures, UnlearnFigures
from tests.amun.shipped import PARAMS

GATE = PARAMS.gate.model_copy(update={"max_memory_left": 0.5, "auc_margin": 0.1, "max_trace": 0.62})
REPORTED = ReportFigures(
    num_forget=150,
    num_test=450,
    memory_left=0.1,
    memory_left_lower=-0.2,
    memory_left_upper=0.4,
    ft_auc=0.5,
    trace=0.5,
)
APPROXIMATE = UnlearnFigures(attempt=2, method="amun", is_exact=False)
EXACT = UnlearnFigures(attempt=2, method="retrain", is_exact=True)


@pytest.mark.parametrize(
    ("lower", "upper", "refutes"),
    [(-0.2, 0.4, False), (0.4, 1.2, False), (0.51, 1.2, True), (-1.2, -0.51, True), (None, None, False)],
)
def test_a_report_refutes_only_what_lies_wholly_outside(
    lower: float | None, upper: float | None, refutes: bool
) -> None:
    reported = REPORTED.model_copy(update={"memory_left_lower": lower, "memory_left_upper": upper})
    contradiction = find_contradiction(APPROXIMATE, reported, GATE)
    assert bool(contradiction) is refutes
    assert contradiction.startswith("on the test half memory left") is refutes
    assert not find_contradiction(EXACT, reported, GATE), "exact retraining is not judged"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"ft_auc": 0.7}, "FT AUC 0.700"),
        ({"trace": 0.7}, "trace"),
        ({"trace": 0.7, "max_trace": 0.7}, ""),
        ({"trace": 0.65, "max_trace": 0.64}, "max(trace 0.650, 1 - trace), more than 0.640"),
        ({"spread": 3.0, "max_spread": 2.5}, "spread by person 3.00, more than 2.50"),
        ({"spread": 2.5, "max_spread": 2.5}, ""),
        ({"overlooked": 0.2, "max_overlooked": 0.1}, "overlooked people 0.200, more than 0.100"),
        (
            {"trace_by_person": 0.9, "max_trace_by_person": 0.8},
            "max(trace by person 0.900, 1 - trace), more than 0.800",
        ),
        ({"trace_by_person": 0.8, "max_trace_by_person": 0.8}, ""),
        ({"trace_by_person": 0.9}, ""),
        (
            {"weights_by_person": 0.1, "max_weights_by_person": 0.8},
            "max(weights by person 0.100, 1 - weights), more than 0.800",
        ),
        ({"weights_by_person": 0.9}, ""),
    ],
)
def test_an_alarm_of_the_report_is_told(changes: dict[str, Any], words: str) -> None:
    alarms = find_alarms(APPROXIMATE, REPORTED.model_copy(update=changes), GATE)
    assert bool(alarms) is bool(words)
    assert words in alarms
    assert not find_alarms(EXACT, REPORTED.model_copy(update=changes), GATE), "exact retraining is not judged"
