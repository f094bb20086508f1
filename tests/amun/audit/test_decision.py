"""Which attempts a wave makes, and what the gate says of each."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from amun.audit.decision import decide, explain_traceless, plan_attempts
from amun.params import AttemptParams
from tests.amun.shipped import PARAMS

NOW = datetime(2026, 3, 1, tzinfo=UTC)
UNLEARNING = PARAMS.unlearning.model_copy(
    update={
        "attempts": (
            AttemptParams(method="amun", learning_rate=0.1),
            AttemptParams(method="amun_a", learning_rate=0.1),
            AttemptParams(method="retrain"),
        )
    }
)
GATE = PARAMS.gate.model_copy(
    update={
        "max_accuracy_drop": 0.02,
        "auc_margin": 0.1,
        "max_trace": None,
        "insufficient": "retrain",
        "wait_days": 7,
    }
)


def plan(
    num_forget: int,
    insufficient: str,
    days_left: int | None = 30,
    num_references: int = 16,
    max_trace: float | None = None,
) -> tuple[int, ...]:
    return plan_attempts(
        UNLEARNING,
        GATE.model_copy(update={"insufficient": insufficient, "max_trace": max_trace}),
        num_forget=num_forget,
        num_non_members=450,
        num_references=num_references,
        next_due=None if days_left is None else NOW + timedelta(days=days_left),
        now=NOW,
    ).attempts


@pytest.mark.parametrize("insufficient", ["retrain", "wait", "pass_with_warning"])
def test_enough_samples_try_every_attempt(insufficient: str) -> None:
    assert plan(150, insufficient) == (1, 2, 3)


@pytest.mark.parametrize(
    ("insufficient", "days_left", "expected"),
    [
        ("retrain", 30, (3,)),
        ("wait", 30, ()),
        ("wait", 8, ()),
        ("wait", 7, (3,)),
        ("wait", -1, (3,)),
        ("pass_with_warning", 30, (1, 2, 3)),
    ],
)
def test_too_few_samples(insufficient: str, days_left: int, expected: tuple[int, ...]) -> None:
    assert plan(12, insufficient, days_left) == expected


def test_nothing_to_forget_makes_one_attempt() -> None:
    assert plan(0, "wait", None) == (1,)


def judge(
    *, is_exact: bool = False, yardstick: float | None = 0.95, max_trace: float | None = None, **changes: Any
) -> Any:
    unlearned = {"attempt": 1, "method": "amun", "is_exact": is_exact}
    audited = {
        "num_forget": 150,
        "num_calibration": 450,
        "num_references": 16,
        "accuracy": 0.95,
        "ft_auc": 0.5,
        "trace": 0.95,
    }
    return decide(unlearned, audited | changes, yardstick, GATE.model_copy(update={"max_trace": max_trace}))


def test_forgotten_and_accurate_passes() -> None:
    assert judge().passed
    assert judge(accuracy=0.93).passed


def test_accuracy_is_measured_against_the_yardstick() -> None:
    refused = judge(accuracy=0.925)
    assert not refused.passed
    assert "0.9500" in refused.reason


@pytest.mark.parametrize("auc", [0.6, 0.4])
def test_a_leak_on_either_side_is_refused(auc: float) -> None:
    assert not judge(ft_auc=auc).passed


@pytest.mark.parametrize(("trace", "passes"), [(0.5, True), (0.6, True), (0.4, True), (0.61, False), (0.39, False)])
def test_a_trace_on_either_side_is_refused_where_there_is_a_bound(trace: float, passes: bool) -> None:
    judged = judge(trace=trace, max_trace=0.6)
    assert judged.passed == passes
    assert f"max(trace {trace:.3f}, 1 - trace)" in judged.reason
    assert judge(trace=trace).passed
    assert judge(trace=trace, max_trace=0.6, is_exact=True).passed


@pytest.mark.parametrize("insufficient", ["retrain", "pass_with_warning"])
def test_a_trace_of_too_few_passes_only_where_asked_and_hides_no_leak(insufficient: str) -> None:
    audited = {"num_forget": 150, "num_calibration": 450, "num_references": 16, "accuracy": 0.95}
    gate = GATE.model_copy(update={"insufficient": insufficient, "max_trace": 0.6})
    passes = insufficient == "pass_with_warning"
    untraced = decide({"is_exact": False}, audited | {"ft_auc": 0.5, "trace": None}, 0.95, gate)
    assert (untraced.passed, "gate.max_trace" in untraced.warning) == (passes, True)
    assert not decide({"is_exact": False}, audited | {"ft_auc": 0.7, "trace": None}, 0.95, gate).passed
    unreferenced = audited | {"num_references": 0, "ft_auc": None, "trace": 0.7}
    assert not decide({"is_exact": False}, unreferenced, 0.95, gate).passed


@pytest.mark.parametrize("num_calibration", [450, 15])
def test_a_night_that_will_show_no_trace_is_insufficient_where_one_is_asked_for(num_calibration: int) -> None:
    assert bool(explain_traceless(150, num_calibration, GATE)) is False
    assert bool(explain_traceless(150, num_calibration, GATE.model_copy(update={"max_trace": 0.6}))) is (
        num_calibration < 20
    )


@pytest.mark.parametrize(("auc", "passes"), [(0.5, True), (0.6, True), (0.75, False), (0.25, False)])
def test_too_few_samples_to_pass_may_be_enough_to_refuse(auc: float, passes: bool) -> None:
    audited = {"num_forget": 40, "num_calibration": 450, "num_references": 16, "accuracy": 0.95, "ft_auc": auc}
    gate = GATE.model_copy(update={"insufficient": "pass_with_warning"})
    decision = decide({"is_exact": False}, audited, 0.95, gate)
    assert decision.passed is passes
    assert bool(decision.warning) is passes


@pytest.mark.parametrize("insufficient", ["retrain", "pass_with_warning"])
def test_too_few_to_show_it_pass_only_where_asked(insufficient: str) -> None:
    unlearned = {"attempt": 1, "method": "amun", "is_exact": False}
    audited = {"num_forget": 5, "num_calibration": 450, "num_references": 16, "accuracy": 0.95, "ft_auc": None}
    decision = decide(unlearned, audited, 0.95, GATE.model_copy(update={"insufficient": insufficient}))
    assert decision.passed == (insufficient == "pass_with_warning")
    assert "too few" in decision.warning


@pytest.mark.parametrize("insufficient", ["retrain", "pass_with_warning"])
def test_without_references_nothing_is_shown_however_many_samples(insufficient: str) -> None:
    passes = insufficient == "pass_with_warning"
    assert plan(150, insufficient, num_references=0) == ((1, 2, 3) if passes else (3,))
    audited = {"num_forget": 150, "num_calibration": 450, "num_references": 0, "accuracy": 0.95}
    gate = GATE.model_copy(update={"insufficient": insufficient})
    decision = decide({"is_exact": False}, audited | {"ft_auc": None}, 0.95, gate)
    assert decision.passed == passes
    assert "without audit references" in decision.reason == decision.warning
    assert not decide({"is_exact": False}, audited | {"accuracy": 0.9}, 0.95, gate).passed


def test_exact_retraining_is_exempt_and_a_drop_is_told() -> None:
    assert judge(is_exact=True, ft_auc=0.7).passed
    dropped = judge(is_exact=True, accuracy=0.8)
    assert dropped.passed
    assert "new yardstick" in dropped.warning


def test_nothing_to_forget_passes() -> None:
    assert judge(num_forget=0, ft_auc=None, accuracy=0.1).passed
