"""Consumers: who serves a model, which version each says that it has loaded, and whom that version still remembers.

A person is erased once nobody serves them any more, or the request is nearly due: their right waits for no replica.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, case, delete, exists, func, inspect, select
from sqlalchemy.orm import Session

from amun.core.counts import tell_count
from amun.core.errors import InputError
from amun.core.near_ids import ask_for, suggest_ids
from amun.core.subject_ids import find_fault
from amun.ledger.database import Database
from amun.ledger.lookups import SAME_OUTCOME, check_model
from amun.ledger.records import Consumer
from amun.ledger.schema import ConsumerRow, ErasureRow, OutcomeRow, RequestRow, UndoneWaveRow, WaveRow

# before a request is due: the night that is then to erase the person must not come too late
LAST_NIGHT = timedelta(days=1)


class _Erasures(NamedTuple):
    """Of one wave's people: how many erasures wait for consumers, are due but for these, and wait for nobody."""

    wave_number: int | None
    num_awaited: int
    num_held_up: int
    num_past: int


class ConsumerBook(Database):
    """The part of the ledger that says who serves which version."""

    def add_consumer(self, model: str, name: str, now: datetime) -> Consumer:
        """Registers a consumer of a model, and returns it; one that is registered stays as it is.

        Raises:
            InputError: the model is not registered, or nothing could be called so.
        """
        _check_name(name)
        with self._write() as session:
            check_model(session, model, self.name)
            if session.get(ConsumerRow, (model, name)) is None:
                session.add(ConsumerRow(model=model, name=name, added_at=now))
                session.flush()
            return self._get_consumer(session, model, name, now)

    def record_seen(self, model: str, name: str, version: str, now: datetime) -> Consumer:
        """Records that a consumer has loaded a version, an older one than before too, and returns it as it then stands.

        Whether there is such a version the registry says.

        Raises:
            InputError: there is no such consumer.
        """
        with self._write() as session:
            row = self._get_row(session, model, name)
            if row.version != version:
                row.version, row.serves_since = version, now
            row.seen_at = now
            session.flush()
            return self._get_consumer(session, model, name, now)

    def list_consumers(self, model: str, now: datetime) -> list[Consumer]:
        """Returns the model's consumers by name.

        Raises:
            InputError: the model is not registered.
        """
        with self._read() as session:
            check_model(session, model, self.name)
            return _describe_all(session, model, now)

    def remove_consumer(self, model: str, name: str) -> None:
        """Removes a consumer, which holds nothing up any more.

        Raises:
            InputError: there is no such consumer.
        """
        with self._write() as session:
            row = self._get_row(session, model, name)
            session.execute(delete(ConsumerRow).where(ConsumerRow.model == model, ConsumerRow.name == row.name))

    def _get_row(self, session: Session, model: str, name: str) -> ConsumerRow:
        check_model(session, model, self.name)
        row = session.get(ConsumerRow, (model, name))
        if row is None:
            known = session.scalars(select(ConsumerRow.name).where(ConsumerRow.model == model)).all()
            question = ask_for(suggest_ids([name], known)[name])
            advice = question or "`amun consumer list` shows them, `amun consumer add` registers one"
            raise InputError(f"no consumer of {model} is called {name!r}; {advice}")
        return row

    def _get_consumer(self, session: Session, model: str, name: str, now: datetime) -> Consumer:
        (found,) = (consumer for consumer in _describe_all(session, model, now) if consumer.name == name)
        return found


def list_serving(session: Session, subjects: Sequence[str], now: datetime) -> Iterator[tuple[str, str]]:
    """Yields each of these subjects with every consumer that holds the erasure up, as long as any may.

    A key is one for all models: the consumers of every model that has forgotten the person count.
    """
    query = (
        select(OutcomeRow.subject_id, OutcomeRow.model, OutcomeRow.wave_number)
        .join(ErasureRow, SAME_OUTCOME)
        .join(RequestRow, RequestRow.number == ErasureRow.request_number)
        .where(OutcomeRow.subject_id.in_(subjects), _is_awaited(now))
    )
    rows = session.execute(query).tuples().all()
    consumers = _read_consumers(session, {model for _, model, _ in rows})
    for subject, model, wave_number in rows:
        for row, wave in consumers.get(model, ()):
            if _remembers(wave, wave_number):
                yield subject, f"consumer {row.name} of {model}, which {tell_version(row.version)}"


