"""What a demand may say: ids, texts and times that somebody could have meant."""

import re
from datetime import UTC, datetime

from amun.core.errors import InputError
from amun.core.subject_ids import MAX_LENGTH, find_fault

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
# control characters, line and paragraph separators, halves of characters from undecodable bytes
UNFIT_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def check_subject(subject_id: str) -> None:
    """Refuses a subject id that no source could have, wherever it comes from.

    Raises:
        InputError: it is empty, blank or too long, has blanks around it or invisible characters.
    """
    if not subject_id.strip():
        raise InputError("a subject id is empty; name the person as the data set does")
    if fault := find_fault(subject_id):
        raise InputError(f"subject id {subject_id[:40]!r} has {fault}; write it as the data set does")


def check_reference(reference: str) -> None:
    """Refuses what is no reference of a ticket; raises as `check_subject`."""
    check_text("reference", reference, "write the ticket's number, or nothing")


def check_reason(reason: str) -> None:
    """Refuses what is no reason; raises as `check_subject`."""
    check_text("reason", reason, "say in one line why")


def check_text(what: str, text: str, advice: str) -> None:
    """Refuses a text that is empty, blank, too long or has control characters.

    Raises:
        InputError: it is; the line says `what` it is and gives the `advice`.
    """
    article = "an" if what[0] in "aeiou" else "a"
    if not text.strip():
        raise InputError(f"{article} {what} is empty; {advice}")
    if UNFIT_CHARACTERS.search(text):
        raise InputError(f"{what} {text[:40]!r} has control characters; {advice}")
    if len(text) > MAX_LENGTH:
        raise InputError(f"{what} {text[:40]!r}... is longer than {MAX_LENGTH} characters; shorten it")


def check_received(received_at: datetime | None, now: datetime) -> datetime:
    """Returns when a demand was received, `now` unless said.

    Raises:
        InputError: the time has no zone, lies in the future, or before 1970.
    """
    if received_at is None:
        return now
    if received_at.tzinfo is None:
        raise InputError(
            f"received at {received_at.isoformat()}: give the time with its zone, as in 2026-01-31T09:00+01:00"
        )
    if received_at > now:
        raise InputError(f"received at {received_at.isoformat()}: this lies in the future; give the time of receipt")
    if received_at < EARLIEST:
        raise InputError(f"received at {received_at.isoformat()}: this lies before 1970; give the time of receipt")
    return received_at


def format_request_id(number: int) -> str:
    """Returns the id that people see."""
    return f"R-{number:06d}"


def parse_request_id(request_id: str) -> int:
    """Returns the request's number.

    Raises:
        InputError: it is no id of a request.
    """
    if not re.fullmatch(r"R-[0-9]{6,9}", request_id):
        raise InputError(f"{request_id!r} is no request; ids look like R-000001, `amun request list` shows them")
    return int(request_id[2:])
