"""Waves: one open at a time for each model, held under a lease that every write checks."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from amun.core.databases import split_chunks
from amun.core.errors import InputError
from amun.core.subject_ids import normalise
from amun.evidence.attempts import Receipt, Summary
from amun.evidence.figures import Comparison
from amun.ledger.bounds import Bounds
from amun.ledger.checks import check_subject
from amun.ledger.database import Database
from amun.ledger.lookups import (
    check_lease,
    check_model,
    count_pending,
    find_open,
    get_wave_row,
    handled_by,
    is_abandoned,
)
from amun.ledger.matching import match_outcomes
from amun.ledger.pending import choose_next
from amun.ledger.records import Claim, Holding, ParkedAs, WaveBusy, WaveKind
from amun.ledger.schema import ErasureRow, HoldingRow, ModelRow, OutcomeRow, WaveRow


class WaveBook(Database):
    """The part of the ledger that opens, guards and closes waves."""

    def claim_wave(
        self,
        model: str,
        *,
        kind: WaveKind,
        holder: str,
        now: datetime,
        lease_seconds: float,
        bounds: Bounds | None = None,
    ) -> Claim | WaveBusy | None:
        """Claims the model's open wave if it is abandoned, or the next one if none is open.

        A new deletion wave takes the model's pending requests, those due first and as many as the bounds allow. The
        open wave is resumed as what it is, whatever `kind` and `bounds` ask for.

        Args:
            model: the model.
            kind: what to open where no wave is open.
            holder: the claiming process, as `describe_holder` names it.
            now: the present time.
            lease_seconds: how long the claim lasts unless renewed.
            bounds: on a new deletion wave; None takes all requests.

        Returns:
            the claim; or who holds the open wave; or None where no request is pending for a deletion wave.

        Raises:
            InputError: the model is not registered, or a deletion wave is asked for before any base.
        """
        with self._write() as session:
            check_model(session, model, self.name)
            wave = find_open(session, model)
            is_resumed = wave is not None
            if wave is None:
                if kind == "deletion" and count_pending(session, model) == 0:
                    return None
                wave = self._open_wave(session, model, kind, now)
            elif not is_abandoned(wave, now):
                return WaveBusy(model, wave.number, wave.kind, wave.holder, wave.heartbeat_at, wave.lease_expires_at)
            wave.holder, wave.lease_token = holder, secrets.token_hex(16)
            wave.heartbeat_at, wave.lease_expires_at = now, now + timedelta(seconds=lease_seconds)
            if not is_resumed:
                session.add(wave)
                session.flush()
                take_pending(session, wave, bounds)
            return Claim(model, wave.number, wave.kind, wave.lease_token, is_resumed, wave.attempt)

    def renew_lease(self, claim: Claim, now: datetime, lease_seconds: float) -> None:
        """Makes the claim last until `lease_seconds` from now.

        Raises:
            LeaseLostError: the wave is closed or in other hands, or the lease has expired.
        """
        with self._write() as session:
            wave = check_lease(session, claim, now)
            wave.heartbeat_at, wave.lease_expires_at = now, now + timedelta(seconds=lease_seconds)

    def set_attempt(self, claim: Claim, attempt: int, now: datetime) -> None:
        """Records the attempt that the wave has reached, for a run that resumes it.

        Raises:
            LeaseLostError: as `renew_lease`.
        """
        with self._write() as session:
            check_lease(session, claim, now).attempt = attempt

    def record_holdings(self, claim: Claim, holdings: Sequence[Holding], now: datetime) -> None:
        """Replaces what the ledger knows of the model's sample store as a whole, and matches requests with it anew.

        Raises:
            InputError: a subject id is one that no request could name; nothing is recorded.
            LeaseLostError: as `renew_lease`.
        """
        for holding in holdings:
            check_subject(holding.subject_id)
        with self._write() as session:
            wave = check_lease(session, claim, now)
            is_first = session.get_one(ModelRow, claim.model).holdings_wave is None
            replace_holdings(session, wave, holdings)
            match_outcomes(session, claim.model, now, is_first=is_first)

    def complete_wave(
        self,
        claim: Claim,
        *,
        version: str,
        parent_version: str | None,
        commit: str,
        summary: Summary,
        receipt: Receipt,
        erase_after: datetime | None,
        now: datetime,
    ) -> None:
        """Closes the wave as complete, and its requests with it, each with the receipt and the intent to erase.

        Said again with the same claim and version it changes nothing.

        Args:
            claim: to the wave.
            version: the registered version that it ended with.
            parent_version: the one that it started from.
            commit: that records it.
            summary: its figures.
            receipt: for each request.
            erase_after: when the keys of its people may be destroyed; None where nothing is sealed under them.
            now: the present time.

        Raises:
            LeaseLostError: as `renew_lease`.
        """
        with self._write() as session:
            known = session.get(WaveRow, (claim.model, claim.number))
            if known is not None and (known.state, known.lease_token, known.version) == (
                "complete",
                claim.token,
                version,
            ):
                return
            wave = check_lease(session, claim, now)
            wave.state, wave.closed_at = "complete", now
            wave.version, wave.parent_version, wave.commit = version, parent_version, commit
            wave.summary = summary.model_dump(mode="json")
            if erase_after is not None:
                intend_erasures(session, wave, erase_after, now)
            session.execute(
                update(OutcomeRow)
                .where(*handled_by(claim.model, claim.number))
                .values(state="completed", decided_at=now, receipt=receipt.model_dump(mode="json"))
            )

    def park_wave(self, claim: Claim, note: str, now: datetime, parked_as: ParkedAs = "parked") -> None:
        """Gives the wave up: its number stays used, its requests are pending again with the dates they had.

        Args:
            claim: to it.
            note: why.
            now: the present time.
            parked_as: what that is.

        Raises:
            LeaseLostError: as `renew_lease`.
        """
        with self._write() as session:
            wave = check_lease(session, claim, now)
            wave.state, wave.closed_at, wave.note, wave.parked_as = "parked", now, note, parked_as
            session.execute(
                update(OutcomeRow)
                .where(*handled_by(claim.model, claim.number))
                .values(state="pending", wave_number=None)
            )

    def set_comparison(self, model: str, number: int, comparison: Comparison) -> None:
        """Records the figures of exact retraining beside a wave, at any time and under no lease.

        Raises:
            InputError: there is no such wave.
        """
        with self._write() as session:
            get_wave_row(session, model, number, self.name).comparison = comparison.model_dump(mode="json")

    def _open_wave(self, session: Session, model: str, kind: WaveKind, now: datetime) -> WaveRow:
        """Returns the next wave, not yet held by anybody."""
        last = session.scalar(select(func.max(WaveRow.number)).where(WaveRow.model == model))
        if last is None and kind == "deletion":
            raise InputError(f"model '{model}' has no base yet in the ledger {self.name}; run `amun init`")
        return WaveRow(model=model, number=0 if last is None else last + 1, kind=kind, state="open", opened_at=now)


def take_pending(session: Session, wave: WaveRow, bounds: Bounds | None) -> None:
    """Moves the model's pending requests into a new wave, as many as the bounds allow, if that is one that forgets."""
    if wave.kind != "deletion":
        return
    pending = OutcomeRow.model == wave.model, OutcomeRow.state == "pending"
    taking = update(OutcomeRow).values(state="in_wave", wave_number=wave.number)
    if bounds is None:
        session.execute(taking.where(*pending))
        return
    for chunk in split_chunks([one.number for one in choose_next(session, wave.model, bounds)]):
        session.execute(taking.where(*pending, OutcomeRow.request_number.in_(chunk)))


