"""Receipts in the ledger: drafted, issued once in one chain, emptied; and when a wave was run again."""

from datetime import timedelta
from functools import partial

import pytest

from amun.core.errors import AmunError, InputError
from amun.evidence.receipt import ChainEntry, Draft, Draw, Held, Reproduction
from amun.ledger import Ledger
from amun.receipts.chain import append_entry, find_break
from amun.receipts.entries import write_line
from tests.amun.ledger.helpers import MODEL, NOW, add, build_base, claim_wave, complete_wave, run_together
from tests.amun.receipts.bodies import DRAW, KEY

DRAFT = Draft(held=Held(num_train=2, num_held_out=1, in_files=()), num_keys=1)


def append(before: ChainEntry | None, commitment: str = "0" * 64) -> ChainEntry:
    return append_entry(KEY, MODEL, before, commitment, NOW)


@pytest.fixture
def erased(ledger: Ledger) -> list[str]:
    """The requests of three people, of whom the first two are erased and drafted, the first one last."""
    build_base(ledger, ["ann", "bob", "cat"])
    requests = add(ledger, "ann", "bob", "cat")
    complete_wave(ledger, claim_wave(ledger), erase_after=NOW)
    ledger.start_erasures(MODEL, now=NOW)
    ledger.draft_receipts(MODEL, {requests[0]: DRAFT, requests[1]: DRAFT, requests[2]: DRAFT})
    ledger.finish_erasures(MODEL, [requests[1]], NOW)
    ledger.finish_erasures(MODEL, [requests[0]], NOW + timedelta(hours=1))
    return requests


def issue(ledger: Ledger, request: str, sealed: bytes = b"sealed") -> None:
    ledger.add_receipt(MODEL, request, sealed, append)


def test_draft_waits_until_its_person_is_erased(ledger: Ledger, erased: list[str]) -> None:
    drafted = ledger.list_drafted(MODEL)
    assert [(one.request_id, one.wave_number) for one in drafted] == [(erased[1], 1), (erased[0], 1)]
    assert {one.draft for one in drafted} == {DRAFT}
    other = DRAFT.model_copy(update={"num_keys": 9})
    ledger.draft_receipts(MODEL, {erased[0]: other})
    assert {one.draft for one in ledger.list_drafted(MODEL)} == {DRAFT}
    assert ledger.find_undrafted(MODEL, [*erased, "R-000009"]) == {"R-000009"}
    assert ledger.count_without_receipt(MODEL) == 0


def test_receipts_are_issued_once_each_in_one_chain(ledger: Ledger, erased: list[str]) -> None:
    for _ in range(2):
        for one in ledger.list_drafted(MODEL):
            issue(ledger, one.request_id)
        issue(ledger, erased[1], b"another")
    receipts = ledger.list_receipts(MODEL)
    assert [(one.request_id, one.entry.number, one.has_body) for one in receipts] == [
        (erased[1], 1, True),
        (erased[0], 2, True),
    ]
    assert find_break([one.entry for one in receipts], MODEL) == ""
    assert ledger.list_drafted(MODEL) == []
    assert [ledger.find_receipt(MODEL, request) for request in erased] == [receipts[1], receipts[0], None]
    assert ledger.read_sealed(MODEL, erased[1]) == b"sealed"
    assert ledger.read_sealed(MODEL, erased[2]) is None
    assert ledger.find_undrafted(MODEL, erased) == set()


def test_body_goes_and_its_entry_stays(ledger: Ledger, erased: list[str]) -> None:
    issue(ledger, erased[0])
    issue(ledger, erased[1])
    before = [write_line(one.entry) for one in ledger.list_receipts(MODEL)]
    for later in (0, 1):
        ledger.empty_receipts(MODEL, [erased[0], erased[2]], NOW + timedelta(days=later))
    first, second = ledger.list_receipts(MODEL)
    assert (first.has_body, first.destroyed_at, second.has_body, second.destroyed_at) == (False, NOW, True, None)
    assert [write_line(one.entry) for one in (first, second)] == before
    assert ledger.read_sealed(MODEL, erased[0]) is None


def test_commit_is_recorded_once(ledger: Ledger, erased: list[str]) -> None:
    issue(ledger, erased[0])
    ledger.record_committed(MODEL, [1], "c1")
    issue(ledger, erased[1])
    ledger.record_committed(MODEL, [1, 2], "c2")
    assert [one.commit for one in ledger.list_receipts(MODEL)] == ["c1", "c2"]


def test_whoever_was_erased_without_a_draft_is_counted(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    (request,) = add(ledger, "ann")
    complete_wave(ledger, claim_wave(ledger), erase_after=NOW)
    ledger.start_erasures(MODEL, now=NOW)
    ledger.finish_erasures(MODEL, [request], NOW)
    assert (ledger.list_drafted(MODEL), ledger.count_without_receipt(MODEL)) == ([], 1)


def test_damaged_entry_is_told(ledger: Ledger, erased: list[str]) -> None:
    issue(ledger, erased[0])
    with ledger._write() as session:
        session.connection().exec_driver_sql("UPDATE receipts SET entry = '{}'")
    for ask in (partial(ledger.list_receipts, MODEL), partial(issue, ledger, erased[1])):
        with pytest.raises(AmunError, match="a receipt in the ledger"):
            ask()


def test_several_processes_make_one_chain(ledger: Ledger, url: str, erased: list[str]) -> None:
    run_together(_issue_in_process, [(url, request) for request in erased[:2]] * 2)
    receipts = ledger.list_receipts(MODEL)
    assert [one.entry.number for one in receipts] == [1, 2]
    assert find_break([one.entry for one in receipts], MODEL) == ""


def _issue_in_process(url: str, request: str) -> None:
    with Ledger(url) as ledger:
        issue(ledger, request)


def test_last_time_that_a_wave_was_run_again_is_kept(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    assert ledger.find_reproduction(MODEL, 0) is None
    for later, differing in ((0, ("metrics/audit.json",)), (1, ())):
        last = Reproduction(finished_at=NOW + timedelta(days=later), differing=differing, software="0.2.0")
        ledger.record_reproduction(MODEL, 0, last)
    assert ledger.find_reproduction(MODEL, 0) == last
    with pytest.raises(InputError, match="has no wave 1"):
        ledger.record_reproduction(MODEL, 1, last)


def test_last_draw_stays_until_the_next_one_whatever_is_run_in_between(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])

    def record(days: int, wave: int = 0, draw: Draw | None = None) -> Reproduction:
        now = NOW + timedelta(days=days)
        run = Reproduction(finished_at=now, differing=(), software="0.2.0", draw=draw)
        ledger.record_reproduction(MODEL, wave, run)
        assert ledger.find_reproduction(MODEL, wave) == run
        return run

    assert ledger.find_drawn(MODEL) is None
    record(0)
    assert ledger.find_drawn(MODEL) is None
    drawn = record(1, draw=DRAW)
    record(2)
    record(3)
    assert ledger.find_drawn(MODEL) == drawn
    assert ledger.find_drawn("faces") is None
    add(ledger, "ann")
    complete_wave(ledger, claim_wave(ledger))
    later = record(4, 1, DRAW.model_copy(update={"value": "another"}))
    record(5)
    assert ledger.find_drawn(MODEL) == later
    again = record(6, draw=DRAW)
    assert ledger.find_drawn(MODEL) == again
