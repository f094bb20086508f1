"""A file of demands is taken or rejected once, together with its requests, whoever else is at it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from amun.core.errors import InputError
from amun.ledger import Demand, FileId, Ledger
from tests.amun.ledger.helpers import MODEL, NOW, add, build_base, list_states, run_together

FILE = FileId("s3://bucket/requests", "monday.csv", "", "0123", NOW)


def test_file_is_taken_once_with_its_requests(ledger: Ledger) -> None:
    build_base(ledger, ["ann", "bob"])
    add(ledger, "bob")
    assert ledger.find_file(FILE) is None
    received = NOW - timedelta(days=3)
    taken = ledger.take_file(FILE, [Demand("ann", received, "T-17"), Demand("bob"), Demand("eve")], now=NOW)
    assert [(answer.request_id, answer.is_new) for answer in taken.added] == [
        ("R-000002", True),
        ("R-000001", False),
        ("R-000003", True),
    ]
    known = ledger.find_file(FILE)
    assert known is not None
    assert (known.number, known.reason, known.added) == (taken.number, None, ())
    assert ledger.take_file(FILE, [Demand("ann")], now=NOW) == known
    first, second, _ = ledger.list_requests()
    assert (first.file_number, first.reference) == (None, None)
    assert (second.file_number, second.reference, second.received_at) == (taken.number, "T-17", received)
    assert list_states(ledger) == [("R-000001", "pending"), ("R-000002", "pending"), ("R-000003", "unmatched")]


@pytest.mark.parametrize(
    "other",
    [
        replace(FILE, source="s3://bucket/elsewhere"),
        replace(FILE, name="tuesday.csv"),
        replace(FILE, version="2"),
        replace(FILE, etag="4567"),
        replace(FILE, modified_at=NOW + timedelta(microseconds=1)),
        replace(FILE, name="m" * 5000),
    ],
)
def test_what_differs_in_anything_is_another_file(ledger: Ledger, other: FileId) -> None:
    build_base(ledger, ["ann"])
    ledger.reject_file(FILE, "empty", now=NOW)
    assert ledger.find_file(other) is None
    assert ledger.take_file(other, [Demand("ann")], now=NOW).reason is None
    assert list_states(ledger) == [("R-000001", "pending")]


def test_rejected_file_keeps_its_reason(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    rejected = ledger.reject_file(FILE, "line 1: empty", now=NOW)
    assert ledger.find_file(FILE) == rejected
    assert ledger.take_file(FILE, [Demand("ann")], now=NOW) == rejected
    assert ledger.list_requests() == []


def test_file_that_is_refused_leaves_no_trace(ledger: Ledger) -> None:
    with pytest.raises(InputError, match="no model is registered"):
        ledger.take_file(FILE, [Demand("ann")], now=NOW)
    assert ledger.find_file(FILE) is None


def test_several_processes_take_a_file_once(ledger: Ledger, url: str) -> None:
    build_base(ledger, ["ann"])
    assert sorted(run_together(_take, [(url,)] * 4)) == [0, 0, 0, 1]
    assert list_states(ledger) == [("R-000001", "unmatched")]
    assert ledger.count_status(MODEL, NOW).pending == 0


def _take(url: str) -> int:
    with Ledger(url) as ledger:
        return len(ledger.take_file(FILE, [Demand("eve")], now=NOW).added)
