"""The record of a request, for every way in which a request can stand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from amun.evidence.attempts import Summary
from amun.evidence.figures import Comparison
from amun.ledger import Erasure, Outcome, OutcomeState, Request, SourceDeletion, Wave
from flows.pages.request_page import render_page
from tasks.views.copies import Copy
from tasks.views.request_facts import Event, ModelFacts, RequestFacts, Thresholds
from tasks.views.wave_rules import GateRules
from tasks.workspace.twins import SharedPictures

RECEIVED = datetime(2026, 1, 31, 9, tzinfo=UTC)
DUE = datetime(2026, 2, 28, 9, tzinfo=UTC)
CLOSED = RECEIVED + timedelta(days=1)


def make_summary(method: str, **figures: Any) -> dict[str, Any]:
    test = {"accuracy_base": 0.9, "accuracy": 0.89, "ft_auc_base": 0.7, "ft_auc": 0.52, "trace": 0.91}
    return {
        "num_subjects": 3,
        "num_forget": 40,
        "num_held_out": 5,
        "attempt": 1,
        "method": method,
        "decisions": [{"attempt": 1, "method": method, "passed": True, "reason": "shown", "warning": "look"}],
        "warning": "",
        "test": test | {"standard_error": 0.03, "trace_standard_error": 0.04, "num_test": 400} | figures,
    }


def make_wave(summary: dict[str, Any] | None, comparison: dict[str, Any] | None = None) -> Wave:
    return Wave(
        model="faces",
        number=4,
        kind="deletion",
        state="open" if summary is None else "complete",
        holder="night:boot:123:4.5",
        opened_at=RECEIVED,
        closed_at=None if summary is None else CLOSED,
        attempt=1,
        note=None,
        parent_version="4",
        version="5",
        commit=None if summary is None else "c" * 40,
        summary=None if summary is None else Summary.model_validate(summary),
        comparison=None if comparison is None else Comparison.model_validate(comparison),
        num_requests=3,
        undone_by=None,
    )


def render(
    state: OutcomeState,
    wave: Wave | None,
    *,
    is_own: bool = True,
    max_memory_left: float | None = None,
    twins: SharedPictures | None = None,
    erasure: Erasure | None = None,
    pool_samples: int = 0,
) -> str:
    outcome = Outcome("faces", state, None if wave is None else wave.number, CLOSED, None, (), erasure)
    rules = GateRules(0.02, 0.1, max_memory_left, 0.6, pool_samples)
    bounds = Thresholds(rules, "d" * 40, "Somebody", "2026-01-01")
    facts = ModelFacts(
        outcome=outcome,
        due_at=DUE,
        wave=wave,
        versions=[],
        copies=[Copy("images", "DVC cache", "3 in 1 file")] if is_own else None,
        twins=twins,
        thresholds=bounds if is_own else None,
        events=[Event(RECEIVED, "received")],
    )
    request = Request("R-000009", "person <7>", RECEIVED, DUE, "T-1", None, (), (outcome,))
    page = render_page(RequestFacts(request, [facts], CLOSED, "digits", "e" * 40))
    assert "person &lt;7&gt;" in page
    assert "<7>" not in page
    return " ".join(page.split())


@pytest.mark.parametrize(
    ("summary", "comparison", "words"),
    [
        (make_summary("amun"), {"accuracy": 0.88, "ft_auc": 0.5}, "no difference to exact retraining is shown"),
        (make_summary("amun", ft_auc=0.7), {"accuracy": 0.88, "ft_auc": 0.5}, "the two do differ"),
        (make_summary("amun"), None, "was not computed"),
        (make_summary("amun", ft_auc=None), {"accuracy": 0.88, "ft_auc": None}, "none is told"),
        (make_summary("retrain"), None, "exactly retrained"),
        (make_summary("none") | {"num_forget": 0}, None, "kept as it was"),
    ],
)
def test_result_against_retraining(summary: dict[str, Any], comparison: dict[str, Any] | None, words: str) -> None:
    page = render("completed", make_wave(summary, comparison))
    assert words in page
    assert "Honoured by wave 4, 27 days before it was due" in page
    assert ("recognition by attack (FT AUC)" in page) == (summary["num_forget"] > 0)
    assert ("(trace)</th><td></td><td>91.0 % ± 7.8 %</td>" in page) == (summary["num_forget"] > 0)
    assert "at most 60.0 %, at least 40.0 %" in page


LEFT = {"memory_left": 0.05, "memory_left_lower": -0.2, "memory_left_upper": 0.4}


@pytest.mark.parametrize("comparison", [None, {"accuracy": 0.88, "ft_auc": 0.5} | LEFT])
def test_memory_left_concludes_where_it_was_measured(comparison: dict[str, Any] | None) -> None:
    page = render("completed", make_wave(make_summary("amun", **LEFT), comparison), max_memory_left=0.5)
    assert "5.0 %, between -20.0 % and 40.0 %" in page
    assert "remembered of the people of this wave, taken together" in page
    assert "This says nothing of one of these people." in page
    assert "It was not shown by measurement that the people of the wave are forgotten: look." in page
    assert "no difference to exact retraining" not in page
    assert ("An exactly retrained model showed 5.0 %" in page) is (comparison is not None)
    assert "to be within 50.0 % of none" in page


@pytest.mark.parametrize(
    ("twins", "words"),
    [
        (
            SharedPictures(6, 7, 2, 0, is_kept=True),
            "6 samples of this person show the very picture of 7 held under 2 other people: they are theirs and stay, "
            "so that the model goes on knowing these pictures (data.twins). Where such a picture shows this person,",
        ),
        (
            SharedPictures(1, 1, 1, 0, is_kept=False),
            "1 sample of this person shows the very picture of 1 held under 1 other person: they are forgotten with "
            "this person&#39;s (data.twins).",
        ),
        (
            SharedPictures(6, 7, 2, 7, is_kept=False),
            "held under 2 other people: they were forgotten with them (data.twins).",
        ),
        (
            SharedPictures(6, 7, 2, 3, is_kept=True),
            "held under 2 other people: 3 were forgotten with them; else they are theirs and stay,",
        ),
    ],
)
def test_twins_are_told_and_nobody_else_is_named(twins: SharedPictures, words: str) -> None:
    assert words in render("pending", None, twins=twins)
    assert "Same pictures under other names" not in render("pending", None)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("pending", "Waiting for a wave."),
        ("held", "On hold."),
        ("denied", "Denied."),
        ("withdrawn", "Withdrawn before any wave."),
        ("nothing_held", "No sample is held under this id."),
        ("unmatched", "Neither honoured nor closed: nobody in the data is called so"),
    ],
)
def test_request_that_no_wave_has_handled(state: OutcomeState, words: str) -> None:
    page = render(state, None)
    assert words in page
    assert "What was done" not in page
    assert "does not claim" not in page


def test_what_a_pool_has_shown_is_not_said_of_the_wave() -> None:
    wave, said = make_wave(make_summary("amun")), "judged together with people who were forgotten earlier"
    alone, pooled = (render("completed", wave, pool_samples=pool) for pool in (40, 300))
    assert (alone.count("shown."), said in alone) == (1, False)
    assert (pooled.count("shown."), pooled.count(said)) == (0, 2), "in the sentence and in the table of decisions"
    assert ">look" not in pooled


def test_wave_of_one_person_is_told_in_the_singular() -> None:
    counts = {"num_subjects": 1, "num_forget": 1, "num_held_out": 1}
    page = render("completed", make_wave(make_summary("amun") | counts))
    assert "(1 subject, 1 training sample, 1 sample never trained on)" in page


def test_open_wave_and_another_model() -> None:
    assert "it is under way" in render("in_wave", make_wave(None))
    page = render("completed", make_wave(make_summary("amun")), is_own=False)
    assert "To be looked up in the workspace of faces" in page
    assert "process 123 on night" in page


def test_forgotten_before_by_a_wave_that_was_undone_is_said_to_be_open_again() -> None:
    wave = make_wave(make_summary("amun"))
    assert "forgotten before, by wave 4." in render("already_forgotten", wave)
    undone = render("already_forgotten", replace(wave, undone_by=2))
    assert "forgotten before, by wave 4, which rollback 2 has undone since" in undone


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (timedelta(minutes=1), "on the day it was due"),
        (timedelta(hours=-9), "on the day it was due"),
        (timedelta(hours=-9, minutes=-1), "1 day before it was due"),
        (timedelta(hours=15), "1 day after it was due"),
        (timedelta(days=2), "2 days after it was due"),
        (timedelta(days=-2, minutes=1), "2 days before it was due"),
    ],
)
def test_days_before_or_after_the_due_date_are_counted_by_the_calendar(after: timedelta, words: str) -> None:
    wave = make_wave(make_summary("amun"))
    done = Outcome("faces", "completed", 4, DUE + after, None, ())
    facts = ModelFacts(done, DUE, replace(wave, closed_at=done.decided_at), [], [], None, None, [])
    request = Request("R-000009", "person", RECEIVED, DUE, None, None, (), (done,))
    page = render_page(RequestFacts(request, [facts], CLOSED, "faces", "e" * 40))
    assert f"Honoured by wave 4, {words}:" in page


@pytest.mark.parametrize(
    ("erasure", "words"),
    [
        (None, "No key of this person is destroyed"),
        (Erasure(CLOSED, CLOSED), "will be destroyed after 1 February 2026, 09:00 UTC.</p>"),
        (Erasure(CLOSED, DUE + timedelta(days=1)), "after 1 March 2026, 09:00 UTC. This is after the due date."),
        (Erasure(CLOSED, CLOSED, DUE), "Erasure was begun on 28 February 2026, 09:00 UTC"),
        (Erasure(CLOSED, CLOSED, DUE, DUE, DUE), "Erased on 28 February 2026, 09:00 UTC: the keys of this person"),
        (Erasure(CLOSED, CLOSED, DUE, DUE, DUE), "Files in the source of the data are its owner&#39;s to delete."),
        (Erasure(CLOSED, CLOSED, DUE, DUE, DUE, SourceDeletion(DUE)), "files in the source was begun on 28 February"),
        (
            Erasure(CLOSED, CLOSED, DUE, DUE, DUE, SourceDeletion(DUE, DUE, ("labels.csv",))),
            "were deleted on 28 February 2026, 09:00 UTC. Left to its owner: labels.csv.",
        ),
    ],
)
def test_record_tells_when_the_person_is_erased(erasure: Erasure | None, words: str) -> None:
    assert words in render("completed", make_wave(make_summary("retrain")), erasure=erasure)
    assert words not in render("held", None, erasure=None)
