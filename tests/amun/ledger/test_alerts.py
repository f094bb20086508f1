"""Who was told what is kept once for all who share a ledger, and what failed is tried again."""

from datetime import timedelta

import pytest

from amun.core.errors import InputError
from amun.ledger import FileId, Ledger, NewAlert, Night
from amun.ledger.alerts import TELLING, TRIED_FOR
from amun.ledger.demands import Demand
from tests.amun.ledger.helpers import MODEL, NOW, add, build_base, claim_wave, run_together

PARKED = NewAlert("wave-parked", "7", "wave 7 is parked")
MONDAY = NewAlert("request-overdue", "", "1 request is past the due date", "2026-02-02")
TUESDAY = NewAlert("request-overdue", "", "2 requests are past the due date", "2026-02-03")
DAY = timedelta(days=1)
CHANNELS = ["e-mail", "webhook"]


@pytest.fixture
def books(ledger: Ledger) -> Ledger:
    build_base(ledger, ["ann", "bob", "eve"])
    return ledger


def tell(ledger: Ledger, channel: str = "e-mail", *, after: timedelta = timedelta(), failure: str = "") -> list[str]:
    """Tells what is to be told then, and returns the lines of it."""
    claimed = ledger.claim_deliveries(MODEL, channel, NOW + after)
    ledger.settle_deliveries([one.number for one in claimed], channel, NOW + after, NOW + after, failure)
    return [one.line for one in claimed]


def test_one_thing_is_told_once_over_each_channel(books: Ledger) -> None:
    assert books.raise_alerts(MODEL, [PARKED, MONDAY], CHANNELS, NOW) == 2
    assert books.raise_alerts(MODEL, [PARKED, MONDAY], CHANNELS, NOW + DAY) == 0
    assert tell(books) == [PARKED.line, MONDAY.line]
    assert tell(books, after=DAY) == []
    assert tell(books, "webhook") == [PARKED.line, MONDAY.line]
    told = books.list_alerts(MODEL)
    assert [[(one.channel, one.delivered_at) for one in alert.deliveries] for alert in told] == [
        [("e-mail", NOW), ("webhook", NOW)]
    ] * 2


def test_what_somebody_without_a_channel_has_raised_is_told_over_those_that_others_have(books: Ledger) -> None:
    assert books.raise_alerts(MODEL, [PARKED, MONDAY], [], NOW) == 2
    assert books.raise_alerts(MODEL, [PARKED, MONDAY], ["webhook"], NOW + timedelta(hours=1)) == 0
    assert tell(books, "webhook", after=DAY) == [PARKED.line, MONDAY.line]
    assert books.raise_alerts(MODEL, [PARKED], CHANNELS, NOW + DAY) == 0
    assert tell(books, "webhook", after=DAY) == []
    assert tell(books, after=DAY) == [PARKED.line]
    # of what nobody is told any more nothing waits
    assert books.raise_alerts(MODEL, [MONDAY], CHANNELS, NOW + TRIED_FOR) == 0
    assert [len(alert.deliveries) for alert in books.list_alerts(MODEL)] == [2, 1]


def test_what_lasts_is_told_once_a_day(books: Ledger) -> None:
    books.raise_alerts(MODEL, [MONDAY], CHANNELS, NOW)
    assert tell(books) == [MONDAY.line]
    assert books.raise_alerts(MODEL, [TUESDAY], CHANNELS, NOW + DAY) == 1
    assert tell(books, after=DAY) == [TUESDAY.line]


def test_what_failed_is_tried_again_and_of_what_lasts_the_latest_alone(books: Ledger) -> None:
    books.raise_alerts(MODEL, [PARKED, MONDAY], CHANNELS, NOW)
    assert tell(books, failure="no route") == [PARKED.line, MONDAY.line]
    parked, _ = books.list_alerts(MODEL)
    assert [(one.delivered_at, one.failure) for one in parked.deliveries] == [(None, "no route"), (None, None)]
    books.raise_alerts(MODEL, [TUESDAY], CHANNELS, NOW + DAY)
    assert tell(books, after=DAY) == [PARKED.line, TUESDAY.line]
    parked, monday, _ = books.list_alerts(MODEL)
    assert (parked.deliveries[0].delivered_at, parked.deliveries[0].failure) == (NOW + DAY, None)
    assert monday.deliveries[0].delivered_at is None


def test_nobody_is_told_old_news(books: Ledger) -> None:
    books.raise_alerts(MODEL, [PARKED], CHANNELS, NOW)
    assert tell(books, after=TRIED_FOR) == []
    assert tell(books, after=TRIED_FOR - timedelta(seconds=1)) == [PARKED.line]


