"""Whom the models know. When a model's holdings change, a request that matched nobody may match somebody."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import CompoundSelect, Select, func, insert, select, union, update
from sqlalchemy.orm import Session

from amun.core.databases import split_chunks
from amun.ledger.lookups import HOLD_IS_OPEN
from amun.ledger.schema import LIVE_STATES, HoldingRow, HoldRow, OutcomeRow


def find_known(session: Session, subjects: Sequence[str]) -> set[str]:
    """Returns those of the subjects whom a model holds or has forgotten."""
    known: set[str] = set()
    for chunk in split_chunks(subjects):
        held = select(HoldingRow.subject_id).where(HoldingRow.subject_id.in_(chunk))
        forgotten = _select_forgotten().where(OutcomeRow.subject_id.in_(chunk))
        known.update(session.scalars(union(held, forgotten)))
    return known


def select_known() -> CompoundSelect[tuple[str]]:
    """Returns the query of everybody whom a model holds or has forgotten."""
    return union(select(HoldingRow.subject_id), _select_forgotten())


def match_outcomes(session: Session, model: str, now: datetime, *, is_first: bool) -> None:
    """Decides anew on requests that match nobody, after the model's holdings were replaced.

    Where the model holds the person, the request is pending for it, with the dates it had. Every other model then
    answers that it holds nothing. Some requests have waited for the model's first base. If the model does not hold
    their people, they match nobody, unless another model knows them.

    Args:
        session: the transaction.
        model: whose holdings were replaced.
        now: the present time.
        is_first: its holdings were unknown before.
    """
    held = select(HoldingRow.subject_id).where(HoldingRow.model == model)
    own = OutcomeRow.model == model
    if is_first:
        is_waiting = OutcomeRow.state == "pending"
        session.execute(
            update(OutcomeRow).where(own, is_waiting, OutcomeRow.subject_id.not_in(held)).values(state="unmatched")
        )
    is_unmatched = OutcomeRow.state == "unmatched"
    _add_outcomes(session, model, held)
    session.execute(
        update(OutcomeRow).where(own, is_unmatched, OutcomeRow.subject_id.in_(held)).values(state="pending")
    )
    # of whom nobody knows yet that it is they who ask
    on_hold = OutcomeRow.request_number.in_(select(HoldRow.request_number).where(HOLD_IS_OPEN))
    session.execute(update(OutcomeRow).where(own, OutcomeRow.state == "pending", on_hold).values(state="held"))
    answered = update(OutcomeRow).where(is_unmatched, OutcomeRow.subject_id.in_(select_known()))
    session.execute(answered.values(state="nothing_held", decided_at=now))


def _select_forgotten() -> Select[tuple[str]]:
    return select(OutcomeRow.subject_id).where(OutcomeRow.state == "completed")


def _add_outcomes(session: Session, model: str, held: Select[tuple[str]]) -> None:
    """Makes the model answer unmatched requests of people it holds, where they are older than its registration."""
    answered = select(OutcomeRow.subject_id).where(
        OutcomeRow.model == model, OutcomeRow.state.in_([*LIVE_STATES, "completed"])
    )
    query = (
        select(OutcomeRow.subject_id, func.min(OutcomeRow.request_number))
        .where(OutcomeRow.state == "unmatched", OutcomeRow.subject_id.in_(held), OutcomeRow.subject_id.not_in(answered))
        .group_by(OutcomeRow.subject_id)
    )
    rows: list[dict[str, Any]] = [
        {"request_number": number, "model": model, "subject_id": subject, "state": "pending"}
        for subject, number in session.execute(query).tuples()
    ]
    if rows:
        session.execute(insert(OutcomeRow), rows)
