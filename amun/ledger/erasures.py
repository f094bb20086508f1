"""Erasures: whose keys are to be destroyed and when, what holds that up, and how far it has come.

A key is one for all models that share a key store: it may go once every model that holds the person has forgotten them.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, exists, func, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from amun.core.databases import split_chunks
from amun.core.errors import InputError
from amun.core.near_ids import ask_for, suggest_ids
from amun.core.subject_ids import normalise
from amun.ledger.checks import check_subject, format_request_id, parse_request_id
from amun.ledger.consumers import list_serving
from amun.ledger.database import Database
from amun.ledger.lookups import HOLD_IS_OPEN, SAME_OUTCOME, check_model
from amun.ledger.records import PlannedErasure
from amun.ledger.requests import describe_erasure
from amun.ledger.schema import (
    LIVE_STATES,
    ErasureRow,
    HoldingRow,
    HoldRow,
    OutcomeRow,
    RequestRow,
    RollbackRow,
    UndoneWaveRow,
    WaveRow,
)

Reasons = Iterator[tuple[str, str]]  # a subject, and what holds its erasure up


class ErasureBook(Database):
    """The part of the ledger that says who is erased."""

    def list_erasures(self, model: str, now: datetime) -> list[PlannedErasure]:
        """Returns all erasures of a model, those that may be started first at the head.

        Raises:
            InputError: the model is not registered.
        """
        with self._read() as session:
            check_model(session, model, self.name)
            return read_erasures(session, model, now)

    def plan_erasures(
        self, model: str, *, now: datetime, at_once: bool = False, subjects: Collection[str] | None = None
    ) -> list[PlannedErasure]:
        """Returns the erasures that are not finished; those that nothing holds up can be started.

        Args:
            model: the model.
            now: the present time.
            at_once: waiting days hold nothing up.
            subjects: whose; None is everybody's. What an earlier call has started is there, whoever is asked for.

        Raises:
            InputError: the model is not registered, or a wave has forgotten no such subject.
        """
        with self._read() as session:
            check_model(session, model, self.name)
            return _plan(session, model, now, at_once, subjects)

    def start_erasures(
        self, model: str, *, now: datetime, at_once: bool = False, subjects: Collection[str] | None = None
    ) -> list[PlannedErasure]:
        """Starts the planned erasures that nothing holds up, and returns all as they then stand; see `plan_erasures`.

        Nothing can stop them from then on. They are started for every model: the keys are the same.
        """
        with self._write() as session:
            check_model(session, model, self.name)
            planned = _plan(session, model, now, at_once, subjects)
            _start(session, [one.subject_id for one in planned if not one.held_up_by], now)
            return _plan(session, model, now, at_once, subjects)

    def record_destroyed(self, model: str, request_ids: Collection[str], now: datetime) -> None:
        """Records that no key of these requests' people is left; what was recorded before stays."""
        with self._write() as session:
            _mark(session, model, request_ids, ErasureRow.keys_destroyed_at, now)

    def finish_erasures(self, model: str, request_ids: Collection[str], now: datetime) -> None:
        """Records that these requests' people are erased; what was recorded before stays."""
        with self._write() as session:
            _mark(session, model, request_ids, ErasureRow.erased_at, now)

    def list_erased(self) -> list[str]:
        """Returns everybody whose erasure is started or done, whatever the model."""
        query = select(OutcomeRow.subject_id).join(ErasureRow, SAME_OUTCOME).where(ErasureRow.started_at.is_not(None))
        with self._read() as session:
            return sorted(set(session.scalars(query)))

    def count_destroyed(self) -> int:
        """Returns in how many erasures keys are destroyed: of one person as many as models have forgotten them."""
        query = select(func.count()).where(ErasureRow.keys_destroyed_at.is_not(None))
        with self._read() as session:
            return session.scalar(query) or 0

    def find_erased(self, model: str, waves: Collection[int], now: datetime) -> list[PlannedErasure]:
        """Returns the erasures of people whom these waves have forgotten that are started or done, oldest first."""
        with self._read() as session:
            return read_erasures(session, model, now, *is_begun(waves))