def test_what_somebody_is_telling_nobody_else_tells_until_they_are_dead(books: Ledger) -> None:
    books.raise_alerts(MODEL, [PARKED], CHANNELS, NOW)
    (claimed,) = books.claim_deliveries(MODEL, "e-mail", NOW)
    assert tell(books, after=TELLING) == []
    assert tell(books, after=TELLING + timedelta(seconds=1)) == [PARKED.line]
    # who was taken for dead and is not leaves what the other has recorded
    books.settle_deliveries([claimed.number], "e-mail", NOW, NOW + DAY, "late")
    assert books.list_alerts(MODEL)[0].deliveries[0].failure is None


def test_who_was_taken_for_dead_does_not_end_what_another_is_telling(books: Ledger) -> None:
    books.raise_alerts(MODEL, [PARKED], CHANNELS, NOW)
    (claimed,) = books.claim_deliveries(MODEL, "e-mail", NOW)
    later = NOW + 2 * TELLING
    assert len(books.claim_deliveries(MODEL, "e-mail", later)) == 1
    books.settle_deliveries([claimed.number], "e-mail", NOW, later, "late")
    assert books.claim_deliveries(MODEL, "e-mail", later) == []


def test_several_processes_tell_it_once(books: Ledger, url: str) -> None:
    books.raise_alerts(MODEL, [PARKED, MONDAY], ["e-mail"], NOW)
    assert sorted(run_together(_claim, [(url,)] * 3)) == [0, 0, 2]


def test_several_processes_raise_it_once(books: Ledger, url: str) -> None:
    assert sum(run_together(_raise, [(url,)] * 3)) == 1
    assert len(books.list_alerts(MODEL)) == 1


def _claim(url: str) -> int:
    with Ledger(url) as ledger:
        return len(ledger.claim_deliveries(MODEL, "e-mail", NOW))


def _raise(url: str) -> int:
    with Ledger(url) as ledger:
        return ledger.raise_alerts(MODEL, [PARKED], ["e-mail"], NOW)


def test_a_model_nobody_knows_is_refused(ledger: Ledger) -> None:
    for call in (
        lambda: ledger.raise_alerts("ghost", [PARKED], [], NOW),
        lambda: ledger.list_alerts("ghost"),
        lambda: ledger.record_night("ghost", NOW, is_good=True),
    ):
        with pytest.raises(InputError, match="'ghost' is not registered"):
            call()


def test_nights_are_kept(books: Ledger) -> None:
    assert books.find_night(MODEL) is None
    books.record_night(MODEL, NOW, is_good=True)
    books.record_night(MODEL, NOW + DAY, is_good=False)
    assert books.find_night(MODEL) == Night(ended_at=NOW + DAY, good_at=NOW)


def test_requests_that_wait_are_counted_by_their_due_date(books: Ledger) -> None:
    ann, _ = add(books, "ann", "bob")
    add(books, "nobody we know", now=NOW + DAY)
    due = books.get_request(ann).due_at
    assert [books.count_due(MODEL, due + days * DAY) for days in (-1, 0, 1)] == [0, 2, 3]
    books.hold_request(ann, "a court says so", now=NOW)
    assert books.count_due(MODEL, due) == 1


def test_files_that_need_a_person_are_told_by_number(books: Ledger) -> None:
    taken = [FileId("/in", f"{name}.csv", "", name, NOW) for name in ("well", "mixed", "bad")]
    books.take_file(taken[0], [Demand("bob")], now=NOW)
    books.take_file(taken[1], [Demand("ann"), Demand("stranger"), Demand("nobody")], now=NOW)
    books.reject_file(taken[2], "row 2: no subject", now=NOW)
    news = books.list_file_news(MODEL, NOW, "/in")
    assert [(one.number, one.is_rejected, one.num_unmatched) for one in news] == [(2, False, 2), (3, True, 0)]
    assert books.list_file_news(MODEL, NOW + timedelta(seconds=1), "/in") == []
    # what was rejected where another workspace takes files from is told there
    for source in ("/elsewhere", None):
        assert [one.number for one in books.list_file_news(MODEL, NOW, source)] == [2]


def test_a_parked_wave_says_what_that_is(books: Ledger) -> None:
    for parked_as in ("parked", "waiting", "nothing"):
        add(books, "ann")
        books.park_wave(claim_wave(books), "why", NOW, parked_as)
    assert [wave.parked_as for wave in books.list_waves(MODEL)] == [None, "parked", "waiting", "nothing"]