def intend_erasures(session: Session, wave: WaveRow, erase_after: datetime, now: datetime) -> None:
    """Writes that the keys of the wave's people are to be destroyed."""
    numbers = session.scalars(select(OutcomeRow.request_number).where(*handled_by(wave.model, wave.number)))
    rows = [
        {"request_number": number, "model": wave.model, "intended_at": now, "erase_after": erase_after}
        for number in numbers
    ]
    if rows:
        session.execute(insert(ErasureRow), rows)


def replace_holdings(session: Session, wave: WaveRow, holdings: Sequence[Holding]) -> None:
    """Replaces what the ledger knows of the sample store of the wave's model."""
    # a person in two spellings of the same letters is one
    held: dict[str, tuple[int, int]] = {}
    for holding in holdings:
        num_train, num_held_out = held.get(name := normalise(holding.subject_id), (0, 0))
        held[name] = num_train + holding.num_train, num_held_out + holding.num_held_out
    rows = [
        {"subject_id": subject, "model": wave.model, "num_train": num_train, "num_held_out": num_held_out}
        for subject, (num_train, num_held_out) in held.items()
    ]
    session.execute(delete(HoldingRow).where(HoldingRow.model == wave.model))
    if rows:
        session.execute(insert(HoldingRow), rows)
    session.get_one(ModelRow, wave.model).holdings_wave = wave.number
