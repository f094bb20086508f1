"""Demands in CSV files: what is read, and every fault named with its line and column."""

import codecs
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amun.ledger import Demand
from amun.ledger.demand_files import NUM_SHOWN, FaultyFileError, describe_faults, parse_demands

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
TEXT = 'received_at,subject_id,reference\r\n2026-01-02,Zoë,T-1\r\n2026-01-03T04:05+01:00,"a, b",\r\n\r\n,cat, T 3 \r\n'
DEMANDS = [
    Demand("Zoë", datetime(2026, 1, 2, tzinfo=UTC), "T-1"),
    Demand("a, b", datetime(2026, 1, 3, 3, 5, tzinfo=UTC), None),
    Demand("cat", None, "T 3"),
]


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.replace("\r\n", "\n").encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        TEXT.encode("utf-16"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
    ],
)
def test_columns_in_any_order_and_encodings_with_a_mark(content: bytes) -> None:
    assert parse_demands(content, NOW) == DEMANDS


def test_subjects_alone_are_enough_and_none_is_no_fault() -> None:
    assert parse_demands(b"subject_id\nann\nbob", NOW) == [Demand("ann"), Demand("bob")]
    assert parse_demands(b"subject_id\n", NOW) == []


@pytest.mark.parametrize(
    ("text", "received_at"),
    [
        ("2026-01-31T10:30+01:00", NOW),
        ("2026-01-31T09:30:00Z", NOW),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-02-01", None),  # not yet in UTC, and the day already where the sun rises first: received now
    ],
)
def test_times_and_dates(text: str, received_at: datetime | None) -> None:
    now = NOW + timedelta(hours=1) if received_at is None else NOW
    [demand] = parse_demands(f"subject_id,received_at\nann,{text}".encode(), now)
    assert demand.received_at == (received_at or now)


def test_every_faulty_line_is_named() -> None:
    long = "x" * 501
    rows = [
        "subject_id,received_at,reference",
        ",2026-01-01,",
        "ann,31.01.2026,",
        "ann,2026-01-31T09:00,a\x07b",
        "bob,2026-02-02,",
        f"{long},0001-01-01T00:00+14:00,{long}",
        "cat,2026-01-01",
        "dan ,,",
        "eve,,",
    ]
    with pytest.raises(FaultyFileError) as refused:
        parse_demands("\n".join(rows).encode(), NOW)
    assert [(fault.line, fault.column) for fault in refused.value.faults] == [
        (2, "subject_id"),
        (3, "received_at"),
        (4, "received_at"),
        (4, "reference"),
        (4, "subject_id"),
        (5, "received_at"),
        (6, "received_at"),
        (6, "reference"),
        (6, "subject_id"),
        (7, ""),
        (8, "subject_id"),
    ]
    lines = str(refused.value).splitlines()
    assert lines[0] == "7 faulty lines, nothing was recorded"
    for start, word in {
        "line 2, subject_id: ": "empty",
        "line 3, received_at: ": "'31.01.2026' is no date",
        "line 4, received_at: ": "zone",
        "line 4, reference: ": "control characters",
        "line 4, subject_id: ": "as in line 3",
        "line 5, received_at: ": "future",
        "line 6, received_at: ": "before 1970",
        "line 6, subject_id: ": "more than 500 characters",
        "line 7: ": "2 fields where the header names 3",
        "line 8, subject_id: ": "blanks around it",
    }.items():
        assert [line for line in lines if line.startswith(start) and word in line], start


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "line 1: the file is empty"),
        (b"\n\n", "line 1: the file is empty"),
        (b"ann\nbob\n", "line 1, ann: unknown column; known are subject_id"),
        (b"ann\nbob\n", "line 1, subject_id: this column is missing"),
        (b"subject_id;received_at\nann;\n", "line 1, subject_id;received_at: unknown column"),
        (b"\nsubject_id,Name\n", "line 2, Name: unknown column"),
        (b"subject_id,subject_id\n", "line 1, subject_id: this column stands twice"),
        (b"subject_id\nann\nZo\xeb\n", "line 3: byte 0xeb is no UTF-8"),
        (b"\xff\xfes\x00u", "line 1: byte 0x75 is no UTF-16"),
        (b'subject_id\n\nann\n"bob\ncat\n', "line 4: unexpected end of data, so nothing is read from here on"),
        (b'subject_id\n"a"b\n', "line 2: ',' expected after '\"'"),
        (b'subject_id,reference\n"a\nb",\nann,,\n', "line 4: 3 fields"),
        (
            b'subject_id,reference\n"a\nb",\nann,,\n',
            "line 2, subject_id: subject id 'a\\nb' has an invisible character",
        ),
    ],
)
def test_file_that_is_none_is_refused(content: bytes, fault: str) -> None:
    with pytest.raises(FaultyFileError) as refused:
        parse_demands(content, NOW)
    assert [line for line in str(refused.value).splitlines()[1:] if line.startswith(fault)], str(refused.value)


def test_many_faults_are_counted() -> None:
    content = b"subject_id\n" + b" x\n" * (NUM_SHOWN + 5)
    with pytest.raises(FaultyFileError) as refused:
        parse_demands(content, NOW)
    head, *shown, rest = str(refused.value).splitlines()
    num_faults = len(refused.value.faults)
    assert head == f"{NUM_SHOWN + 5} faulty lines, nothing was recorded"
    assert (len(shown), rest) == (NUM_SHOWN, f"and {num_faults - NUM_SHOWN} more")
    assert len(describe_faults(refused.value.faults, num_faults).splitlines()) == num_faults + 1


@given(content=st.one_of(st.binary(max_size=60), st.binary(max_size=60).map(b"subject_id,received_at\n".__add__)))
def test_whatever_a_file_holds_it_is_read_or_refused(content: bytes) -> None:
    with suppress(FaultyFileError):
        assert all(demand.subject_id for demand in parse_demands(content, NOW))
