"""Rollbacks: the champion goes back to an earlier version, and who was forgotten since is to be forgotten anew."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, exists, func, insert, select, update
from sqlalchemy.orm import Session

from amun.core.databases import split_chunks
from amun.core.errors import InputError
from amun.core.subject_ids import normalise
from amun.ledger.bounds import Bounds
from amun.ledger.clear_waves import find_cleared, refuse_cleared
from amun.ledger.erasures import is_begun, read_erasures, refuse_erased
from amun.ledger.lookups import HOLD_IS_OPEN, check_lease, check_model, find_open, is_abandoned
from amun.ledger.matching import match_outcomes
from amun.ledger.records import Claim, Holding, Rollback, WaveBusy
from amun.ledger.schema import (
    LIVE_STATES,
    DsrCallbackRow,
    DsrRow,
    ErasureRow,
    HoldRow,
    OutcomeRow,
    RequestRow,
    RollbackRow,
    UndoneOutcomeRow,
    UndoneWaveRow,
    WaveRow,
)
from amun.ledger.waves import WaveBook, replace_holdings, take_pending


class RollbackBook(WaveBook):
    """The part of the ledger that undoes waves: it writes the intent first, and reopens the requests last."""

    def begin_rollback(
        self,
        model: str,
        *,
        from_version: str,
        to_version: str,
        undone_waves: Sequence[int],
        reason: str,
        holder: str,
        now: datetime,
        bounds: Bounds | None = None,
    ) -> int | WaveBusy:
        """Writes the intent, and opens the wave that is to carry it out and to forget anew.

        An abandoned deletion wave is used as it is. Nobody holds the wave yet: the next claim resumes it, and finds
        the rollback in it. The bounds are on the pending requests that a new wave takes (None: all); whom the rollback
        brings back is forgotten anew beside these, however many they are.

        Returns:
            the wave's number, or who holds the open wave.

        Raises:
            InputError: the champion has moved on, an open wave has to be finished first, or people whom these waves
                have forgotten are erased: none of them could be forgotten anew; or the version's files are destroyed.
        """
        with self._write() as session:
            check_model(session, model, self.name)
            refuse_cleared(to_version, find_cleared(session, model, to_version))
            refuse_erased(to_version, read_erasures(session, model, now, *is_begun(undone_waves)))
            if _find_latest(session, model) != from_version:
                raise InputError(f"the champion of {model} is no longer version {from_version}; look again")
            wave = find_open(session, model)
            if wave is not None and not is_abandoned(wave, now):
                return WaveBusy(model, wave.number, wave.kind, wave.holder, wave.heartbeat_at, wave.lease_expires_at)
            if wave is None:
                wave = self._open_wave(session, model, "deletion", now)
                wave.holder, wave.lease_token, wave.heartbeat_at, wave.lease_expires_at = holder, "", now, now
                session.add(wave)
                session.flush()
                take_pending(session, wave, bounds)
            elif wave.kind == "base" or _find_unfinished(session, model) is not None:
                raise InputError(f"wave {wave.number} of {model} is not finished; run `amun wave run` first")
            _write_intent(session, wave, from_version, to_version, undone_waves, reason, now)
            return wave.number

    def find_rollback(self, model: str) -> Rollback | None:
        """Returns the model's unfinished rollback, if any."""
        with self._read() as session:
            row = _find_unfinished(session, model)
            return None if row is None else _describe(session, row)

    def list_rollbacks(self, model: str) -> list[Rollback]:
        """Returns the model's rollbacks, oldest first."""
        with self._read() as session:
            query = select(RollbackRow).where(RollbackRow.model == model).order_by(RollbackRow.number)
            return [_describe(session, row) for row in session.scalars(query)]

    def count_remembered(self, model: str, undone_waves: Sequence[int], held: Collection[str]) -> int:
        """Returns how many subjects a rollback over these waves would make the champion remember again.

        Args:
            model: the model.
            undone_waves: the numbers of the waves to be undone.
            held: whom the sample store would hold.
        """
        with self._read() as session:
            return len(_find_reopened(session, model, undone_waves, set(map(normalise, held))))

    def finish_rollback(self, claim: Claim, holdings: Sequence[Holding], now: datetime) -> int:
        """Opens the requests of the undone waves again, in the claimed wave, and returns how many.

        Each keeps its `received_at` and `due_at`; how it stood is kept as history. An undone base may have been the
        reason why somebody was told that nothing is held of them, or waits unmatched. Such requests are reopened, too.
        One under a legal hold waits for its release.

        Args:
            claim: of the wave that carries the rollback out.
            holdings: what the sample store holds now.
            now: the present time.

        Raises:
            LeaseLostError: as `renew_lease`.
        """
        with self._write() as session:
            wave = check_lease(session, claim, now)
            rollback = _find_unfinished(session, claim.model)
            if rollback is None:
                return 0
            undone = _list_undone(session, rollback)
            if _find_first_base(session, claim.model, undone) is not None:
                replace_holdings(session, wave, holdings)
            held = {normalise(holding.subject_id) for holding in holdings}
            reopened = _find_reopened(session, claim.model, undone, held)
            for chunk in split_chunks(reopened):
                _reopen(session, rollback, chunk)
            match_outcomes(session, claim.model, now, is_first=False)
            rollback.finished_at = now
            return len(reopened)


def _write_intent(
    session: Session,
    wave: WaveRow,
    from_version: str,
    to_version: str,
    undone_waves: Sequence[int],
    reason: str,
    now: datetime,
) -> None:
    last = session.scalar(select(func.max(RollbackRow.number)).where(RollbackRow.model == wave.model))
    number = (last or 0) + 1
    session.add(
        RollbackRow(
            model=wave.model,
            number=number,
            wave_number=wave.number,
            from_version=from_version,
            to_version=to_version,
            reason=reason,
            started_at=now,
        )
    )
    session.flush()
    undone = [{"model": wave.model, "wave_number": each, "rollback_number": number} for each in undone_waves]
    session.execute(insert(UndoneWaveRow), undone)


