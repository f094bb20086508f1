"""Waves whose files were written in clear: that these are to be destroyed, and when they were."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import and_, exists, func, select, update
from sqlalchemy.orm import Session, aliased

from amun.core.counts import tell_count
from amun.core.errors import InputError
from amun.ledger.database import Database
from amun.ledger.lookups import HOLD_IS_OPEN, SAME_OUTCOME, check_model, find_open
from amun.ledger.records import ClearedWave
from amun.ledger.schema import ClearWaveRow, ErasureRow, HoldRow, OutcomeRow, RequestRow, WaveRow


class ClearBook(Database):
    """The part of the ledger that says which waves' files in clear are destroyed."""

    def check_clearing(self, model: str, waves: Collection[int]) -> None:
        """Refuses to destroy the files of these waves while somebody needs them.

        Raises:
            InputError: a wave is open; or people whom these waves have forgotten are under a legal hold, or still to
                be erased: what their receipts say of what was held comes from these files.
        """
        with self._read() as session:
            check_model(session, model, self.name)
            _refuse_needed(session, model, waves)

    def begin_clearing(self, model: str, waves: Collection[int], now: datetime) -> None:
        """Writes the intent to destroy the files of these waves; from then on none of them is run again.

        Raises:
            InputError: as `check_clearing`.
        """
        with self._write() as session:
            check_model(session, model, self.name)
            _refuse_needed(session, model, waves)
            known = set(session.scalars(select(ClearWaveRow.wave_number).where(ClearWaveRow.model == model)))
            session.add_all(ClearWaveRow(model=model, wave_number=n, begun_at=now) for n in sorted({*waves} - known))

    def finish_clearing(self, model: str, now: datetime) -> None:
        """Records that nothing in clear is left of the waves that were begun with; what was recorded before stays."""
        with self._write() as session:
            unfinished = ClearWaveRow.model == model, ClearWaveRow.destroyed_at.is_(None)
            session.execute(update(ClearWaveRow).where(*unfinished).values(destroyed_at=now))

    def list_cleared(self, model: str) -> dict[int, ClearedWave]:
        """Returns the waves whose files in clear are destroyed, or are being, by their numbers."""
        query = select(ClearWaveRow).where(ClearWaveRow.model == model).order_by(ClearWaveRow.wave_number)
        with self._read() as session:
            return {row.wave_number: _describe(row) for row in session.scalars(query)}


def tell_cleared(wave: ClearedWave) -> str:
    """Returns what became of a wave's files, in words that follow the wave or the version."""
    gone = "are being destroyed since" if wave.destroyed_at is None else "were destroyed on"
    day = wave.destroyed_at or wave.begun_at
    return f"the files of wave {wave.number} lay in clear, and {gone} {day:%Y-%m-%d} (`amun erase adopt`)"


def refuse_cleared(version: str, wave: ClearedWave | None) -> None:
    """Refuses to go back to a version whose wave's files are destroyed.

    Args:
        version: of the model.
        wave: that has made it, where its files are.

    Raises:
        InputError: they are, or are being.
    """
    if wave is not None:
        raise InputError(f"version {version} cannot serve again: {tell_cleared(wave)}")


def find_cleared(session: Session, model: str, version: str) -> ClearedWave | None:
    """Returns the wave that has made a version, where its files in clear are destroyed, or are being."""
    is_wave = and_(WaveRow.model == ClearWaveRow.model, WaveRow.number == ClearWaveRow.wave_number)
    query = select(ClearWaveRow).join(WaveRow, is_wave).where(WaveRow.model == model, WaveRow.version == version)
    row = session.scalar(query)
    return None if row is None else _describe(row)


def _refuse_needed(session: Session, model: str, waves: Collection[int]) -> None:
    if (wave := find_open(session, model)) is not None:
        raise InputError(f"wave {wave.number} of {model} is open; type this again once `amun wave run` has ended it")
    of_them = OutcomeRow.model == model, OutcomeRow.state == "completed", OutcomeRow.wave_number.in_(waves)
    other = aliased(RequestRow)
    # a hold on any request of the person keeps what is held
    is_on_hold = (
        exists()
        .where(HoldRow.request_number == other.number, HOLD_IS_OPEN)
        .where(other.subject_id == OutcomeRow.subject_id)
    )
    is_waiting = exists().where(SAME_OUTCOME, ErasureRow.started_at.is_(None))
    for condition, told, remedy in (
        (is_on_hold, "under a legal hold", "`amun request release` ends a hold"),
        (is_waiting, "still to be erased", "`amun erase run` first, with --now before their waiting days are over"),
    ):
        count = session.scalars(select(func.count()).select_from(OutcomeRow).where(*of_them, condition)).one()
        if count:
            people = tell_count(count, "request")
            raise InputError(f"the people of {people} are {told}, and these files may be all that is held: {remedy}")


def _describe(row: ClearWaveRow) -> ClearedWave:
    return ClearedWave(row.wave_number, row.begun_at, row.destroyed_at)
