"""A held request stays out of every wave, is counted apart, and comes back with the dates it had."""

from datetime import timedelta

import pytest

from amun.core.errors import InputError
from amun.ledger import Demand, Hold, Ledger
from amun.ledger.laws import Law, compute_due, compute_extended_due
from amun.ledger.records import Denial, HoldKind
from amun.ledger.releases import UNVERIFIED
from tests.amun.ledger.helpers import MODEL, NOW, add, build_base, claim_wave, complete_wave, list_states

REASON = "evidence in case 4711"


def test_held_request_is_in_no_wave_and_comes_back_as_it_was(ledger: Ledger) -> None:
    build_base(ledger, ["ann", "bob"])
    add(ledger, "ann", "bob")
    before = ledger.get_request("R-000001")
    held = ledger.hold_request("R-000001", REASON, now=NOW)
    assert held == ledger.get_request("R-000001")
    assert (held.outcomes[0].state, held.holds) == ("held", (Hold(REASON, NOW, None),))
    [answer] = ledger.add_requests(["ann"], received_at=None, now=NOW)
    assert (answer.is_new, answer.request_id, answer.outcomes[0].state) == (False, "R-000001", "held")
    assert ledger.subjects_of_wave(MODEL, claim_wave(ledger).number) == ["bob"]

    later = NOW + timedelta(days=3)
    released = ledger.release_request("R-000001", now=later)
    assert (released.received_at, released.due_at, released.outcomes) == (
        before.received_at,
        before.due_at,
        before.outcomes,
    )
    assert released.holds == (Hold(REASON, NOW, later),)
    assert [request.holds for request in ledger.list_requests()] == [released.holds, ()]


def test_held_request_is_counted_apart(ledger: Ledger) -> None:
    build_base(ledger, ["ann", "bob"])
    add(ledger, "ann", "bob")
    ledger.hold_request("R-000001", REASON, now=NOW)
    due = ledger.get_request("R-000002").due_at
    on_time = ledger.count_status(MODEL, due)
    assert (on_time.pending, on_time.overdue, on_time.held, on_time.held_overdue) == (1, 0, 1, 0)
    late = ledger.count_status(MODEL, due + timedelta(seconds=1))
    assert (late.pending, late.overdue, late.held, late.held_overdue) == (1, 1, 1, 1)
    ledger.withdraw_request("R-000002", now=NOW)
    assert ledger.count_status(MODEL, NOW).next_due is None
    assert ledger.claim_wave(MODEL, kind="deletion", holder="elsewhere", now=NOW, lease_seconds=60) is None


def test_hold_that_cannot_be_is_refused_in_one_line(ledger: Ledger) -> None:
    build_base(ledger, ["ann", "bob"])
    add(ledger, "ann")
    claim = claim_wave(ledger)
    with pytest.raises(InputError, match=f"R-000001 is in wave 1 of model '{MODEL}', which is open"):
        ledger.hold_request("R-000001", REASON, now=NOW)
    with pytest.raises(InputError, match="R-000001 is not held"):
        ledger.release_request("R-000001", now=NOW)
    complete_wave(ledger, claim)
    with pytest.raises(InputError, match=f"R-000001 is completed for {MODEL}; only a pending request"):
        ledger.hold_request("R-000001", REASON, now=NOW)
    add(ledger, "bob")
    for unfit in ("", " ", "two\nlines"):
        with pytest.raises(InputError, match=r"reason .*say in one line why"):
            ledger.hold_request("R-000002", unfit, now=NOW)
    ledger.hold_request("R-000002", REASON, now=NOW)
    with pytest.raises(InputError, match=f"R-000002 is held already: {REASON}"):
        ledger.hold_request("R-000002", "another", now=NOW)
    assert list_states(ledger) == [("R-000001", "completed"), ("R-000002", "held")]


def test_hold_is_for_all_models_or_none(ledger: Ledger) -> None:
    for model in ("first", "second"):
        build_base(ledger, ["ann"], model=model)
    add(ledger, "ann")
    claim = claim_wave(ledger, model="second")
    with pytest.raises(InputError, match="wave 1 of model 'second'"):
        ledger.hold_request("R-000001", REASON, now=NOW)
    complete_wave(ledger, claim)
    ledger.hold_request("R-000001", REASON, now=NOW)
    assert list_states(ledger) == [("R-000001", "held"), ("R-000001", "completed")]


