"""Whoever serves a model says which version it has loaded, and holds up the erasure of those whom that remembers."""

from datetime import datetime, timedelta

import pytest

from amun.core.errors import InputError
from amun.ledger import Consumer, Holding, Ledger
from amun.ledger.consumers import tell_holding, tell_remembering
from tests.amun.ledger.helpers import MODEL, NOW, add, build_base, claim_wave, complete_wave

AFTER = NOW + timedelta(days=7)
LATE = NOW + timedelta(days=27)  # a request of 31 January is due in 28 days, and a night has to come before
REPLICA = "replica-1"


@pytest.fixture
def served(ledger: Ledger) -> Ledger:
    """A ledger in which version 8 has forgotten ann, and one consumer serves version 7, the base."""
    build_base(ledger, ["ann", "bob", "cat"])
    ledger.add_consumer(MODEL, REPLICA, NOW)
    ledger.record_seen(MODEL, REPLICA, "7", NOW)
    forget(ledger, "ann", version="8")
    return ledger


def forget(ledger: Ledger, *subjects: str, version: str, model: str = MODEL) -> None:
    add(ledger, *subjects)
    complete_wave(ledger, claim_wave(ledger, model=model), version, erase_after=AFTER)


def list_reasons(ledger: Ledger, subject: str, now: datetime = AFTER) -> tuple[str, ...]:
    (reasons,) = (one.held_up_by for one in ledger.list_erasures(MODEL, now) if one.subject_id == subject)
    return reasons


def start(ledger: Ledger, now: datetime = AFTER) -> list[str]:
    """Returns whose erasure is under way once all that may be is started."""
    found = ledger.start_erasures(MODEL, now=now, at_once=True)
    return [one.subject_id for one in found if one.erasure.started_at is not None]


def get_consumer(ledger: Ledger, now: datetime = AFTER) -> Consumer:
    (consumer,) = ledger.list_consumers(MODEL, now)
    return consumer


def test_consumer_holds_an_erasure_up_until_it_serves_a_version_without_the_person(served: Ledger) -> None:
    assert list_reasons(served, "ann") == (f"consumer {REPLICA} of {MODEL}, which still serves version 7",)
    # no waiting days at once, and the replica all the same
    assert start(served) == []
    before = get_consumer(served, AFTER - timedelta(seconds=1))
    assert (before.num_awaited, before.num_held_up, tell_holding([before])) == (1, 0, [])
    assert tell_holding([get_consumer(served)]) == [
        f"consumer {REPLICA} still serves version 7, and holds up the erasure of the people of 1 request until a day "
        "before it is due"
    ]
    assert tell_remembering([get_consumer(served)]) == []
    later = NOW + timedelta(hours=1)
    seen = served.record_seen(MODEL, REPLICA, "8", later)
    assert seen == Consumer(MODEL, REPLICA, NOW, "8", later, later, 0, 0, 0)
    assert list_reasons(served, "ann") == ()
    # a replica goes back to what it served before
    back = served.record_seen(MODEL, REPLICA, "7", AFTER)
    assert (back.version, back.serves_since, back.num_held_up) == ("7", AFTER, 1)
    assert start(served) == []
    served.record_seen(MODEL, REPLICA, "8", AFTER)
    assert start(served) == ["ann"]


def test_version_of_a_later_wave_does_too_and_one_reported_again_keeps_its_time(served: Ledger) -> None:
    forget(served, "bob", version="9")
    for hours in (1, 2):
        seen = served.record_seen(MODEL, REPLICA, "9", NOW + timedelta(hours=hours))
    assert (seen.serves_since, seen.seen_at) == (NOW + timedelta(hours=1), NOW + timedelta(hours=2))
    assert (list_reasons(served, "ann"), list_reasons(served, "bob")) == ((), ())
    served.record_seen(MODEL, REPLICA, "8", AFTER)
    assert list_reasons(served, "ann") == ()
    assert list_reasons(served, "bob") == (f"consumer {REPLICA} of {MODEL}, which still serves version 8",)


