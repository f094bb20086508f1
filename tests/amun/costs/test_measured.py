"""What a sample takes, by the runs of earlier waves."""

import pytest

from amun.core.params import AttemptParams
from amun.costs.measured import NUM_RECENT, Measure, count_outcomes, measure_units
from amun.evidence.attempts import Summary
from tests.amun.costs.lines import HERE, cost, judge, make_past

OTHER = "another processor, 1 thread"


def test_nothing_is_measured_in_waves_of_earlier_versions() -> None:
    old = Summary.model_validate({"num_forget": 30, "stage_seconds": 12.0, "method": "amun"})
    measured = measure_units([make_past(*old.costs)])
    assert (old.costs, old.plan) == ((), None)
    assert measured == measure_units([])
    assert (measured.train, measured.tune, measured.search, measured.fixed) == (None, {}, None, None)


def test_the_base_and_exact_retraining_measure_one_thing() -> None:
    line = [
        make_past(cost("unlearn", 12.0, 100, epochs=60, method="retrain")),
        make_past(cost("train", 24.0, 100, epochs=60)),
    ]
    assert measure_units(line).train == Measure(pytest.approx(0.003), 2, HERE)  # type: ignore[arg-type]
    assert measure_units(line).tune == {}


def test_the_newest_runs_of_a_method_count() -> None:
    runs = [
        make_past(cost("unlearn", seconds, 10, epochs=2, method="amun"))
        for seconds in [20.0, 60.0, *[40.0] * (NUM_RECENT - 2), 9999.0, 9999.0, 9999.0, 9999.0, 9999.0]
    ]
    assert measure_units(runs).tune == {"amun": Measure(2.0, NUM_RECENT, HERE)}


def test_runs_on_another_machine_than_the_newest_count_for_nothing() -> None:
    line = [
        make_past(cost("audit", 5.0, 10)),
        make_past(cost("audit", 500.0, 10, machine=OTHER)),
        make_past(cost("audit", 7.0, 10)),
    ]
    assert measure_units(line).audit == Measure(pytest.approx(0.6), 2, HERE)  # type: ignore[arg-type]


def test_what_had_nothing_to_do_tells_nothing() -> None:
    assert measure_units([make_past(cost("adversarial", 0.3))]).search is None
    assert measure_units([make_past(cost("adversarial", 3.0, 60))]).search == Measure(0.05, 1, HERE)


@pytest.mark.parametrize(
    ("num_forget", "machine", "left"),
    [(30, HERE, 0.1), (19, HERE, 0.25), (30, OTHER, 0.25), (200, HERE, 0.0)],
    ids=["its search is left out", "it has searched nothing", "measured elsewhere", "never below zero"],
)
def test_a_report_is_measured_without_its_search(num_forget: int, machine: str, left: float) -> None:
    searched = make_past(cost("adversarial", 3.0, 60, machine=machine))
    reported = make_past(cost("report", 2.5, 10), num_forget=num_forget)
    report = measure_units([searched, reported]).report
    assert report is not None
    assert report.seconds == pytest.approx(left)


def test_what_takes_no_computing_is_measured_by_whole_nights_alone() -> None:
    stages = [cost(stage, 1.0) for stage in ("power", "adversarial", "unlearn", "audit", "report")]
    whole = make_past(*stages, seconds=35.0, decisions=(judge("amun", True),))
    resumed = make_past(*stages[2:], seconds=9000.0, decisions=(judge("amun", True),))
    twice = make_past(*stages, seconds=9000.0, decisions=(judge("amun", False), judge("amun", True)))
    base = make_past(cost("train", 1.0), *stages, seconds=9000.0, decisions=(judge("amun", True),))
    gone_on_with = make_past(*stages, seconds=9000.0, decisions=(judge("amun", True),), was_resumed=True)
    assert measure_units([gone_on_with, resumed, twice, base, whole]).fixed == Measure(30.0, 1, HERE)


def test_outcomes_are_those_of_the_very_attempt_on_people() -> None:
    attempt = AttemptParams.model_validate({"method": "never_seen", "learning_rate": 0.05, "forget_weight": 2})
    same = {"learning_rate": 0.05, "forget_weight": 2}
    line = [
        make_past(decisions=(judge("never_seen", True, **same),)),
        make_past(decisions=(judge("never_seen", False, **same), judge("retrain", True))),
        make_past(decisions=(judge("never_seen", False, learning_rate=0.1, forget_weight=2),)),
        make_past(decisions=(judge("never_seen", True, **same),), num_forget=0),  # the base was copied
    ]
    assert count_outcomes(line, attempt) == (2, 1)
