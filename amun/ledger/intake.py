"""Taking a demand in: what each model answers, decided from what it holds and what it has forgotten."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from dateutil.relativedelta import relativedelta
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from amun.errors import InputError
from amun.ledger.database import split_chunks
from amun.ledger.records import AddedOutcome, AddedRequest, OutcomeState
from amun.ledger.schema import HoldingRow, InfoRow, ModelRow, OutcomeRow, RequestRow

MAX_SUBJECT_LENGTH = 500  # Postgres indexes up to about 2,700 bytes
# control characters, line and paragraph separators, halves of characters from undecodable bytes
UNFIT_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Standing(NamedTuple):
    """The request of a subject that decides what a new one would be for a model."""

    state: OutcomeState
    number: int
    wave_number: int | None
    due_at: datetime


Standings = dict[tuple[str, str], Standing]  # by model and subject


def add_demands(
    session: Session, subjects: Sequence[str], models: Sequence[ModelRow], received_at: datetime, now: datetime
) -> list[AddedRequest]:
    """Writes a request for each subject that needs one, and returns what becomes of each demand."""
    standings = _find_standings(session, subjects)
    held = _find_held(session, subjects)
    # what a model holds is unknown until its first base is built: until then it may hold anybody
    held |= {(model.name, subject) for model in models if model.holdings_wave is None for subject in subjects}
    names = [model.name for model in models]
    first_number = session.get_one(InfoRow, 1).next_request
    answers = _answer(subjects, names, standings, held, first_number, compute_due(received_at))
    _record(session, [answer for answer in answers if answer.is_new], received_at, now)
    return answers


def compute_due(received_at: datetime) -> datetime:
    """Returns when a request is due: one calendar month later (GDPR art. 12(3)), counted in UTC.

    Where the next month has no such day, its last one.
    """
    return received_at.astimezone(UTC) + relativedelta(months=1)


def check_subject(subject_id: str) -> None:
    """Refuses a subject id that nobody could have meant.

    Raises:
        InputError: it is empty, blank, too long or has control characters.
    """
    if not subject_id.strip():
        raise InputError("a subject id is empty; name the person as the data set does")
    if UNFIT_CHARACTERS.search(subject_id):
        raise InputError(f"subject id {subject_id!r} has control characters; name the person as the data set does")
    if len(subject_id) > MAX_SUBJECT_LENGTH:
        raise InputError(
            f"subject id {subject_id[:40]!r}... is longer than {MAX_SUBJECT_LENGTH} characters; shorten it"
        )


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


def check_received(received_at: datetime | None, now: datetime) -> datetime:
    """Returns when a demand was received, `now` unless said.

    Raises:
        InputError: the time has no zone or lies in the future.
    """
    if received_at is None:
        return now
    if received_at.tzinfo is None:
        raise InputError(
            f"received at {received_at.isoformat()}: give the time with its zone, as in 2026-01-31T09:00+01:00"
        )
    if received_at > now:
        raise InputError(f"received at {received_at.isoformat()}: this lies in the future; give the time of receipt")
    return received_at


def _find_standings(session: Session, subjects: Sequence[str]) -> Standings:
    """Returns each subject's request that is live, or else completed, for each model."""
    found: Standings = {}
    for chunk in split_chunks(subjects):
        query = (
            select(
                OutcomeRow.model,
                OutcomeRow.subject_id,
                OutcomeRow.state,
                OutcomeRow.request_number,
                OutcomeRow.wave_number,
                RequestRow.due_at,
            )
            .join(RequestRow, OutcomeRow.request_number == RequestRow.number)
            .where(OutcomeRow.subject_id.in_(chunk), OutcomeRow.state.in_(["pending", "in_wave", "completed"]))
        )
        for model, subject, *standing in session.execute(query):
            found[model, subject] = Standing(*standing)
    return found


def _find_held(session: Session, subjects: Sequence[str]) -> set[tuple[str, str]]:
    """Returns which models hold which of the subjects."""
    held: set[tuple[str, str]] = set()
    for chunk in split_chunks(subjects):
        query = select(HoldingRow.model, HoldingRow.subject_id).where(HoldingRow.subject_id.in_(chunk))
        held.update(session.execute(query).tuples())
    return held


def _answer(
    subjects: Iterable[str],
    models: Sequence[str],
    standings: Standings,
    held: set[tuple[str, str]],
    first_number: int,
    due_at: datetime,
) -> list[AddedRequest]:
    """Returns what becomes of each subject's demand; new requests are numbered from `first_number`."""
    answers: list[AddedRequest] = []
    number = first_number
    for subject in subjects:
        request_id = format_request_id(number)
        outcomes = tuple(
            _decide(model, standings.get((model, subject)), (model, subject) in held, request_id, due_at)
            for model in models
        )
        is_new = any(outcome.is_new for outcome in outcomes)
        number += is_new
        shown = next(
            filter(lambda outcome: outcome.is_new, outcomes), min(outcomes, key=lambda outcome: outcome.due_at)
        )
        answers.append(AddedRequest(subject, is_new, shown.request_id, shown.due_at, outcomes))
    return answers


def _decide(model: str, standing: Standing | None, is_held: bool, request_id: str, due_at: datetime) -> AddedOutcome:
    match standing:
        case None:
            return AddedOutcome(model, "pending" if is_held else "nothing_held", True, request_id, due_at, None)
        case Standing(state="completed"):
            return AddedOutcome(model, "already_forgotten", True, request_id, due_at, standing.wave_number)
        case _:
            earlier_id = format_request_id(standing.number)
            return AddedOutcome(model, standing.state, False, earlier_id, standing.due_at, standing.wave_number)


def _record(session: Session, answers: Sequence[AddedRequest], received_at: datetime, now: datetime) -> None:
    """Writes new requests and their new outcomes, and counts their numbers as used."""
    requests: list[dict[str, Any]] = [
        {
            "number": parse_request_id(answer.request_id),
            "subject_id": answer.subject_id,
            "received_at": received_at,
            "due_at": answer.due_at,
        }
        for answer in answers
    ]
    outcomes: list[dict[str, Any]] = [
        {
            "request_number": parse_request_id(answer.request_id),
            "model": outcome.model,
            "subject_id": answer.subject_id,
            "state": outcome.state,
            "wave_number": outcome.wave_number,
            "decided_at": None if outcome.state == "pending" else now,
        }
        for answer in answers
        for outcome in answer.outcomes
        if outcome.is_new
    ]
    if requests:
        session.execute(insert(RequestRow), requests)
        session.execute(insert(OutcomeRow), outcomes)
        session.get_one(InfoRow, 1).next_request += len(requests)
