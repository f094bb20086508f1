"""What is said of a night before it comes, where much of it was measured and where nothing was."""

from dataclasses import replace

import pytest

from amun.costs.choosing import AttemptCost, Tonight
from amun.costs.measured import Measure, Measured
from flows.pages.plan_table import print_estimate
from flows.planning import NightEstimate, Sums

HERE = Measure(0.001, 3, "a processor, 1 thread")
SUMS = Sums(
    tonight=Tonight(898, 40, 431, 430, is_remain_at_hand=True),
    attempts=[
        AttemptCost(1, "never_seen", 12.4, 0.5, num_runs=3, num_made=4, num_passed=3, machines=(HERE.machine,)),
        AttemptCost(2, "retrain", 61.0, 0.5, num_runs=2, num_made=0, num_passed=0, machines=(HERE.machine,)),
    ],
    shared={"power": 0.2, "search": 2.0, "report": 0.4, "fixed": 45.0},
    # 47.6 s, 12.9 s, and in a third of the nights 61.5 s more; 47.6 s and 61.5 s
    tonight_seconds=81.0,
    in_order_seconds=81.0,
    at_once_seconds=109.1,
    break_even=57,
    is_weighable=True,
    measured=Measured(HERE, {"never_seen": HERE}, HERE, HERE, HERE, HERE, HERE),
)
ESTIMATE = NightEstimate(
    told="wave 2 would forget 12 people: 40 training samples and 9 held-out samples",
    is_opened=True,
    insufficient="",
    wait_reason="",
    decision="",
    policy="in_order",
    planned=(1, 2),
    missing="",
    sums=SUMS,
)
NOTHING = replace(
    ESTIMATE,
    sums=replace(
        SUMS,
        attempts=[
            replace(one, train_seconds=None, audit_seconds=None, num_runs=0, machines=()) for one in SUMS.attempts
        ],
        shared=dict.fromkeys(SUMS.shared),
        tonight_seconds=None,
        in_order_seconds=None,
        at_once_seconds=None,
        break_even=None,
        is_weighable=False,
        measured=Measured(None, {}, None, None, None, None, None),
    ),
)


def show(estimate: NightEstimate, capsys: pytest.CaptureFixture[str]) -> str:
    print_estimate(estimate)
    return capsys.readouterr().out


def test_a_night_that_can_be_foreseen(capsys: pytest.CaptureFixture[str]) -> None:
    said = show(ESTIMATE, capsys)
    assert [" ".join(line.split()) for line in said.splitlines()] == [
        ESTIMATE.told,
        "whether they suffice to show that they are forgotten, its first stage will say",
        "attempts in turn: 1 never_seen, 2 retrain",
        "",
        "attempt training audit passed chance foreseen by",
        "1 never_seen 12 s 0.5 s 3 of 4 0.67 3 runs",
        "2 retrain 61 s 0.5 s 2 runs",
        "",
        "whatever it ends with: power 0.2 s, adversarial examples 2.0 s, report 0.4 s, "
        "servers, git, DVC and starting programs 45 s",
        "tonight: 81 s expected",
        "the night in the order of params.yaml: 81 s expected",
        "the night with exact retraining at once: 2 min expected",
        "unlearning.policy: in_order",
        "break-even: the attempts in order take less than exact retraining at once from about 57 images on "
        "(40 samples to forget, by the chances above); 898 are held",
        "measured on a processor, 1 thread",
    ]


def test_where_nothing_was_measured_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    said = show(NOTHING, capsys)
    assert "1 never_seen  not measured yet  not measured yet  3 of 4" in said
    assert "not measured yet, and not in the sums: power, adversarial examples, report, servers" in said
    assert "not measured yet: a wave, or a new base, keeps from now on what its stages take" in said
    assert [word for word in ("expected", "break-even", "whatever") if word in said] == []


@pytest.mark.parametrize(
    ("changes", "words", "unsaid"),
    [
        (
            {"wait_reason": "2 people are too few; it waits", "planned": ()},
            "not yet: 2 people are too few",
            "in the order of",
        ),
        (
            {"insufficient": "too few", "decision": "too few", "planned": (2,)},
            "too few\nattempts in turn: 2",
            "the night in the order",
        ),
        (
            {"decision": "at once 5 s, in order 6 s", "planned": (2,)},
            "2 retrain\nat once 5 s, in order 6 s\n",
            "too few",
        ),
        (
            {"sums": replace(SUMS, break_even=None)},
            "break-even: at no size do the attempts in order take less than exact retraining at once (40",
            "from about",
        ),
        ({"is_opened": False, "planned": ()}, "the search for adversarial examples of whoever", "in turn"),
        (
            {
                "told": "no request is pending",
                "is_opened": False,
                "sums": None,
                "missing": "train is not here; pull it",
            },
            "no request is pending\nnothing is foreseen: train is not here; pull it\n",
            "what a night would take",
        ),
    ],
    ids=["waits", "too few", "weighed", "never cheaper", "nobody asks", "no store"],
)
def test_what_is_decided_is_said_once(
    changes: dict[str, object], words: str, unsaid: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = show(replace(ESTIMATE, **changes), capsys)  # type: ignore[arg-type]
    assert words in said
    assert unsaid not in said
    assert said.count("too few") <= 1


def test_a_night_without_a_choice_is_told_by_what_it_makes(capsys: pytest.CaptureFixture[str]) -> None:
    sums = replace(SUMS, tonight_seconds=109.1)
    said = show(replace(ESTIMATE, insufficient="too few", planned=(2,), sums=sums), capsys)
    assert [line for line in said.splitlines() if "expected" in line] == ["tonight: 2 min expected"]


def test_sums_of_several_machines_are_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    first, exact = SUMS.attempts
    there = replace(HERE, machine="a GPU")
    sums = replace(
        SUMS,
        attempts=[first, replace(exact, machines=(there.machine,))],
        is_weighable=False,
        measured=replace(SUMS.measured, train=there),
    )
    said = show(replace(ESTIMATE, sums=sums), capsys)
    assert "measured on a GPU; a processor, 1 thread; what they take is not weighed against each other" in said
    assert "break-even" not in said