def test_withdrawing_a_held_request_ends_its_hold(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    add(ledger, "ann")
    ledger.hold_request("R-000001", REASON, now=NOW)
    withdrawn = ledger.withdraw_request("R-000001", now=NOW)
    assert (withdrawn.outcomes[0].state, withdrawn.is_held) == ("withdrawn", False)
    assert add(ledger, "ann") == ["R-000002"]
    assert [held.reason for held in ledger.hold_request("R-000002", "another", now=NOW).holds] == ["another"]


@pytest.mark.parametrize(("law", "days"), [("gdpr", 5), ("ccpa", 0)])
def test_clock_stops_until_the_identity_is_verified_where_the_law_has_it(ledger: Ledger, law: Law, days: int) -> None:
    build_base(ledger, ["ann"])
    [added] = ledger.add_demands([Demand("ann", law=law)], now=NOW)
    held = ledger.hold_request("R-000001", REASON, now=NOW, kind="identity")
    assert (held.outcomes[0].state, held.holds[0].kind, held.due_at) == ("held", "identity", added.due_at)
    long_after = NOW + timedelta(days=200)
    assert ledger.count_status(MODEL, long_after).overdue == (0 if days else 1)
    assert ledger.count_due(MODEL, long_after) == (0 if days else 1)
    assert (held.find_due(long_after) > long_after) == bool(days)
    released = ledger.release_request("R-000001", now=NOW + timedelta(days=5))
    assert (released.outcomes[0].state, released.due_at - added.due_at) == ("pending", timedelta(days=days))
    # the second term is so much later, too
    plain = compute_extended_due(NOW, law)
    extended = ledger.extend_request("R-000001", REASON, now=NOW + timedelta(days=6))
    assert extended.due_at - plain == timedelta(days=days)
    complete_wave(ledger, claim_wave(ledger), erase_after=long_after)
    with pytest.raises(InputError, match="an identity is verified before a wave begins"):
        ledger.hold_request("R-000001", REASON, now=NOW, kind="identity")


def test_demand_of_whom_nobody_knows_yet_waits_from_the_first_moment(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    demands = [Demand(name, is_verified=False) for name in ("ann", "zoe")] + [Demand("bob")]
    ann, zoe, _ = ledger.add_demands(demands, now=NOW)
    assert [answer.outcomes[0].state for answer in (ann, zoe)] == ["held", "unmatched"]
    assert ledger.get_request("R-000001").hold == Hold(UNVERIFIED, NOW, None, "identity")
    assert ledger.claim_wave(MODEL, kind="deletion", holder="elsewhere", now=NOW, lease_seconds=60) is None
    # a new base brings the others' data: of whom nobody knows yet waits on
    build_base(ledger, ["ann", "zoe", "bob"])
    assert list_states(ledger) == [("R-000001", "held"), ("R-000002", "held"), ("R-000003", "pending")]
    later = NOW + timedelta(days=2)
    assert ledger.release_request("R-000002", now=later).due_at == zoe.due_at + timedelta(days=2)
    assert ledger.subjects_of_wave(MODEL, claim_wave(ledger).number) == ["zoe", "bob"]


def test_denied_request_keeps_its_reason_and_a_new_demand_is_a_new_request(ledger: Ledger) -> None:
    build_base(ledger, ["ann", "bob"])
    add(ledger, "ann", "zoe", "bob")
    ledger.hold_request("R-000001", REASON, now=NOW, kind="identity")
    for number in (1, 2):
        denied = ledger.deny_request(f"R-00000{number}", "somebody else has asked", now=NOW)
        assert (denied.outcomes[0].state, denied.outcomes[0].decided_at) == ("denied", NOW)
        assert (denied.denial, denied.hold) == (Denial("somebody else has asked", NOW), None)
    assert [request.request_id for request in ledger.list_requests(MODEL, "denied")] == ["R-000001", "R-000002"]
    claim = claim_wave(ledger)
    assert ledger.subjects_of_wave(MODEL, claim.number) == ["bob"]
    for request_id, words in (("R-000001", "only a pending request can be denied"), ("R-000003", "any more")):
        with pytest.raises(InputError, match=words):
            ledger.deny_request(request_id, REASON, now=NOW)
    assert ledger.get_request("R-000003").denial is None
    assert add(ledger, "ann") == ["R-000004"]


def test_request_waits_for_two_people_and_its_clock_runs_on(ledger: Ledger) -> None:
    build_base(ledger, ["ann", "bob"])
    [ann, _] = ledger.add_demands(
        [Demand("ann", num_approvals=2), Demand("bob", is_verified=False, num_approvals=1)], now=NOW
    )
    assert ann.outcomes[0].state == "held"
    for wrong, words in ((" ", "a name is empty"), ("Eve\nX", "name")):
        with pytest.raises(InputError, match=words):
            ledger.approve_request("R-000001", wrong, now=NOW)
    once = ledger.approve_request("R-000001", " Eve  Miller ", now=NOW)
    assert once.hold is not None
    assert (once.outcomes[0].state, once.hold.told) == ("held", "it waits for approval; 1 of 2: Eve Miller")
    with pytest.raises(InputError, match="EVE miller has approved it already; it takes somebody else"):
        ledger.approve_request("R-000001", "EVE miller", now=NOW)
    with pytest.raises(InputError, match="waits for `amun request approve`, which alone releases it"):
        ledger.release_request("R-000001", now=NOW)
    late = ann.due_at + timedelta(days=1)
    status = ledger.count_status(MODEL, late)
    assert (status.overdue, status.held, status.held_overdue) == (1, 2, 0)
    assert (ledger.count_due(MODEL, late), ledger.find_next_due(MODEL)) == (1, ann.due_at)
    twice = ledger.approve_request("R-000001", "Joe", now=NOW)
    assert (twice.outcomes[0].state, twice.hold, twice.due_at) == ("pending", None, ann.due_at)
    assert [approval.name for approval in twice.holds[0].approvals] == ["Eve Miller", "Joe"]
    # whose identity is verified still waits for approval
    known = ledger.release_request("R-000002", now=NOW + timedelta(days=1))
    assert (known.outcomes[0].state, [hold.kind for hold in known.holds]) == ("held", ["identity", "approval"])
    assert ledger.approve_request("R-000002", "Joe", now=NOW).outcomes[0].state == "pending"
    with pytest.raises(InputError, match=r"is pending for .*; nobody has to approve it now"):
        ledger.approve_request("R-000002", "Eve", now=NOW)


def test_who_matches_nobody_yet_waits_for_approval_once_known(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    ledger.add_demands([Demand("zoe", is_verified=False, num_approvals=2)], now=NOW)
    released = ledger.release_request("R-000001", now=NOW)
    assert [(hold.kind, hold.num_approvals) for hold in released.holds if hold.released_at is None] == [("approval", 2)]
    build_base(ledger, ["ann", "zoe"])
    assert list_states(ledger) == [("R-000001", "held")]
    for name in ("Eve", "Joe"):
        approved = ledger.approve_request("R-000001", name, now=NOW)
    assert (approved.outcomes[0].state, approved.hold) == ("pending", None)


def test_one_name_in_two_compositions_counts_once(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    ledger.add_demands([Demand("ann", num_approvals=2)], now=NOW)
    ledger.approve_request("R-000001", "Zo\u00eb", now=NOW)
    with pytest.raises(InputError, match="has approved it already"):
        ledger.approve_request("R-000001", "Zoe\u0308", now=NOW)


@pytest.mark.parametrize("kind", ["legal", "identity"])
def test_hold_takes_the_place_of_approval_which_begins_anew(ledger: Ledger, kind: HoldKind) -> None:
    build_base(ledger, ["ann"])
    ledger.add_demands([Demand("ann", num_approvals=2)], now=NOW)
    ledger.approve_request("R-000001", "Eve", now=NOW)
    held = ledger.hold_request("R-000001", REASON, now=NOW, kind=kind)
    assert held.hold is not None
    assert (held.hold.kind, held.hold.told, held.outcomes[0].state) == (kind, REASON, "held")
    with pytest.raises(InputError, match="nobody has to approve it now"):
        ledger.approve_request("R-000001", "Joe", now=NOW)
    with pytest.raises(InputError, match=f"held already: {REASON}; release it first"):
        ledger.hold_request("R-000001", "another", now=NOW)
    ledger.release_request("R-000001", now=NOW)
    for name, state in (("Joe", "held"), ("Eve", "pending")):
        assert ledger.approve_request("R-000001", name, now=NOW).outcomes[0].state == state


def test_clock_of_whom_nobody_knows_stands_still_in_every_state_unless_it_has_run_out(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    [ann, _] = ledger.add_demands([Demand("ann"), Demand("zoe", is_verified=False)], now=NOW)
    # overdue before anybody doubts who asks
    ledger.hold_request("R-000001", REASON, now=ann.due_at + timedelta(days=30), kind="identity")
    late = NOW + timedelta(days=90)
    status = ledger.count_status(MODEL, late)
    assert (status.overdue, status.held, status.unmatched, status.held_overdue) == (1, 1, 1, 0)
    assert (ledger.count_due(MODEL, late), ledger.find_next_due(MODEL)) == (1, ann.due_at)
    found = {request.subject_id: (request.is_stopped, request.find_due(late)) for request in ledger.list_requests()}
    assert found == {"ann": (False, ann.due_at), "zoe": (True, ann.due_at + timedelta(days=90))}
    assert ledger.release_request("R-000001", now=late).due_at == ann.due_at


def test_demand_of_somebody_known_is_not_swallowed_by_one_of_somebody_who_is_not(ledger: Ledger) -> None:
    build_base(ledger, ["ann", "ben"])
    demands = [Demand(name, is_verified=False) for name in ("ann", "ben", "zoe")]
    first = ledger.add_demands(demands, now=NOW)[0].due_at
    then = NOW + timedelta(days=1)
    ann, ben, zoe = ledger.add_demands([Demand("ann"), Demand("ben", num_approvals=1), Demand("zoe")], now=then)
    assert [(one.is_new, one.outcomes[0].state) for one in (ann, ben, zoe)] == [
        (False, "pending"),
        (False, "held"),
        (False, "unmatched"),
    ]
    known = ledger.get_request("R-000001")
    assert (known.hold, known.due_at, ann.due_at) == (None, first + timedelta(days=1), known.due_at)
    assert ledger.count_status(MODEL, known.due_at + timedelta(days=1)).overdue == 3
    # who is not known asks again: nothing is held back for that
    assert ledger.add_demands([Demand("ann", is_verified=False)], now=then)[0].outcomes[0].state == "pending"
    assert ledger.subjects_of_wave(MODEL, claim_wave(ledger).number) == ["ann"]
    assert ledger.approve_request("R-000002", "Eve", now=then).outcomes[0].state == "pending"


@pytest.mark.parametrize("laws", [("gdpr", "ccpa"), ("ccpa", "gdpr")])
def test_clock_that_runs_on_is_the_shorter_one_as_long_as_nobody_knows_who_asks(
    ledger: Ledger, laws: tuple[Law, Law]
) -> None:
    build_base(ledger, ["ann"])
    for law in laws:
        (added,) = ledger.add_demands([Demand("ann", law=law, is_verified=False)], now=NOW)
    due = compute_due(NOW)
    request = ledger.get_request("R-000001")
    assert (added.due_at, request.due_at, request.law) == (due, due, "ccpa")
    assert ledger.count_status(MODEL, due + timedelta(days=1)).overdue == 1


def test_due_date_is_told_with_the_time_for_which_the_clock_stands_still(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    (first,) = ledger.add_demands([Demand("ann", is_verified=False)], now=NOW)
    then = NOW + timedelta(days=9)
    (again,) = ledger.add_demands([Demand("ann", is_verified=False)], now=then)
    assert again.due_at == again.outcomes[0].due_at == first.due_at + timedelta(days=9)
    assert ledger.get_request("R-000001").find_due(then) == again.due_at