def tell_holding(consumers: Sequence[Consumer]) -> list[str]:
    """Returns which consumers hold erasures up, their waiting days over, in words that name no person."""
    return [
        f"consumer {one.name} {tell_version(one.version)}, and holds up the erasure of the people of "
        f"{tell_count(one.num_held_up, 'request')} until a day before it is due"
        for one in consumers
        if one.num_held_up
    ]


def tell_remembering(consumers: Sequence[Consumer]) -> list[str]:
    """Returns which consumers serve a version that remembers people who are erased all the same, naming no person."""
    return [
        f"consumer {one.name} {tell_version(one.version)}, which remembers the people of "
        f"{tell_count(one.num_remembered, 'request')}; their erasure no longer waits for it"
        for one in consumers
        if one.num_remembered
    ]


def tell_version(version: str | None) -> str:
    """Returns what a consumer serves, in words that go on after its name."""
    return "has not reported a version yet" if version is None else f"still serves version {version}"


def _is_awaited(now: datetime) -> ColumnElement[bool]:
    """Returns the condition on an erasure, with its request, that still waits for consumers."""
    return and_(ErasureRow.started_at.is_(None), RequestRow.due_at > now + LAST_NIGHT)


def _remembers(wave: int | None, forgotten_by: int | None) -> bool:
    """Tells whether a version remembers whom a wave has forgotten.

    Args:
        wave: that made the version; None where that is not in the champion's line.
        forgotten_by: the wave that has forgotten the person.
    """
    return wave is None or forgotten_by is None or wave < forgotten_by


def _read_consumers(
    session: Session, models: Collection[str]
) -> Mapping[str, Sequence[tuple[ConsumerRow, int | None]]]:
    """Returns by model its consumers by name, each with the wave of the champion's line whose version it serves."""
    is_undone = exists().where(UndoneWaveRow.model == WaveRow.model, UndoneWaveRow.wave_number == WaveRow.number)
    query = (
        select(ConsumerRow, func.max(WaveRow.number))
        .outerjoin(
            WaveRow,
            and_(
                WaveRow.model == ConsumerRow.model,
                WaveRow.version == ConsumerRow.version,
                WaveRow.state == "complete",
                ~is_undone,
            ),
        )
        .where(ConsumerRow.model.in_(models))
        .group_by(*inspect(ConsumerRow).columns)
        .order_by(ConsumerRow.name)
    )
    found: dict[str, list[tuple[ConsumerRow, int | None]]] = defaultdict(list)
    for row, wave in session.execute(query).tuples():
        found[row.model].append((row, wave))
    return found


def _describe_all(session: Session, model: str, now: datetime) -> list[Consumer]:
    consumers = _read_consumers(session, [model]).get(model, ())
    # what is erased of a million requests is counted for nobody
    erasures = _count_awaited(session, model, now) if consumers else []
    described = []
    for row, wave in consumers:
        remembered = [one for one in erasures if _remembers(wave, one.wave_number)]
        described.append(
            Consumer(
                model=model,
                name=row.name,
                added_at=row.added_at,
                version=row.version,
                serves_since=row.serves_since,
                seen_at=row.seen_at,
                num_awaited=sum(one.num_awaited for one in remembered),
                num_held_up=sum(one.num_held_up for one in remembered),
                # of one that has said nothing yet nobody knows
                num_remembered=0 if row.version is None else sum(one.num_past for one in remembered),
            )
        )
    return described


def _count_awaited(session: Session, model: str, now: datetime) -> list[_Erasures]:
    """Returns how many erasures wait for consumers, wave by wave."""
    is_awaited = _is_awaited(now)
    conditions = is_awaited, and_(is_awaited, ErasureRow.erase_after <= now), ~is_awaited
    query = (
        select(OutcomeRow.wave_number, *(func.sum(case((condition, 1), else_=0)) for condition in conditions))
        .join(ErasureRow, SAME_OUTCOME)
        .join(RequestRow, RequestRow.number == ErasureRow.request_number)
        .where(ErasureRow.model == model)
        .group_by(OutcomeRow.wave_number)
    )
    return [_Erasures(*row) for row in session.execute(query)]


def _check_name(name: str) -> None:
    if not name.strip():
        raise InputError("a consumer's name is empty; call it as your deployment does")
    if fault := find_fault(name):
        raise InputError(f"consumer {name[:40]!r} has {fault}; call it as your deployment does")
