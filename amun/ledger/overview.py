"""Reading waves: what is open, what was done, whom it was for, how the queue stands."""

from datetime import datetime

from sqlalchemy import Select, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from amun.core.subject_ids import normalise
from amun.evidence.attempts import Summary
from amun.evidence.figures import Comparison
from amun.ledger.database import Database
from amun.ledger.lookups import (
    HANDLED_STATES,
    check_model,
    count_handled,
    count_pending,
    find_open,
    get_wave_row,
    handled_by,
    is_abandoned,
    is_due_like_any,
)
from amun.ledger.records import ErasureCounts, Holding, OpenWave, Request, Status, Wave
from amun.ledger.requests import read_requests, select_outcomes
from amun.ledger.schema import (
    ClearWaveRow,
    ErasureRow,
    HoldingRow,
    HoldRow,
    ModelRow,
    OutcomeRow,
    RequestRow,
    UndoneWaveRow,
    WaveRow,
)


class Overview(Database):
    """The part of the ledger that answers questions and changes nothing."""

    def peek_wave(self, model: str, now: datetime) -> OpenWave | None:
        """Returns the model's open wave, if any.

        Raises:
            InputError: the model is not registered.
        """
        with self._read() as session:
            check_model(session, model, self.name)
            return _describe_open(session, model, now)

    def list_waves(self, model: str) -> list[Wave]:
        """Returns the model's waves by number.

        Raises:
            InputError: the model is not registered.
        """
        query = select(WaveRow).where(WaveRow.model == model).order_by(WaveRow.number)
        counts = (
            select(OutcomeRow.wave_number, func.count())
            .where(OutcomeRow.model == model, OutcomeRow.state.in_(HANDLED_STATES))
            .group_by(OutcomeRow.wave_number)
        )
        with self._read() as session:
            check_model(session, model, self.name)
            num_requests = dict(session.execute(counts).tuples().all())
            undone = _find_undone(session, model)
            return [
                _describe(row, num_requests.get(row.number, 0), undone.get(row.number))
                for row in session.scalars(query)
            ]

    def get_wave(self, model: str, number: int) -> Wave:
        """Returns one wave.

        Raises:
            InputError: there is no such wave.
        """
        with self._read() as session:
            row = get_wave_row(session, model, number, self.name)
            return _describe(row, count_handled(session, model, number), _find_undone(session, model).get(number))

    def subjects_of_wave(self, model: str, number: int) -> list[str]:
        """Returns whom the wave forgets, in the order of the queue.

        Raises:
            InputError: there is no such wave.
        """
        query = select(OutcomeRow.subject_id).where(*handled_by(model, number)).order_by(OutcomeRow.request_number)
        with self._read() as session:
            get_wave_row(session, model, number, self.name)
            return list(session.scalars(query))

    def subjects_forgotten(self, model: str) -> dict[str, int]:
        """Returns whom the model has forgotten, each with the wave that did it; no wave that was undone since.

        Raises:
            InputError: the model is not registered.
        """
        query = select(OutcomeRow.subject_id, OutcomeRow.wave_number).where(
            OutcomeRow.model == model, OutcomeRow.state == "completed"
        )
        with self._read() as session:
            check_model(session, model, self.name)
            undone = _find_undone(session, model)
            rows = session.execute(query).tuples()
            return {subject: number for subject, number in rows if number is not None and number not in undone}

    def requests_of_wave(self, model: str, number: int) -> list[Request]:
        """Returns the requests the wave handles, each with its outcome for this model, in the order of the queue.

        Raises:
            InputError: there is no such wave.
        """
        with self._read() as session:
            get_wave_row(session, model, number, self.name)
            return read_requests(session, select_outcomes().where(*handled_by(model, number)))

    def requests_of_subject(self, subject_id: str) -> list[Request]:
        """Returns the subject's requests with all their outcomes, oldest first."""
        with self._read() as session:
            return read_requests(session, select_outcomes().where(OutcomeRow.subject_id == normalise(subject_id)))

    def find_holding(self, model: str, subject_id: str) -> tuple[Holding | None, int | None]:
        """Returns what the model holds of the subject, and the wave of the base that this is known from.

        Raises:
            InputError: the model is not registered.
        """
        with self._read() as session:
            wave_number = check_model(session, model, self.name).holdings_wave
            row = session.get(HoldingRow, (normalise(subject_id), model))
            held = None if row is None else Holding(row.subject_id, row.num_train, row.num_held_out)
            return held, wave_number

    def list_holdings_of(self, subject_id: str) -> dict[str, Holding]:
        """Returns what each model holds of the subject, by the model's name."""
        query = select(HoldingRow).where(HoldingRow.subject_id == normalise(subject_id)).order_by(HoldingRow.model)
        with self._read() as session:
            rows = session.scalars(query).all()
            return {row.model: Holding(row.subject_id, row.num_train, row.num_held_out) for row in rows}

    def list_holders(self, subject_id: str) -> list[str]:
        """Returns the models that hold the subject, or may: nobody knows whom one holds that has no base yet."""
        held = select(HoldingRow.model).where(HoldingRow.subject_id == normalise(subject_id))
        query = select(ModelRow.name).where(or_(ModelRow.name.in_(held), ModelRow.holdings_wave.is_(None)))
        with self._read() as session:
            return list(session.scalars(query.order_by(ModelRow.name)))

    def count_status(self, model: str, now: datetime) -> Status:
        """Returns how many of the model's requests wait, for a wave, a release or a person, and which wave is open.

        Raises:
            InputError: the model is not registered.
        """
        due = (
            select(func.count(), func.min(RequestRow.due_at))
            .join(OutcomeRow, OutcomeRow.request_number == RequestRow.number)
            .where(OutcomeRow.model == model)
        )
        live = due.where(OutcomeRow.state.in_(["pending", "in_wave"]))
        on_hold = due.where(OutcomeRow.state == "held")
        unmatched = due.where(OutcomeRow.state == "unmatched")
        is_late = RequestRow.due_at < now
        is_legal = exists().where(
            HoldRow.request_number == RequestRow.number, HoldRow.released_at.is_(None), HoldRow.kind == "legal"
        )
        with self._read() as session:

            def count(query: Select[tuple[int, datetime]]) -> int:
                return session.execute(query).tuples().one()[0]

            check_model(session, model, self.name)
            return Status(
                pending=count_pending(session, model),
                overdue=count(due.where(is_due_like_any(), is_late)),
                held=count(on_hold),
                held_overdue=count(on_hold.where(is_late, is_legal)),
                unmatched=count(unmatched),
                open_wave=_describe_open(session, model, now),
                next_due=session.execute(live).tuples().one()[1],
                **vars(_count_erasures(session, model, now)),
            )


