"""Requests that match nobody: they wait for a person, are alarmed like any other, and match once their data come."""

from datetime import timedelta

import pytest

from amun.core.errors import InputError
from amun.ledger import Demand, FileId, Holding, Ledger, UnmatchedError
from amun.ledger.intake import FEW_PEOPLE
from tests.amun.ledger.helpers import MODEL, NOW, add, build_base, claim_wave, complete_wave, list_states

LATE = NOW + timedelta(days=40)
FILE = FileId("s3://bucket/requests", "monday.csv", "", "0123", NOW)


def list_by_model(ledger: Ledger, request_id: str) -> dict[str, str]:
    return {outcome.model: outcome.state for outcome in ledger.get_request(request_id).outcomes}


def test_stranger_waits_for_a_person_under_one_request(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    assert add(ledger, "eve") + add(ledger, "eve") == ["R-000001", "R-000001"]
    assert list_states(ledger) == [("R-000001", "unmatched")]
    assert ledger.get_request("R-000001").outcomes[0].decided_at is None
    assert ledger.claim_wave(MODEL, kind="deletion", holder="elsewhere", now=NOW, lease_seconds=60) is None
    with pytest.raises(InputError, match=f"R-000001 is unmatched for {MODEL}; only a pending request can be held"):
        ledger.hold_request("R-000001", "evidence", now=NOW)


def test_unmatched_are_counted_and_overdue_at_their_due_date(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    add(ledger, "ann", "eve")
    status = ledger.count_status(MODEL, NOW)
    assert (status.pending, status.unmatched, status.overdue) == (1, 1, 0)
    late = ledger.count_status(MODEL, LATE)
    assert (late.pending, late.unmatched, late.overdue) == (1, 1, 2)
    ledger.withdraw_request("R-000002", now=NOW)
    late = ledger.count_status(MODEL, LATE)
    assert (late.unmatched, late.overdue) == (0, 1)


def test_person_confirms_all_or_none(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    add(ledger, "eve", "ann", "dan")
    with pytest.raises(InputError, match=f"R-000002 is pending for {MODEL}; only an unmatched one is confirmed"):
        ledger.confirm_requests(["R-000001", "R-000002"], now=NOW)
    assert list_by_model(ledger, "R-000001") == {MODEL: "unmatched"}
    confirmed = ledger.confirm_requests(["R-000001", "R-000003", "R-000001"], now=LATE)
    assert [request.request_id for request in confirmed] == ["R-000001", "R-000003"]
    assert [request.outcomes[0].state for request in confirmed] == ["nothing_held"] * 2
    assert ledger.get_request("R-000001").outcomes[0].decided_at == LATE
    with pytest.raises(InputError, match="R-000001 is nothing_held"):
        ledger.confirm_requests(["R-000001"], now=NOW)
    # confirmed then is not confirmed now
    assert add(ledger, "eve") == ["R-000004"]
    assert list_by_model(ledger, "R-000004") == {MODEL: "unmatched"}


def test_confirmed_when_added_is_closed_at_once(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    demands = [Demand("ann"), Demand("eve")]
    added = ledger.add_demands(demands, now=NOW, confirm_unknown=True, max_unmatched_share=0)
    assert [answer.outcomes[0].state for answer in added] == ["pending", "nothing_held"]
    assert ledger.get_request("R-000002").outcomes[0].decided_at == NOW


def test_known_to_one_model_is_known_to_all(ledger: Ledger) -> None:
    build_base(ledger, ["ann"], model="first")
    build_base(ledger, ["bob"], model="second")
    add(ledger, "bob", "eve")
    assert list_by_model(ledger, "R-000001") == {"first": "nothing_held", "second": "pending"}
    assert list_by_model(ledger, "R-000002") == {"first": "unmatched", "second": "unmatched"}
    complete_wave(ledger, claim_wave(ledger, model="second"))
    build_base(ledger, ["cat"], model="second")
    add(ledger, "bob")
    assert list_by_model(ledger, "R-000003") == {"first": "nothing_held", "second": "already_forgotten"}


def test_request_is_pending_once_the_data_come_with_the_dates_it_had(ledger: Ledger) -> None:
    build_base(ledger, ["ann"], model="first")
    build_base(ledger, ["ann"], model="second")
    add(ledger, "eve", "Zo\u00eb", "dan")
    before = ledger.get_request("R-000001")
    build_base(ledger, ["ann", "eve", "Zoe\u0308"], model="second")
    assert list_by_model(ledger, "R-000001") == {"first": "nothing_held", "second": "pending"}
    assert list_by_model(ledger, "R-000002") == {"first": "nothing_held", "second": "pending"}
    assert list_by_model(ledger, "R-000003") == {"first": "unmatched", "second": "unmatched"}
    after = ledger.get_request("R-000001")
    assert (after.received_at, after.due_at) == (before.received_at, before.due_at)
    assert [outcome.decided_at for outcome in after.outcomes] == [NOW, None]
    assert ledger.subjects_of_wave("second", claim_wave(ledger, model="second").number) == ["eve", "Zo\u00eb"]


def test_model_that_came_later_answers_for_people_whom_nobody_knew(ledger: Ledger) -> None:
    build_base(ledger, ["ann"], model="first")
    add(ledger, "eve", "dan")
    build_base(ledger, ["eve"], model="second")
    assert list_by_model(ledger, "R-000001") == {"first": "nothing_held", "second": "pending"}
    assert list_by_model(ledger, "R-000002") == {"first": "unmatched"}


def test_request_that_waited_for_the_first_base_is_not_honoured_for_nobody(ledger: Ledger) -> None:
    build_base(ledger, ["ann"], model="first")
    ledger.register_model("second")
    add(ledger, "ann", "bob", "heavy")
    assert list_by_model(ledger, "R-000002") == {"first": "unmatched", "second": "pending"}
    build_base(ledger, ["bob"], model="second")
    assert list_by_model(ledger, "R-000001") == {"first": "pending", "second": "nothing_held"}
    assert list_by_model(ledger, "R-000002") == {"first": "nothing_held", "second": "pending"}
    assert list_by_model(ledger, "R-000003") == {"first": "unmatched", "second": "unmatched"}


def test_undone_base_gives_back_whom_it_did_not_hold(ledger: Ledger) -> None:
    build_base(ledger, ["ann", "dan"])  # wave 0, version 7
    complete_wave(ledger, (claim := claim_wave(ledger, "base")), "8")
    assert claim.number == 1
    build_base(ledger, ["ann"])  # wave 2, version 7
    add(ledger, "dan", "eve")
    ledger.confirm_requests(["R-000001"], now=NOW)
    add(ledger, "dan")
    held = [Holding("ann", 2, 1), Holding("dan", 2, 1)]
    assert ledger.count_remembered(MODEL, [2], [holding.subject_id for holding in held]) == 1
    ledger.begin_rollback(
        MODEL, from_version="7", to_version="8", undone_waves=[2], reason="why", holder="elsewhere", now=LATE
    )
    claim = claim_wave(ledger, now=LATE)
    assert ledger.finish_rollback(claim, held, LATE) == 1
    assert list_states(ledger) == [("R-000001", "nothing_held"), ("R-000002", "unmatched"), ("R-000003", "in_wave")]


def test_few_strangers_are_taken_whatever_their_share_and_many_are_not(ledger: Ledger) -> None:
    people = [f"person {number}" for number in range(20)]
    build_base(ledger, people)
    strangers = [f"stranger {number}" for number in range(FEW_PEOPLE)]
    few = [Demand(name) for name in strangers[1:]]
    assert len(ledger.add_demands(few, now=NOW, max_unmatched_share=0.0)) == FEW_PEOPLE - 1
    # asked for again they are strangers still
    many = [Demand(name) for name in [*strangers, *people[:11]]]
    with pytest.raises(
        UnmatchedError, match=r"10 of 21 people match nobody in the data, more than .* \(0\.45\)"
    ) as held:
        ledger.add_demands(many, now=NOW, max_unmatched_share=0.45)
    assert held.value.strangers == strangers
    assert len(ledger.list_requests()) == FEW_PEOPLE - 1
    assert len(ledger.add_demands(many, now=NOW, max_unmatched_share=0.48)) == 21


def test_file_of_strangers_is_rejected_whole(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    demands = [Demand("ann"), *(Demand(f"stranger {number}") for number in range(FEW_PEOPLE))]
    rejected = ledger.take_file(FILE, demands, now=NOW, max_unmatched_share=0.5)
    assert rejected.reason is not None
    assert rejected.reason.startswith("10 of 11 people match nobody in the data")
    assert (ledger.find_file(FILE), ledger.list_requests()) == (rejected, [])
    assert add(ledger, "ann") == ["R-000001"]


def test_near_ids_are_suggested_from_all_models(ledger: Ledger) -> None:
    build_base(ledger, ["person 00002", "Zoe\u0308"], model="first")
    build_base(ledger, ["person-2", "gone"], model="second")
    add(ledger, "gone")
    complete_wave(ledger, claim_wave(ledger, model="second"))
    build_base(ledger, ["person-2"], model="second")
    assert ledger.suggest_ids(["PERSON 00002", "zoe", "GONE", "nobody"]) == {
        "PERSON 00002": ["person 00002", "person-2"],
        "zoe": ["Zo\u00eb"],
        "GONE": ["gone"],
        "nobody": [],
    }
