"""Demands are recorded once, answered rightly, all or none."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event

from amun.core.databases import CHUNK_ROWS
from amun.core.errors import InputError
from amun.ledger import Demand, Holding, Ledger
from tests.amun.ledger.helpers import (
    MODEL,
    NOW,
    add,
    build_base,
    claim_wave,
    complete_wave,
    list_states,
    run_together,
)

BERLIN = ZoneInfo("Europe/Berlin")


def test_demands_are_pending_in_their_order_and_due_in_a_month(ledger: Ledger) -> None:
    build_base(ledger, ["ann", "bob"])
    received = NOW - timedelta(days=3)
    added = ledger.add_requests(["bob", "ann", "bob"], received_at=received, now=NOW)
    assert [(answer.subject_id, answer.request_id) for answer in added] == [("bob", "R-000001"), ("ann", "R-000002")]
    assert [answer.outcomes[0].state for answer in added] == ["pending", "pending"]
    first = ledger.get_request("R-000001")
    assert (first.subject_id, first.received_at, first.due_at) == (
        "bob",
        received,
        datetime(2026, 2, 28, 9, 30, tzinfo=UTC),
    )
    assert first.outcomes[0].decided_at is None


def test_holdings_of_a_person_are_told_by_model(ledger: Ledger) -> None:
    build_base(ledger, ["Zo\u00eb", "bob"])
    build_base(ledger, ["Zo\u00eb"], "faces")
    own = Holding("Zo\u00eb", 2, 1)
    assert ledger.list_holdings_of("Zoe\u0308") == {MODEL: own, "faces": own}
    assert list(ledger.list_holdings_of("bob")) == [MODEL]
    assert ledger.list_holdings_of("nobody") == {}


@pytest.mark.parametrize(
    ("received_at", "due_at"),
    [
        (datetime(2026, 1, 31, 9, tzinfo=UTC), datetime(2026, 2, 28, 9, tzinfo=UTC)),
        (datetime(2028, 1, 31, 9, tzinfo=UTC), datetime(2028, 2, 29, 9, tzinfo=UTC)),
        (datetime(2026, 2, 28, 9, tzinfo=UTC), datetime(2026, 3, 28, 9, tzinfo=UTC)),
        (datetime(2026, 12, 31, 23, 59, tzinfo=UTC), datetime(2027, 1, 31, 23, 59, tzinfo=UTC)),
        (datetime(2026, 3, 15, 10, tzinfo=BERLIN), datetime(2026, 4, 15, 11, tzinfo=BERLIN)),  # summer time begins
        (datetime(2026, 10, 15, 10, tzinfo=BERLIN), datetime(2026, 11, 15, 9, tzinfo=BERLIN)),  # and ends
    ],
)
def test_due_is_one_calendar_month_in_utc(ledger: Ledger, received_at: datetime, due_at: datetime) -> None:
    build_base(ledger, ["ann"])
    [added] = ledger.add_requests(["ann"], received_at=received_at, now=received_at)
    request = ledger.get_request(added.request_id)
    assert request.due_at == added.due_at == due_at
    assert request.received_at == received_at
    assert request.due_at.utcoffset() == request.received_at.utcoffset() == timedelta(0)


def test_pending_subject_is_not_added_again(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    add(ledger, "ann")
    [answer] = ledger.add_requests(["ann"], received_at=None, now=NOW + timedelta(days=2))
    assert (answer.is_new, answer.request_id) == (False, "R-000001")
    assert answer.due_at == ledger.get_request("R-000001").due_at
    assert list_states(ledger) == [("R-000001", "pending")]


def test_subject_in_the_open_wave_is_not_added_again(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    add(ledger, "ann")
    claim_wave(ledger)
    [answer] = ledger.add_requests(["ann"], received_at=None, now=NOW)
    assert (answer.is_new, answer.request_id) == (False, "R-000001")
    assert (answer.outcomes[0].state, answer.outcomes[0].wave_number) == ("in_wave", 1)


def test_forgotten_subject_is_recorded_with_the_wave(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    add(ledger, "ann")
    complete_wave(ledger, claim_wave(ledger))
    [answer] = ledger.add_requests(["ann"], received_at=None, now=NOW)
    assert (answer.is_new, answer.request_id) == (True, "R-000002")
    [outcome] = ledger.get_request("R-000002").outcomes
    assert (outcome.state, outcome.wave_number, outcome.decided_at) == ("already_forgotten", 1, NOW)
    assert ledger.subjects_of_wave(MODEL, 1) == ["ann"]


def test_one_letter_composed_or_not_is_one_person(ledger: Ledger) -> None:
    composed, decomposed = "Zo\u00eb", "Zoe\u0308"
    build_base(ledger, [decomposed])
    assert add(ledger, composed) + add(ledger, decomposed) == ["R-000001", "R-000001"]
    assert list_states(ledger) == [("R-000001", "pending")]
    assert [request.request_id for request in ledger.requests_of_subject(decomposed)] == ["R-000001"]
    complete_wave(ledger, claim_wave(ledger))
    [answer] = ledger.add_requests([decomposed, composed], received_at=None, now=NOW)
    assert answer.outcomes[0].state == "already_forgotten"


def test_everybody_waits_while_holdings_are_unknown(ledger: Ledger) -> None:
    ledger.register_model(MODEL)
    assert add(ledger, "ann") == ["R-000001"]
    assert list_states(ledger) == [("R-000001", "pending")]


def test_each_model_answers_for_itself(ledger: Ledger) -> None:
    build_base(ledger, ["ann"], model="first")
    add(ledger, "ann")
    build_base(ledger, ["ann", "bob"], model="second")
    ann, bob = ledger.add_requests(["ann", "bob"], received_at=None, now=NOW)
    assert [(outcome.model, outcome.state, outcome.request_id) for outcome in ann.outcomes] == [
        ("first", "pending", "R-000001"),
        ("second", "pending", "R-000002"),
    ]
    assert [(outcome.model, outcome.state) for outcome in bob.outcomes] == [
        ("first", "nothing_held"),
        ("second", "pending"),
    ]
    complete_wave(ledger, claim_wave(ledger, model="second"))
    assert [request.request_id for request in ledger.list_requests(state="pending")] == ["R-000001"]
    assert [request.request_id for request in ledger.list_requests("second", "completed")] == ["R-000002", "R-000003"]


@pytest.mark.parametrize(
    "unfit", ["", "  ", "\t", " a ", "a\u200b", "a\nb", "a\x00b", "a\x7f", "\udcff", "a\u2028b", "x" * 501]
)
def test_one_unfit_subject_refuses_all(ledger: Ledger, unfit: str) -> None:
    build_base(ledger, ["ann"])
    with pytest.raises(InputError) as refusal:
        ledger.add_requests(["ann", unfit], received_at=None, now=NOW)
    assert str(refusal.value).isprintable()
    assert ledger.list_requests() == []


@pytest.mark.parametrize(
    "subject", ["Zoë Ångström", "Олена", "名前", "نام خانوادگی", "o'Brien; --", "%s {x} \\", "🙂", "x" * 500]
)
def test_unusual_subjects_keep_their_spelling(ledger: Ledger, subject: str) -> None:
    build_base(ledger, [subject])
    [answer] = ledger.add_requests([subject], received_at=None, now=NOW)
    assert answer.outcomes[0].state == "pending"
    claim_wave(ledger)
    assert ledger.subjects_of_wave(MODEL, 1) == [subject]


@pytest.mark.parametrize("received_at", [datetime(2026, 1, 1), NOW + timedelta(seconds=1)])
def test_doubtful_receipt_is_refused(ledger: Ledger, received_at: datetime) -> None:
    build_base(ledger, ["ann"])
    with pytest.raises(InputError, match=r"received at 2026.*give the time"):
        ledger.add_requests(["ann"], received_at=received_at, now=NOW)
    assert ledger.list_requests() == []


def test_withdrawn_request_may_be_made_again(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    add(ledger, "ann")
    withdrawn = ledger.withdraw_request("R-000001", now=NOW)
    assert (withdrawn.outcomes[0].state, withdrawn.outcomes[0].decided_at) == ("withdrawn", NOW)
    assert withdrawn == ledger.get_request("R-000001")
    assert add(ledger, "ann") == ["R-000002"]
    assert list_states(ledger) == [("R-000001", "withdrawn"), ("R-000002", "pending")]


def test_only_a_pending_request_is_withdrawn(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    add(ledger, "ann", "eve")
    ledger.confirm_requests(["R-000002"], now=NOW)
    claim = claim_wave(ledger)
    with pytest.raises(InputError, match=f"R-000001 is in_wave for {MODEL}; only"):
        ledger.withdraw_request("R-000001", now=NOW)
    complete_wave(ledger, claim)
    with pytest.raises(InputError, match=f"R-000001 is completed for {MODEL}; only"):
        ledger.withdraw_request("R-000001", MODEL, now=NOW)
    with pytest.raises(InputError, match=f"R-000002 is nothing_held for {MODEL}; only"):
        ledger.withdraw_request("R-000002", now=NOW)
    assert list_states(ledger) == [("R-000001", "completed"), ("R-000002", "nothing_held")]


def test_withdrawal_for_one_model_leaves_the_other(ledger: Ledger) -> None:
    build_base(ledger, ["ann"], model="first")
    build_base(ledger, ["ann"], model="second")
    add(ledger, "ann")
    ledger.withdraw_request("R-000001", "second", now=NOW)
    assert list_states(ledger) == [("R-000001", "pending"), ("R-000001", "withdrawn")]
    with pytest.raises(InputError, match="R-000001 is not open for third; only"):
        ledger.withdraw_request("R-000001", "third", now=NOW)


@pytest.mark.parametrize(
    "request_id",
    ["R-000009", "R-1", "r-000001", "", "R-\u0660\u0660\u0660\u0660\u0660\u0661", "R-99999999999999999999"],
)
def test_unknown_request_is_named(ledger: Ledger, request_id: str) -> None:
    build_base(ledger, ["ann"])
    add(ledger, "ann")
    with pytest.raises(InputError, match=f"{request_id}.*`amun request list`"):
        ledger.get_request(request_id)


def test_list_is_searched_and_cut_in_the_database(ledger: Ledger) -> None:
    people = ["ann", "100%", "Zoe\u0308 Smith", "bob_1", "bobs"]
    build_base(ledger, people)
    build_base(ledger, people, model="second")
    ledger.add_demands([Demand(person, NOW, f"Ticket-{number}") for number, person in enumerate(people)], now=NOW)

    def find(search: str, limit: int | None = None, num_later: int = 0) -> list[str]:
        found = ledger.list_requests(MODEL, search=search, limit=limit, num_later=num_later)
        assert limit is not None or ledger.count_requests(MODEL, search=search) == len(found)
        return [request.request_id[-1] for request in found]

    assert find("") == ["1", "2", "3", "4", "5"]
    assert (find("", 2), find("", 2, 2), find("", 2, 4), find("", 2, 6)) == (["4", "5"], ["2", "3"], ["1"], [])
    assert (find("ANN"), find("ticket-3"), find("r-000002"), find("R-00000")) == (["1"], ["4"], ["2"], [])
    assert (find("0%"), find("bob_"), find("b"), find("b", 1)) == (["2"], ["4"], ["4", "5"], ["5"])
    assert find("zo\u00eb s") == find("zoe\u0308 S") == ["3"]
    (last,) = ledger.list_requests(search="b", limit=1)
    assert [outcome.model for outcome in last.outcomes] == [MODEL, "second"]
    assert ledger.count_requests(MODEL, "completed", search="b") == 0


def test_search_in_a_file_knows_every_letter_in_both_cases(tmp_path: Path) -> None:
    with Ledger.create(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        build_base(ledger, ["Zo\u00eb"])
        add(ledger, "Zo\u00eb")
        assert ledger.count_requests(MODEL, search="ZO\u00cb") == 1


def test_unknown_filters_are_named(ledger: Ledger) -> None:
    with pytest.raises(InputError, match="model 'nobody' is not registered"):
        ledger.list_requests("nobody")
    with pytest.raises(InputError, match=r"unknown state 'done'.*pending, in_wave"):
        ledger.list_requests(state="done")
    with pytest.raises(InputError, match="no model is registered"):
        add(ledger, "ann")


def ask_of_many(ledger: Ledger, num_subjects: int) -> None:
    subjects = [f"subject-{number}" for number in range(num_subjects)]
    build_base(ledger, subjects)
    added = ledger.add_requests(subjects, received_at=None, now=NOW)
    assert (added[0].request_id, added[-1].request_id) == ("R-000001", f"R-{num_subjects:06}")
    again = ledger.add_requests(subjects, received_at=None, now=NOW)
    assert [answer.request_id for answer in again] == [answer.request_id for answer in added]
    assert ledger.subjects_of_wave(MODEL, claim_wave(ledger).number) == subjects


def test_no_statement_takes_a_value_for_each_subject(ledger: Ledger) -> None:
    num_subjects, taken = CHUNK_ROWS + CHUNK_ROWS // 10, list[tuple[int, int]]()

    @event.listens_for(ledger._engine, "before_cursor_execute")
    def count_values(*told: Any) -> None:
        *_, parameters, _, is_many = told
        row = parameters[0] if is_many else parameters
        values = row.values() if isinstance(row, dict) else row
        taken.append((len(values), len(set(map(str, values)))))

    ask_of_many(ledger, num_subjects)
    # SQLite takes 32,766 unless it is built for more, Postgres 65,535
    assert max(num_values for num_values, _ in taken) <= 32_766
    assert CHUNK_ROWS <= max(num_different for _, num_different in taken) < num_subjects


@pytest.mark.long
def test_more_subjects_at_once_than_a_statement_takes(ledger: Ledger) -> None:
    ask_of_many(ledger, 100_000)


def test_two_writers_never_share_a_number(ledger: Ledger, url: str) -> None:
    crowds = [[f"{name}-{number}" for number in range(40)] for name in ("left", "right")]
    build_base(ledger, ["shared", *crowds[0], *crowds[1]])
    answers = run_together(_add_one_by_one, [(url, [*crowd, "shared"]) for crowd in crowds])
    own_ids = [request_id for ids in answers for request_id in ids[:-1]]
    assert len(set(own_ids)) == 80
    assert answers[0][-1] == answers[1][-1]
    assert len(ledger.list_requests()) == 81
    assert all(ids == sorted(ids) for ids in (answer[:-1] for answer in answers))


def _add_one_by_one(url: str, subjects: Sequence[str]) -> list[str]:
    with Ledger(url) as ledger:
        return [request_id for subject in subjects for request_id in add(ledger, subject)]
