"""The ledger tells the time of its server, and the latest that a program has written."""

from datetime import UTC, datetime, timedelta

from amun.ledger import Ledger
from tests.amun.ledger.helpers import MODEL, add, build_base, claim_wave


def test_newest_stamp_is_of_whatever_was_written_last(ledger: Ledger) -> None:
    assert ledger.find_newest_stamp() is None
    build_base(ledger, ["ann", "bob"])
    base = ledger.find_newest_stamp()
    assert base is not None
    later = base + timedelta(days=1)
    add(ledger, "ann", now=later)
    # when somebody has asked may be told by another program
    assert ledger.find_newest_stamp() == base
    claim_wave(ledger, now=later)
    assert ledger.find_newest_stamp() == later
    ledger.record_night(MODEL, later + timedelta(hours=1), is_good=True)
    assert ledger.find_newest_stamp() == later + timedelta(hours=1)


def test_a_server_tells_its_time_and_a_file_none(ledger: Ledger, url: str) -> None:
    told = ledger.read_server_time()
    if url.startswith("sqlite"):
        assert told is None
    else:
        assert told is not None
        assert abs(datetime.now(UTC) - told) < timedelta(seconds=30), "it runs on this machine"
