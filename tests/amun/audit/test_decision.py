"""Which attempts a wave makes, and what the gate says of each."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from amun.audit.decision import (
    Decision,
    decide,
    explain_traceless,
    find_alarms,
    list_exact,
    plan_attempts,
)
from amun.audit.night import NightPower, share_alpha
from amun.core.params import AttemptParams
from amun.evidence.figures import AuditFigures, ReportFigures, UnlearnFigures
from tasks.workspace.deadlines import find_wait
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
        "max_memory_left": 0.5,
        "auc_margin": 0.1,
        "max_trace": None,
        "insufficient": "retrain",
        "wait_days": 7,
    }
)
SUFFICIENT = NightPower(
    num_people=90,
    num_samples=200,
    num_held_out_people=150,
    num_held_out_samples=330,
    num_references=16,
    base_memory=1.0,
    power=0.9,
)
SMALL = SUFFICIENT.model_copy(update={"num_people": 30, "power": 0.4})
TINY = SUFFICIENT.model_copy(update={"num_people": 2, "num_samples": 12, "base_memory": None, "power": None})
UNREFERENCED = TINY.model_copy(update={"num_people": 90, "num_references": 0})
FORGOTTEN: dict[str, Any] = {
    "num_forget": 150,
    "num_calibration": 450,
    "num_references": 16,
    "accuracy": 0.95,
    "memory_left": 0.05,
    "memory_left_lower": -0.3,
    "memory_left_upper": 0.4,
    "spread": 1.1,
    "max_spread": 2.5,
    "overlooked": -0.05,
    "max_overlooked": 0.0,
    "ft_auc": 0.5,
    "trace": 0.95,
}
UNMEASURED: dict[str, Any] = dict.fromkeys(
    (
        "memory_left",
        "memory_left_lower",
        "memory_left_upper",
        "spread",
        "max_spread",
        "overlooked",
        "max_overlooked",
        "ft_auc",
        "trace",
    )
)


def plan(
    night: NightPower,
    insufficient: str,
    days_left: int | None = 30,
    num_forget: int = 150,
    max_trace: float | None = None,
) -> tuple[int, ...]:
    gate = GATE.model_copy(update={"insufficient": insufficient, "max_trace": max_trace})
    last_night = None if days_left is None else NOW + timedelta(days=days_left)
    return plan_attempts(
        UNLEARNING,
        gate,
        num_forget=num_forget,
        num_non_members=450,
        insufficient=night.insufficient,
        waits_until=find_wait(gate, last_night, NOW) if night.gains_by_waiting else None,
    ).attempts


@pytest.mark.parametrize("insufficient", ["retrain", "wait", "pass_with_warning"])
def test_a_night_that_can_show_it_tries_every_attempt(insufficient: str) -> None:
    assert plan(SUFFICIENT, insufficient) == (1, 2, 3)


@pytest.mark.parametrize("night", [SMALL, TINY, UNREFERENCED])
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
def test_a_night_that_cannot_show_it(
    night: NightPower, insufficient: str, days_left: int, expected: tuple[int, ...]
) -> None:
    assert plan(night, insufficient, days_left) == expected


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ""),
        ({"power": 0.8}, ""),
        ({"power": 0.79}, "90 people, of whom the base remembers so much, cannot show"),
        ({"power": 0.79, "weakest": "people"}, "90 people, of whom the base remembers so much, cannot show"),
        ({"power": 0.79, "weakest": "images"}, "90 people leave so few images to retrain on that"),
        ({"power": 0.79, "weakest": "accuracy"}, "without 90 people so much accuracy may be lost that"),
        ({"power": None}, "the references tell nothing of these people"),
        ({"num_people": 11}, "11 people with 200 samples, beside 150 with 330 who were never trained on, are too few"),
        ({"num_samples": 19}, "90 people with 19 samples"),
        ({"num_held_out_people": 11}, "90 people with 200 samples, beside 11 with 330"),
        ({"num_references": 4}, "4 audit references (references.num_audit) are too few"),
        ({"num_references": 0}, "without audit references (references.num_audit) it cannot be shown"),
    ],
)
def test_why_a_night_cannot_show_it_is_told(changed: dict[str, Any], said: str) -> None:
    insufficient = SUFFICIENT.model_copy(update=changed).insufficient
    assert insufficient.startswith(said)
    assert bool(insufficient) is bool(said)


@pytest.mark.parametrize(("weakest", "expected"), [("people", ()), ("images", (3,)), ("accuracy", (3,))])
def test_a_night_waits_for_more_people_only_where_they_would_help(weakest: str, expected: tuple[int, ...]) -> None:
    assert plan(SMALL.model_copy(update={"weakest": weakest}), "wait") == expected


def test_the_nights_five_percent_are_shared_over_the_attempts_that_are_judged() -> None:
    assert share_alpha(UNLEARNING.attempts) == pytest.approx(0.025)
    assert share_alpha(UNLEARNING.attempts[1:]) == pytest.approx(0.05)
    assert share_alpha(UNLEARNING.attempts[2:]) == pytest.approx(0.05)


def test_nothing_to_forget_makes_one_attempt() -> None:
    assert plan(TINY, "wait", None, num_forget=0) == (1,)


def test_attempts_that_retrain_exactly_are_known_by_their_method() -> None:
    assert list_exact(UNLEARNING) == (3,)
    assert list_exact(UNLEARNING.model_copy(update={"attempts": UNLEARNING.attempts[:2]})) == ()


def judge(
    night: NightPower = SUFFICIENT,
    *,
    is_exact: bool = False,
    yardstick: float | None = 0.95,
    gate: dict[str, Any] | None = None,
    **changes: Any,
) -> Decision:
    unlearned = UnlearnFigures(attempt=1, method="amun", is_exact=is_exact)
    audited = AuditFigures.model_validate(FORGOTTEN | changes)
    return decide(unlearned, night, audited, yardstick, GATE.model_copy(update=gate or {}))


def test_forgotten_and_accurate_passes() -> None:
    assert judge().passed
    assert judge(accuracy=0.93).passed


def test_an_attempt_may_lose_what_exact_retraining_is_expected_to_lose() -> None:
    lossy = SUFFICIENT.model_copy(update={"expected_accuracy": 0.94})
    assert judge(lossy, accuracy=0.92).reason.startswith(
        "accuracy 0.9200 is 0.0300 below 0.9500, more than 0.02, but exact retraining on the images left is expected "
        "to have 0.94; memory left"
    ), "that this alone lets it pass is told"
    told = judge(lossy.model_copy(update={"power": 0.4}), gate={"insufficient": "pass_with_warning"}, accuracy=0.92)
    assert told.reason.endswith("expected to have 0.94; nothing that could be measured refuses it")
    assert "exact retraining" not in judge(lossy, accuracy=0.93).reason
    refused = judge(lossy, accuracy=0.919)
    assert refused.reason.startswith("accuracy 0.9190 is 0.0210 below 0.9400, more than 0.02")
    # what is expected of it does not help a model where the last exactly trained version was less accurate already
    gainful = SUFFICIENT.model_copy(update={"expected_accuracy": 0.96})
    assert judge(gainful, accuracy=0.93).passed
    # however much it is expected to lose, no more than the drop once more is forgiven
    lost = SUFFICIENT.model_copy(update={"expected_accuracy": 0.1})
    assert judge(lost, accuracy=0.91).passed
    assert not judge(lost, accuracy=0.909).passed
    assert not judge(gainful, accuracy=0.929).passed


def test_accuracy_is_measured_against_the_yardstick() -> None:
    refused = judge(accuracy=0.925)
    assert not refused.passed
    assert "0.9500" in refused.reason
    assert "memory left" not in refused.reason
    assert "memory left" in judge(accuracy=0.925, memory_left_upper=0.9).reason, "every refusal is told"


@pytest.mark.parametrize(
    ("lower", "upper", "passes"),
    [(-0.5, 0.5, True), (-0.2, 0.51, False), (-0.51, 0.2, False), (0.6, 0.9, False), (None, None, False)],
)
def test_memory_left_must_be_shown_to_be_within_the_margin_on_either_side(
    lower: float | None, upper: float | None, passes: bool
) -> None:
    judged = judge(memory_left_lower=lower, memory_left_upper=upper)
    assert judged.passed is passes
    assert "memory left" in judged.reason


@pytest.mark.parametrize(("spread", "passes"), [(0.3, True), (2.5, True), (2.6, False)])
def test_people_who_stand_out_on_both_sides_are_refused_though_their_mean_is_none(spread: float, passes: bool) -> None:
    assert judge(spread=spread, memory_left=0.0).passed is passes


@pytest.mark.parametrize(("overlooked", "passes"), [(-0.1, True), (0.0, True), (0.01, False)])
def test_a_few_people_who_look_remembered_are_refused_though_the_mean_is_none(overlooked: float, passes: bool) -> None:
    judged = judge(overlooked=overlooked, memory_left=0.0)
    assert judged.passed is passes
    assert f"overlooked people {overlooked:.3f}" in judged.reason


@pytest.mark.parametrize(("auc", "passes"), [(0.6, True), (0.64, True), (0.7, False), (0.3, False), (None, True)])
def test_an_auc_by_image_can_only_refuse(auc: float | None, passes: bool) -> None:
    assert judge(ft_auc=auc).passed is passes
    assert not judge(ft_auc=0.5, memory_left_upper=0.6).passed


def test_a_trace_is_refused_only_where_it_is_shown() -> None:
    gate = {"max_trace": 0.6}
    assert judge(gate=gate, trace=0.65, trace_standard_error=0.031).passed
    assert not judge(gate=gate, trace=0.65, trace_standard_error=0.03).passed
    unlearned = UnlearnFigures(attempt=1, method="amun", is_exact=False)
    alarms = [
        find_alarms(unlearned, ReportFigures(trace=0.65, trace_standard_error=error), GATE.model_copy(update=gate))
        for error in (0.031, 0.03)
    ]
    assert [bool(alarm) for alarm in alarms] == [False, True]


@pytest.mark.parametrize(("trace", "passes"), [(0.5, True), (0.6, True), (0.4, True), (0.61, False), (0.39, False)])
def test_a_trace_on_either_side_is_refused_where_there_is_a_bound(trace: float, passes: bool) -> None:
    judged = judge(trace=trace, gate={"max_trace": 0.6})
    assert judged.passed == passes
    assert f"max(trace {trace:.3f}, 1 - trace)" in judged.reason
    assert judge(trace=trace).passed
    assert judge(trace=trace, gate={"max_trace": 0.6}, is_exact=True).passed


@pytest.mark.parametrize(("trace", "passes"), [(0.7, True), (0.3, True), (0.71, False), (0.29, False)])
def test_models_that_were_retrained_bound_the_trace_in_place_of_the_fixed_number(trace: float, passes: bool) -> None:
    gate, error = {"max_trace": 0.6}, 0.05
    judged = judge(trace=trace, max_trace=0.7, trace_standard_error=error, gate=gate)
    assert judged.passed is passes
    assert f"max(trace {trace:.3f}, 1 - trace), {'at most' if passes else 'more than'} 0.700" in judged.reason
    assert judge(trace=trace, max_trace=0.7, gate={"max_trace": None}).passed, "it is not to be judged"
    assert not judge(trace=None, max_trace=0.7, gate=gate).passed


@pytest.mark.parametrize(
    ("trace", "most", "passes"),
    [(0.8, 0.8, True), (0.2, 0.8, True), (0.81, 0.8, False), (0.19, 0.8, False), (0.99, None, True), (None, 0.8, True)],
)
@pytest.mark.parametrize("night", [SUFFICIENT, SMALL])
@pytest.mark.parametrize("name", ["trace", "weights"])
def test_what_is_seen_by_person_is_refused_beyond_what_exact_retraining_leaves(
    trace: float | None, most: float | None, passes: bool, night: NightPower, name: str
) -> None:
    gate = {"insufficient": "pass_with_warning"}
    seen: dict[str, Any] = {f"{name}_by_person": trace, f"max_{name}_by_person": most}
    judged = judge(night, gate=gate, **seen)
    assert judged.passed is passes
    assert passes or f"max({name} by person {trace:.3f}, 1 - {name}), more than 0.800" in judged.reason
    assert judge(night, gate=gate, is_exact=True, **seen).passed


def test_a_bound_of_one_and_more_is_told_to_refuse_nothing() -> None:
    judged = judge(trace_by_person=1.0, max_trace_by_person=1.0)
    assert judged.passed
    assert "at most 1.000 (which refuses nothing)" in judged.reason


@pytest.mark.parametrize("insufficient", ["retrain", "pass_with_warning"])
def test_a_missing_trace_passes_only_where_asked_and_hides_no_leak(insufficient: str) -> None:
    gate = {"insufficient": insufficient, "max_trace": 0.6}
    untraced = judge(gate=gate, trace=None)
    passes = insufficient == "pass_with_warning"
    assert (untraced.passed, "gate.max_trace" in untraced.warning) == (passes, passes)
    assert "gate.max_trace" in (untraced.warning if passes else untraced.reason)
    assert not judge(gate=gate, trace=None, memory_left_upper=0.7).passed
    assert not judge(UNREFERENCED, gate=gate, **UNMEASURED | {"trace": 0.7}).passed


@pytest.mark.parametrize("num_calibration", [450, 15])
def test_a_night_that_will_show_no_trace_is_insufficient_where_one_is_asked_for(num_calibration: int) -> None:
    assert not explain_traceless(150, num_calibration, GATE)
    bounded = GATE.model_copy(update={"max_trace": 0.6})
    assert bool(explain_traceless(150, num_calibration, bounded)) is (num_calibration < 20)
    assert plan(SUFFICIENT, "retrain", num_forget=15, max_trace=0.6) == (3,)


@pytest.mark.parametrize(
    ("lower", "upper", "passes"), [(-0.9, 0.9, True), (0.4, 1.4, True), (0.6, 1.4, False), (-1.4, -0.6, False)]
)
def test_too_few_people_to_pass_may_be_enough_to_refuse(lower: float, upper: float, passes: bool) -> None:
    decision = judge(
        SMALL, gate={"insufficient": "pass_with_warning"}, memory_left_lower=lower, memory_left_upper=upper
    )
    assert decision.passed is passes
    assert bool(decision.warning) is passes


def test_what_refutes_in_a_small_night_is_not_widened_for_the_images_left() -> None:
    gate = {"insufficient": "pass_with_warning"}
    wide: dict[str, Any] = {"memory_left": 0.9, "memory_left_lower": 0.4, "memory_left_upper": 1.4}
    refuted = judge(SMALL, gate=gate, **wide, refuting_lower=0.6, refuting_upper=1.2)
    assert not refuted.passed
    assert "memory left 0.90 [0.60, 1.20], not within 0.5 of 0" in refuted.reason
    assert judge(SMALL, gate=gate, **wide, refuting_lower=0.5, refuting_upper=1.3).passed
    # what passes is judged by the wider bounds
    assert not judge(memory_left_upper=0.6, refuting_lower=-0.1, refuting_upper=0.3).passed


@pytest.mark.parametrize("night", [SMALL, TINY, UNREFERENCED])
@pytest.mark.parametrize("insufficient", ["retrain", "pass_with_warning"])
def test_too_few_to_show_it_pass_only_where_asked(night: NightPower, insufficient: str) -> None:
    decision = judge(night, gate={"insufficient": insufficient}, **UNMEASURED)
    assert decision.passed == (insufficient == "pass_with_warning")
    # it is told once
    assert (decision.reason, decision.warning).count(night.insufficient) == 1
    assert bool(decision.warning) is decision.passed
    assert night.insufficient in judge(night, is_exact=True, **UNMEASURED).reason
    assert not judge(night, gate={"insufficient": insufficient}, **UNMEASURED | {"accuracy": 0.9}).passed


def test_exact_retraining_is_exempt_and_a_drop_is_told() -> None:
    assert judge(is_exact=True, ft_auc=0.7, memory_left_upper=0.9).passed
    dropped = judge(is_exact=True, accuracy=0.8)
    assert dropped.passed
    assert "new yardstick" in dropped.warning


def test_nothing_to_forget_passes() -> None:
    assert judge(TINY, num_forget=0, accuracy=0.1, **UNMEASURED).passed


@pytest.mark.parametrize("night", [SUFFICIENT, SMALL])
def test_those_who_asked_are_refused_where_they_look_more_remembered_than_canaries(night: NightPower) -> None:
    beside = night.model_copy(update={"num_canaries": 90, "power_asked": 0.42})
    refused = judge(beside, is_apart=True)
    assert not refused.passed
    assert "those who asked look more remembered than canaries" in refused.reason
    told = judge(beside, is_apart=False)
    assert told.passed == (night is SUFFICIENT)
    assert ("that none of them was forgotten it would see in 42% of such nights" in told.reason) == told.passed
    assert "it would see" not in judge(SUFFICIENT).reason
    assert judge(beside, is_apart=True, is_exact=True).passed


def test_the_test_half_tells_that_they_do() -> None:
    unlearned = UnlearnFigures(attempt=1, method="amun", is_exact=False)
    alarms = [find_alarms(unlearned, ReportFigures(is_apart=is_apart), GATE) for is_apart in (True, False, None)]
    assert [bool(alarm) for alarm in alarms] == [True, False, False]
    assert "those who asked look more remembered than canaries" in alarms[0]