def _find_unfinished(session: Session, model: str) -> RollbackRow | None:
    return session.scalar(select(RollbackRow).where(RollbackRow.model == model, RollbackRow.finished_at.is_(None)))


def _find_latest(session: Session, model: str) -> str | None:
    """Returns the version that the ledger takes for the champion: of the last complete wave that was not undone."""
    is_undone = exists().where(UndoneWaveRow.model == WaveRow.model, UndoneWaveRow.wave_number == WaveRow.number)
    query = select(WaveRow.version).where(WaveRow.model == model, WaveRow.state == "complete", ~is_undone)
    return session.scalar(query.order_by(WaveRow.number.desc()).limit(1))


def _list_undone(session: Session, rollback: RollbackRow) -> list[int]:
    query = select(UndoneWaveRow.wave_number).where(
        UndoneWaveRow.model == rollback.model, UndoneWaveRow.rollback_number == rollback.number
    )
    return sorted(session.scalars(query))


def _find_first_base(session: Session, model: str, waves: Sequence[int]) -> datetime | None:
    """Returns when the first of the bases among these waves was opened; None where none is one."""
    return session.scalar(
        select(func.min(WaveRow.opened_at)).where(
            WaveRow.model == model, WaveRow.number.in_(waves), WaveRow.kind == "base"
        )
    )


def _find_reopened(session: Session, model: str, undone: Sequence[int], held: Collection[str]) -> list[int]:
    """Returns the numbers of the requests that undoing these waves opens again."""
    honoured = select(OutcomeRow.request_number).where(
        OutcomeRow.model == model, OutcomeRow.state == "completed", OutcomeRow.wave_number.in_(undone)
    )
    return [*session.scalars(honoured), *_find_held_again(session, model, undone, held)]


def _find_held_again(session: Session, model: str, undone: Sequence[int], held: Collection[str]) -> list[int]:
    """Returns a request of each subject whom an undone base did not hold and who is held now: live, or the first."""
    base_opened = _find_first_base(session, model, undone)
    if base_opened is None:
        return []
    answered_otherwise = select(OutcomeRow.subject_id).where(
        OutcomeRow.model == model, OutcomeRow.state.in_([*LIVE_STATES, "completed"])
    )
    query = (
        select(OutcomeRow.subject_id, func.min(OutcomeRow.request_number))
        .where(
            OutcomeRow.model == model,
            OutcomeRow.state == "nothing_held",
            OutcomeRow.decided_at >= base_opened,
            OutcomeRow.subject_id.not_in(answered_otherwise),
        )
        .group_by(OutcomeRow.subject_id)
    )
    unmatched = select(OutcomeRow.subject_id, OutcomeRow.request_number).where(
        OutcomeRow.model == model, OutcomeRow.state == "unmatched"
    )
    found = [*session.execute(query).tuples(), *session.execute(unmatched).tuples()]
    return [number for subject, number in found if subject in held]


def _reopen(session: Session, rollback: RollbackRow, numbers: Sequence[int]) -> None:
    """Keeps how these requests stood, and moves them into the rollback's wave."""
    meant = (OutcomeRow.model == rollback.model, OutcomeRow.request_number.in_(numbers))
    kept: list[dict[str, Any]] = [
        {
            "request_number": outcome.request_number,
            "model": outcome.model,
            "rollback_number": rollback.number,
            "state": outcome.state,
            "wave_number": outcome.wave_number,
            "decided_at": outcome.decided_at,
            "receipt": outcome.receipt,
        }
        for outcome in session.scalars(select(OutcomeRow).where(*meant))
    ]
    session.execute(insert(UndoneOutcomeRow), kept)
    # none of them is begun: `begin_rollback` has looked, and an unfinished rollback holds up every other
    session.execute(
        delete(ErasureRow).where(ErasureRow.model == rollback.model, ErasureRow.request_number.in_(numbers))
    )
    again = {"state": "in_wave", "wave_number": rollback.wave_number, "decided_at": None, "receipt": None}
    session.execute(update(OutcomeRow).where(*meant).values(**again))
    # held since, for another model's sake
    on_hold = select(HoldRow.request_number).where(HOLD_IS_OPEN)
    is_held = OutcomeRow.request_number.in_(on_hold)
    session.execute(update(OutcomeRow).where(*meant, is_held).values(state="held", wave_number=None))
    _tell_anew(session, select(OutcomeRow.subject_id).where(*meant))


def _tell_anew(session: Session, people: Select[tuple[str]]) -> None:
    """Has privacy suites told again which were told that the requests of these people are completed."""
    is_theirs = exists().where(
        DsrRow.token == DsrCallbackRow.token,
        DsrRow.subject_request_id == DsrCallbackRow.subject_request_id,
        DsrRow.request_number == RequestRow.number,
        RequestRow.subject_id.in_(people),
    )
    # no status: whichever it is at the end of the night is another one
    again = update(DsrCallbackRow).where(DsrCallbackRow.told == "completed", is_theirs)
    session.execute(again.values(told="", num_tries=0), execution_options={"synchronize_session": False})


def _describe(session: Session, row: RollbackRow) -> Rollback:
    return Rollback(
        row.model,
        row.number,
        row.wave_number,
        row.from_version,
        row.to_version,
        row.reason,
        row.started_at,
        row.finished_at,
        tuple(_list_undone(session, row)),
    )
