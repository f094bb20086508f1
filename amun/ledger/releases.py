"""The end of a hold: what its request waits for then, and when it is due."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from amun.core.databases import split_chunks
from amun.ledger.laws import stands_still
from amun.ledger.lookups import HOLD_IS_OPEN
from amun.ledger.records import OutcomeState
from amun.ledger.schema import LIVE_STATES, HoldRow, OutcomeRow, RequestRow

# the reasons of holds that nobody has typed
UNAPPROVED = "it waits for approval"
UNVERIFIED = "the identity is not verified"


def make_approval_hold(number: int, num_approvals: int, now: datetime) -> HoldRow:
    """Returns the row of a hold that lasts until so many people have approved a request."""
    return HoldRow(request_number=number, reason=UNAPPROVED, held_at=now, kind="approval", num_approvals=num_approvals)


def release(session: Session, hold: HoldRow, now: datetime, num_approvals: int = 0) -> None:
    """Ends a hold. Its request waits for so many people's approval, or for as many as it was to; else for a wave.

    It is due as before, but for the time in which its clock stood still.
    """
    request = session.get_one(RequestRow, hold.request_number)
    if hold.kind == "identity" and stands_still(request.law, request.due_at, hold.held_at):
        request.due_at += now - hold.held_at
    hold.released_at = now
    session.flush()
    needed = max(hold.num_approvals, num_approvals)
    # who matches nobody yet may match somebody after the next base
    waiting = OutcomeRow.request_number == hold.request_number, OutcomeRow.state.in_(["held", "unmatched"])
    if needed and session.scalar(select(exists().where(*waiting))):
        session.add(make_approval_hold(hold.request_number, needed, now))
    else:
        move_outcomes(session, hold.request_number, "held", "pending")


def end_doubts(session: Session, known: Mapping[str, int], now: datetime) -> None:
    """Releases what waits only because nobody knew whether the person asks: they have asked again, and are known.

    Args:
        session: the transaction.
        known: who has asked, each with how many people have to approve that.
        now: the present time.
    """
    for chunk in split_chunks([*known]):
        asked = OutcomeRow.subject_id.in_(chunk), OutcomeRow.state.in_(LIVE_STATES)
        query = (
            select(HoldRow, RequestRow.subject_id)
            .join(RequestRow, RequestRow.number == HoldRow.request_number)
            .where(HOLD_IS_OPEN, HoldRow.kind == "identity")
            .where(HoldRow.request_number.in_(select(OutcomeRow.request_number).where(*asked)))
        )
        for hold, subject in session.execute(query).tuples().all():
            release(session, hold, now, known[subject])
    session.flush()


def move_outcomes(session: Session, number: int, old: OutcomeState, new: OutcomeState) -> None:
    """Changes where a request stands, for each model for which it stands there."""
    moved = update(OutcomeRow).where(OutcomeRow.request_number == number, OutcomeRow.state == old)
    session.execute(moved.values(state=new))
