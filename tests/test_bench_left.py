"""The bench of what is left to train on: its rows are of what was said of each night, and add up by night."""

import pytest

from amun.audit.decision import Decision
from amun.selftest.nights import Judgement
from bench.left import add_up, describe_nights, print_left
from bench.wave import load_demo_params
from tests.amun.audit.test_decision import SUFFICIENT

PASSED, TRACED = Decision(True, ""), Decision(False, "max(trace 0.7, 1 - trace) = 0.7, more than 0.6")
FORGOTTEN_NOT = Decision(False, "memory left 0.3 [-0.9, 0.8], not within 0.5 of 0")


def judge(decision: Decision, power: float, *, is_contradicted: bool = False) -> Judgement:
    """Returns what was said of a night that passes so often, and of its model."""
    return Judgement(SUFFICIENT.model_copy(update={"power": power}), decision, decision, is_contradicted)


def test_nights_are_counted_and_added_up_by_size(capsys: pytest.CaptureFixture[str]) -> None:
    first = describe_nights(50, [judge(PASSED, 0.9), judge(TRACED, 0.8), judge(FORGOTTEN_NOT, 0.7), judge(PASSED, 0.6)])
    assert (first.num_nights, first.num_sufficient, first.num_sufficient_passed) == (4, 2, 1)
    assert (first.said, first.unrefused, first.alarmed) == pytest.approx((0.75, 0.5, 0.25))
    assert first.grounds == {"trace": 1, "memory left": 1}
    second = describe_nights(50, [judge(PASSED, 0.85, is_contradicted=True)])
    other = describe_nights(75, [judge(PASSED, 0.95)])
    both, alone = add_up([first, other, second])
    assert alone == other
    assert (both.num_nights, both.num_sufficient, both.num_sufficient_passed) == (5, 3, 1)
    assert (both.said, both.unrefused, both.alarmed) == pytest.approx((0.77, 0.4, 0.2))
    assert both.grounds == {"trace": 1, "memory left": 1, "test half": 1}
    print_left([both, alone])
    assert capsys.readouterr().out.count("\n") == 3


def test_the_demo_has_noisy_digits_of_many_people() -> None:
    params = load_demo_params()
    assert params.data.options == {"noise": 0.3}
    assert params.data.subject_max_samples == 5
    assert [attempt.method for attempt in params.unlearning.attempts] == ["amun", "never_seen", "retrain"]