def _count_erasures(session: Session, model: str, now: datetime) -> ErasureCounts:
    other = aliased(RequestRow)
    # a hold of any kind on any request of the person keeps the keys, but a legal one alone excuses that
    is_excused = (
        exists()
        .where(HoldRow.request_number == other.number, HoldRow.released_at.is_(None), HoldRow.kind == "legal")
        .where(other.subject_id == RequestRow.subject_id)
    )
    unerased = (
        select(func.count(), func.min(ErasureRow.erase_after))
        .join(RequestRow, ErasureRow.request_number == RequestRow.number)
        .where(ErasureRow.model == model, ErasureRow.erased_at.is_(None))
    )
    overdue = unerased.where(RequestRow.due_at < now, ~is_excused)
    num_unerased, first = session.execute(unerased).tuples().one()
    is_intended = exists().where(
        ErasureRow.request_number == OutcomeRow.request_number, ErasureRow.model == OutcomeRow.model
    )
    is_cleared = exists().where(
        ClearWaveRow.model == OutcomeRow.model,
        ClearWaveRow.wave_number == OutcomeRow.wave_number,
        ClearWaveRow.destroyed_at.is_not(None),
    )
    completed = OutcomeRow.model == model, OutcomeRow.state == "completed"
    in_clear = select(func.count()).where(*completed, ~is_intended, ~is_cleared)
    in_source = select(func.count()).where(
        ErasureRow.model == model, ErasureRow.source_begun_at.is_not(None), ErasureRow.source_deleted_at.is_(None)
    )
    return ErasureCounts(
        to_erase=num_unerased,
        erase_next=first,
        erase_late=session.execute(unerased.where(ErasureRow.erase_after > RequestRow.due_at)).tuples().one()[0],
        erase_overdue=session.execute(overdue).tuples().one()[0],
        source_waiting=session.scalars(in_source).one(),
        never_erased=session.scalars(in_clear).one(),
    )


def _describe_open(session: Session, model: str, now: datetime) -> OpenWave | None:
    wave = find_open(session, model)
    if wave is None:
        return None
    return OpenWave(
        model,
        wave.number,
        wave.kind,
        wave.holder,
        wave.opened_at,
        wave.heartbeat_at,
        wave.lease_expires_at,
        is_abandoned(wave, now),
        wave.attempt,
        count_handled(session, model, wave.number),
    )


def _find_undone(session: Session, model: str) -> dict[int, int]:
    """Returns the number of the rollback that undid a wave, by wave."""
    query = select(UndoneWaveRow.wave_number, UndoneWaveRow.rollback_number).where(UndoneWaveRow.model == model)
    return dict(session.execute(query).tuples().all())


def _describe(row: WaveRow, num_requests: int, undone_by: int | None) -> Wave:
    return Wave(
        row.model,
        row.number,
        row.kind,
        row.state,
        row.holder,
        row.opened_at,
        row.closed_at,
        row.attempt,
        row.note,
        row.parent_version,
        row.version,
        row.commit,
        None if row.summary is None else Summary.model_validate(row.summary),
        None if row.comparison is None else Comparison.model_validate(row.comparison),
        num_requests,
        undone_by,
        row.parked_as,
    )