def tell_erased(erased: Sequence[PlannedErasure]) -> str:
    """Returns since when people are erased, in words that name nobody: `erased on DATE under request R`."""
    first, others = erased[0], f" and {len(erased) - 1} more" if len(erased) > 1 else ""
    done_at, begun_at = first.erasure.erased_at, first.erasure.started_at
    told = f"erased on {done_at:%Y-%m-%d}" if done_at is not None else f"being erased since {begun_at:%Y-%m-%d}"
    return f"{told} under request {first.request_id}{others}"


def refuse_erased(version: str, erased: Sequence[PlannedErasure]) -> None:
    """Refuses a version that may remember people who are erased since: none could be forgotten anew.

    Raises:
        InputError: there are some.
    """
    if erased:
        raise InputError(
            f"version {version} cannot serve again: it remembers people, {tell_erased(erased)}, whom no "
            "wave could forget anew; `amun base rebuild` makes a base without them"
        )


def is_begun(waves: Collection[int]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Returns the conditions on erasures of people whom these waves have forgotten, that nothing can stop any more."""
    return ErasureRow.started_at.is_not(None), OutcomeRow.wave_number.in_(waves)


def read_erasures(
    session: Session, model: str, now: datetime, *conditions: ColumnElement[bool], at_once: bool = False
) -> list[PlannedErasure]:
    """Returns the model's erasures for which the conditions hold, each with what holds it up."""
    query = (
        select(ErasureRow, OutcomeRow, RequestRow.due_at)
        .join(OutcomeRow, SAME_OUTCOME)
        .join(RequestRow, RequestRow.number == ErasureRow.request_number)
        .where(ErasureRow.model == model, *conditions)
        .order_by(ErasureRow.erase_after, ErasureRow.request_number)
    )
    rows = session.execute(query).tuples().all()
    waiting = sorted({outcome.subject_id for row, outcome, _ in rows if row.started_at is None})
    reasons = _find_reasons(session, model, waiting, now, at_once=at_once)
    return [
        PlannedErasure(
            format_request_id(row.request_number),
            outcome.subject_id,
            row.model,
            outcome.wave_number,
            due_at,
            describe_erasure(row),
            tuple(reasons.get(outcome.subject_id, ())) if row.started_at is None else (),
        )
        for row, outcome, due_at in rows
    ]


def _plan(
    session: Session, model: str, now: datetime, at_once: bool, subjects: Collection[str] | None
) -> list[PlannedErasure]:
    """Returns the unfinished erasures of the subjects, and those that are started already."""
    unfinished = read_erasures(session, model, now, ErasureRow.erased_at.is_(None), at_once=at_once)
    if subjects is None:
        return unfinished
    for subject in subjects:
        check_subject(subject)
    asked = {normalise(subject) for subject in subjects}
    present = {normalise(one.subject_id) for one in unfinished}
    if unknown := sorted(asked - present):
        question = ask_for(suggest_ids(unknown[:1], present)[unknown[0]])
        advice = question or "`amun erase list` shows who is, or was"
        raise InputError(f"nobody called {unknown[0]!r} is still to be erased; {advice}")
    return [one for one in unfinished if normalise(one.subject_id) in asked or one.erasure.started_at is not None]


def _start(session: Session, subjects: Sequence[str], now: datetime) -> None:
    for chunk in split_chunks(subjects):
        of_them = exists().where(SAME_OUTCOME, OutcomeRow.subject_id.in_(chunk))
        session.execute(update(ErasureRow).where(of_them, ErasureRow.started_at.is_(None)).values(started_at=now))


def _mark(
    session: Session,
    model: str,
    request_ids: Collection[str],
    column: InstrumentedAttribute[datetime | None],
    now: datetime,
) -> None:
    for chunk in split_chunks([parse_request_id(request_id) for request_id in request_ids]):
        meant = ErasureRow.model == model, ErasureRow.request_number.in_(chunk), column.is_(None)
        session.execute(update(ErasureRow).where(*meant).values({column: now}))


def _find_reasons(
    session: Session, model: str, subjects: Sequence[str], now: datetime, *, at_once: bool
) -> dict[str, list[str]]:
    """Returns by subject what holds a model's erasure up; at once, waiting days do not."""
    found: dict[str, list[str]] = defaultdict(list)
    for chunk in split_chunks(subjects):
        for reasons in (
            iter(()) if at_once else _list_waiting(session, chunk, now),
            list_serving(session, chunk, now),
            _list_holds(session, chunk),
            _list_live(session, chunk),
            _list_held(session, chunk),
            _list_bases(session, chunk, model),
            _list_rollbacks(session, chunk),
        ):
            for subject, reason in reasons:
                found[subject].append(reason)
    return found


def _list_waiting(session: Session, subjects: Sequence[str], now: datetime) -> Reasons:
    query = select(OutcomeRow.subject_id, ErasureRow.model, ErasureRow.erase_after).join(ErasureRow, SAME_OUTCOME)
    is_waiting = ErasureRow.started_at.is_(None), ErasureRow.erase_after > now
    for subject, model, until in session.execute(
        query.where(OutcomeRow.subject_id.in_(subjects), *is_waiting)
    ).tuples():
        yield subject, f"the waiting days of {model}, until {until:%Y-%m-%d %H:%M} UTC"


def _list_holds(session: Session, subjects: Sequence[str]) -> Reasons:
    query = select(RequestRow.subject_id, RequestRow.number, HoldRow.kind, HoldRow.reason).join(
        HoldRow, HoldRow.request_number == RequestRow.number
    )
    is_held = RequestRow.subject_id.in_(subjects), HOLD_IS_OPEN
    for subject, number, kind, reason in session.execute(query.where(*is_held)).tuples():
        yield subject, f"{'a legal' if kind == 'legal' else 'a'} hold on {format_request_id(number)}: {reason}"


def _list_live(session: Session, subjects: Sequence[str]) -> Reasons:
    query = select(OutcomeRow.subject_id, OutcomeRow.request_number, OutcomeRow.state, OutcomeRow.model).where(
        # one that is held has its hold told already
        OutcomeRow.subject_id.in_(subjects),
        OutcomeRow.state.in_(["pending", "in_wave", "unmatched"]),
    )
    for subject, number, state, model in session.execute(query).tuples():
        yield subject, f"request {format_request_id(number)}, which is {state} for {model}"


def _list_held(session: Session, subjects: Sequence[str]) -> Reasons:
    """Yields who is held by a model that nobody has asked to forget them: it would lose their samples."""
    is_answered = exists().where(
        OutcomeRow.subject_id == HoldingRow.subject_id,
        OutcomeRow.model == HoldingRow.model,
        OutcomeRow.state.in_([*LIVE_STATES, "completed"]),
    )
    query = select(HoldingRow.subject_id, HoldingRow.model).where(HoldingRow.subject_id.in_(subjects), ~is_answered)
    for subject, model in session.execute(query).tuples():
        yield subject, f"{model}, which holds samples of this person; `amun request add` makes it forget them"


def _list_bases(session: Session, subjects: Sequence[str], model: str) -> Reasons:
    """Yields everybody where another model's base is being built: nobody knows yet whom it will hold."""
    is_building = WaveRow.model != model, WaveRow.state == "open", WaveRow.kind == "base"
    for other, number in session.execute(select(WaveRow.model, WaveRow.number).where(*is_building)).tuples():
        for subject in subjects:
            yield subject, f"wave {number} of {other}, which builds a base that may hold this person"


def _list_rollbacks(session: Session, subjects: Sequence[str]) -> Reasons:
    """Yields whom an unfinished rollback is about to remember again."""
    query = (
        select(OutcomeRow.subject_id, RollbackRow.model, RollbackRow.number)
        .join(
            UndoneWaveRow,
            and_(UndoneWaveRow.model == OutcomeRow.model, UndoneWaveRow.wave_number == OutcomeRow.wave_number),
        )
        .join(
            RollbackRow,
            and_(RollbackRow.model == UndoneWaveRow.model, RollbackRow.number == UndoneWaveRow.rollback_number),
        )
        .where(OutcomeRow.subject_id.in_(subjects), OutcomeRow.state == "completed", RollbackRow.finished_at.is_(None))
    )
    for subject, model, number in session.execute(query).tuples():
        yield subject, f"rollback {number} of {model}, which is not finished"
