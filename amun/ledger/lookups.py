"""Finding the ledger's rows: the questions that reading and writing have in common."""

from datetime import datetime

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import Session

from amun.core.errors import InputError, LeaseLostError
from amun.ledger.holder import is_holder_alive, tell_holder
from amun.ledger.laws import STOPPING
from amun.ledger.records import Claim
from amun.ledger.schema import ErasureRow, HoldRow, ModelRow, OutcomeRow, RequestRow, WaveRow

# an outcome `already_forgotten` names a wave too, but that wave did not handle the request
HANDLED_STATES = ("in_wave", "completed")
# of a hold that nobody has released yet
HOLD_IS_OPEN = HoldRow.released_at.is_(None)
# joins an erasure with what it is of
SAME_OUTCOME = and_(
    OutcomeRow.request_number == ErasureRow.request_number,
    OutcomeRow.model == ErasureRow.model,
)


def check_model(session: Session, name: str, ledger: str) -> ModelRow:
    """Returns the registered model.

    Raises:
        InputError: it is not registered.
    """
    model = session.get(ModelRow, name)
    if model is None:
        raise InputError(f"model '{name}' is not registered in the ledger {ledger}; run `amun init`")
    return model


def get_wave_row(session: Session, model: str, number: int, ledger: str) -> WaveRow:
    """Returns the wave's row.

    Raises:
        InputError: there is no such wave.
    """
    row = session.get(WaveRow, (model, number))
    if row is None:
        raise InputError(f"model '{model}' has no wave {number} in the ledger {ledger}; see `amun wave list`")
    return row


def find_open(session: Session, model: str) -> WaveRow | None:
    """Returns the model's open wave, if any."""
    return session.scalar(select(WaveRow).where(WaveRow.model == model, WaveRow.state == "open"))


def check_lease(session: Session, claim: Claim, now: datetime) -> WaveRow:
    """Returns the claimed wave's row, which may be written.

    Raises:
        LeaseLostError: the wave is closed or in other hands, or the lease has expired.
    """
    wave = session.get(WaveRow, (claim.model, claim.number))
    name = f"wave {claim.number} of model '{claim.model}'"
    if wave is None or wave.state != "open":
        raise LeaseLostError(f"{name} is no longer open; this run writes nothing more, see `amun wave list`")
    if wave.lease_token != claim.token:
        raise LeaseLostError(f"{name} was taken over by {tell_holder(wave.holder)}; this run writes nothing more")
    if wave.lease_expires_at <= now:
        raise LeaseLostError(f"the lease on {name} expired at {wave.lease_expires_at.isoformat()}; run `amun wave run`")
    return wave


def is_abandoned(wave: WaveRow, now: datetime) -> bool:
    """Returns whether the next claim takes the open wave over."""
    return wave.lease_expires_at <= now or is_holder_alive(wave.holder) is False


def count_pending(session: Session, model: str) -> int:
    """Returns how many of the model's requests wait for a wave."""
    query = select(func.count()).where(OutcomeRow.model == model, OutcomeRow.state == "pending")
    return session.scalars(query).one()


def handled_by(model: str, number: int) -> tuple[ColumnElement[bool], ...]:
    """Returns the conditions on the outcomes that the wave handles or has handled."""
    return OutcomeRow.model == model, OutcomeRow.wave_number == number, OutcomeRow.state.in_(HANDLED_STATES)


def is_due_like_any() -> ColumnElement[bool]:
    """Returns the condition that a request's clock runs, or has run out: no legal hold excuses it, no law stops it."""
    # as `stands_still` has it
    is_still = and_(HoldRow.kind == "identity", RequestRow.law.in_(STOPPING), HoldRow.held_at <= RequestRow.due_at)
    is_stopped = exists().where(
        HoldRow.request_number == RequestRow.number,
        HOLD_IS_OPEN,
        or_(HoldRow.kind == "legal", is_still),
    )
    is_waiting = OutcomeRow.state.in_(["unmatched", "held"])
    return or_(OutcomeRow.state.in_(["pending", "in_wave"]), and_(is_waiting, ~is_stopped))


def count_handled(session: Session, model: str, number: int) -> int:
    """Returns how many requests the wave handles or has handled."""
    query = select(func.count()).where(*handled_by(model, number))
    return session.scalars(query).one()
