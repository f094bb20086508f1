"""Demands in a CSV file: columns `subject_id` and, optional, `received_at`, `reference`, `law`, in any order.

Text is UTF-8, with or without a byte order mark, or UTF-16 with one; columns are separated by commas.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from io import StringIO
from typing import Any, NamedTuple

from amun.core.csv_lines import TornLineError, decode_text, describe_count, read_lines
from amun.core.errors import InputError
from amun.core.subject_ids import normalise
from amun.ledger import Demand
from amun.ledger.checks import check_received, check_reference, check_subject
from amun.ledger.laws import Law, check_law

COLUMNS = ("subject_id", "received_at", "reference", "law")
NUM_SHOWN = 20
# where the day begins first, it is this much earlier than in UTC
FIRST_ZONE = timedelta(hours=14)


class Fault(NamedTuple):
    """What is wrong in a line, counted from 1 with the header; `column` is empty where it is the line as a whole."""

    line: int
    column: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}{', ' * bool(self.column)}{self.column}: {self.reason}"


class FaultyFileError(InputError):
    """A file of demands with faults: none of its demands counts."""

    def __init__(self, faults: Sequence[Fault]):
        super().__init__(describe_faults(faults, NUM_SHOWN))
        self.faults = faults


def describe_faults(faults: Sequence[Fault], num_shown: int) -> str:
    """Returns one line for each of the first faults, after one that counts them all."""
    count = len({fault.line for fault in faults})
    head = f"{count} faulty line{'s' * (count != 1)}, nothing was recorded"
    rest = len(faults) - num_shown
    return "\n".join([head, *map(str, faults[:num_shown]), *([f"and {rest} more"] if rest > 0 else [])])


def parse_demands(content: bytes, now: datetime) -> list[Demand]:
    """Returns the demands that a CSV file makes, in its order.

    A date without a time is its first moment in UTC, but never later than `now`.

    Raises:
        FaultyFileError: every faulty line, its column and what is wrong; a subject that stands twice is a fault.
    """
    faults: list[Fault] = []
    demands: list[Demand] = []
    first_lines: dict[str, int] = {}
    header: list[str] = []
    for line, fields in _read_lines(_decode(content), faults):
        if not header:
            header = _read_header(line, fields)
        elif len(fields) != len(header):
            faults.append(Fault(line, "", describe_count(len(fields), len(header))))
        else:
            demand = _read_demand(line, dict(zip(header, fields, strict=True)), now, faults)
            first_line = first_lines.setdefault(normalise(demand.subject_id), line)
            if demand.subject_id and first_line != line:
                faults.append(Fault(line, "subject_id", f"the same person as in line {first_line}; keep one of them"))
            demands.append(demand)
    if not header and not faults:
        faults.append(Fault(1, "", f"the file is empty; its first line names the columns: {', '.join(COLUMNS)}"))
    if faults:
        raise FaultyFileError(sorted(faults))
    return demands


def _decode(content: bytes) -> str:
    try:
        return decode_text(content)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        encoding = "UTF-8" if error.encoding == "utf-8" else "UTF-16"
        reason = f"byte {content[error.start]:#04x} is no {encoding}; save the file as UTF-8"
        raise FaultyFileError([Fault(line, "", reason)]) from None


def _read_lines(text: str, faults: list[Fault]) -> Iterator[tuple[int, list[str]]]:
    """Yields each line that is not empty with its number, up to one that cannot be read."""
    try:
        yield from read_lines(StringIO(text, newline=""))
    except TornLineError as error:
        reason = f"{error.reason}, so nothing is read from here on; is a quotation mark not closed?"
        faults.append(Fault(error.line, "", reason))


def _read_header(line: int, fields: Sequence[str]) -> list[str]:
    """Returns the columns in their order.

    Raises:
        FaultyFileError: `subject_id` is missing, or a column is unknown or stands twice.
    """
    header = [field.strip() for field in fields]
    known = f"known are {', '.join(COLUMNS)}, separated by commas"
    faults = [Fault(line, name, f"unknown column; {known}") for name in header if name not in COLUMNS]
    faults += [Fault(line, name, "this column stands twice") for name in COLUMNS if header.count(name) > 1]
    if "subject_id" not in header:
        faults.append(Fault(line, "subject_id", "this column is missing from the header"))
    if faults:
        raise FaultyFileError(sorted(faults))
    return header


def _read_demand(line: int, row: dict[str, str], now: datetime, faults: list[Fault]) -> Demand:
    """Returns the demand of a line; what is wrong with it goes to `faults`."""
    values: dict[str, Any] = {"subject_id": row["subject_id"]}
    for column, text in row.items():
        try:
            values[column] = _PARSERS[column](text, now)
        except InputError as error:
            faults.append(Fault(line, column, str(error)))
    return Demand(**values)


def _parse_subject(text: str, _: datetime) -> str:
    check_subject(text)
    return text


def parse_received(text: str, now: datetime) -> datetime | None:
    """Returns when a demand was received; None where the text is empty.

    Raises:
        InputError: it is no date or time, has no zone, or lies in the future or before 1970.
    """
    if not text.strip():
        return None
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        return check_received(_parse_moment(text.strip()), now)
    midnight = datetime.combine(day, time(), UTC)
    check_received(midnight, now + FIRST_ZONE)
    return min(midnight, now)


def _parse_moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"{text[:40]!r} is no date or time; write it as 2026-01-31 or 2026-01-31T09:00+01:00"
        ) from None


def _parse_reference(text: str, _: datetime) -> str | None:
    if not text.strip():
        return None
    check_reference(text.strip())
    return text.strip()


def _parse_law(text: str, _: datetime) -> Law:
    return check_law(text)


_PARSERS: dict[str, Callable[[str, datetime], Any]] = {
    "subject_id": _parse_subject,
    "received_at": parse_received,
    "reference": _parse_reference,
    "law": _parse_law,
}