def test_nobody_waits_for_a_consumer_until_the_request_is_due(served: Ledger) -> None:
    assert start(served, LATE - timedelta(seconds=1)) == []
    assert get_consumer(served, LATE).num_remembered == 1
    assert start(served, LATE) == ["ann"]
    late = get_consumer(served, LATE)
    assert (late.num_awaited, late.num_held_up, late.num_remembered) == (0, 0, 1)
    assert tell_holding([late]) == []
    assert tell_remembering([late]) == [
        f"consumer {REPLICA} still serves version 7, which remembers the people of 1 request; their erasure no longer "
        "waits for it"
    ]
    served.record_destroyed(MODEL, ["R-000001"], LATE)
    served.finish_erasures(MODEL, ["R-000001"], LATE)
    assert get_consumer(served, LATE).num_remembered == 1
    served.record_seen(MODEL, REPLICA, "8", LATE)
    assert get_consumer(served, LATE).num_remembered == 0


def test_one_that_has_reported_nothing_or_what_no_wave_has_made_holds_everybody_up(served: Ledger) -> None:
    served.add_consumer(MODEL, "new one", AFTER)
    assert list_reasons(served, "ann")[0] == f"consumer new one of {MODEL}, which has not reported a version yet"
    first, _ = served.list_consumers(MODEL, AFTER)
    assert (first.name, first.version, first.num_held_up, first.num_remembered) == ("new one", None, 1, 0)
    served.record_seen(MODEL, "new one", "3", AFTER)
    assert list_reasons(served, "ann")[0] == f"consumer new one of {MODEL}, which still serves version 3"
    # registered again it is what it was
    assert served.add_consumer(MODEL, "new one", LATE).version == "3"
    served.remove_consumer(MODEL, "new one")
    served.remove_consumer(MODEL, REPLICA)
    assert (list_reasons(served, "ann"), served.list_consumers(MODEL, AFTER)) == ((), [])


def test_version_that_a_rollback_has_undone_is_not_in_the_line(served: Ledger) -> None:
    forget(served, "bob", version="9")
    served.record_seen(MODEL, REPLICA, "9", NOW)
    served.begin_rollback(
        MODEL, from_version="9", to_version="8", undone_waves=[2], reason="why", holder="elsewhere", now=AFTER
    )
    assert list_reasons(served, "ann") == (f"consumer {REPLICA} of {MODEL}, which still serves version 9",)
    claim = claim_wave(served, now=AFTER)
    served.finish_rollback(claim, [Holding("bob", 2, 1)], AFTER)
    served.record_seen(MODEL, REPLICA, "8", AFTER)
    assert list_reasons(served, "ann") == ()
    complete_wave(served, claim, "10", AFTER, AFTER)
    assert list_reasons(served, "bob") == (f"consumer {REPLICA} of {MODEL}, which still serves version 8",)


def test_consumers_of_every_model_that_has_forgotten_the_person_count(served: Ledger) -> None:
    served.record_seen(MODEL, REPLICA, "8", NOW)
    build_base(served, ["ann"], model="second")
    served.add_consumer("second", REPLICA, NOW)
    served.record_seen("second", REPLICA, "7", NOW)
    forget(served, "ann", version="9", model="second")
    assert list_reasons(served, "ann") == (f"consumer {REPLICA} of second, which still serves version 7",)
    assert get_consumer(served).num_held_up == 0
    served.record_seen("second", REPLICA, "9", NOW)
    assert start(served) == ["ann"]


def test_names_that_nobody_has_or_could_have_are_refused(served: Ledger) -> None:
    with pytest.raises(InputError, match="no consumer of digits-cnn is called 'Replica 1'; is it 'replica-1'"):
        served.record_seen(MODEL, "Replica 1", "8", NOW)
    with pytest.raises(InputError, match="is called 'x'; `amun consumer list` shows them"):
        served.remove_consumer(MODEL, "x")
    for name, words in ((" ", "name is empty"), ("a ", "has blanks around it"), ("a\nb", "an invisible character")):
        with pytest.raises(InputError, match=words):
            served.add_consumer(MODEL, name, NOW)
    with pytest.raises(InputError, match="model 'other' is not registered"):
        served.add_consumer("other", REPLICA, NOW)
    with pytest.raises(InputError, match="model 'other' is not registered"):
        served.list_consumers("other", NOW)
