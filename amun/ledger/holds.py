"""Holds: a request that may not be honoured yet stays out of every wave, its person's keys stay; on record.

A legal hold leaves the due date as it is. As long as nobody knows that it is the person who asks, the clock of some
laws stands still, and the request is due so much later.
"""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from amun.core.errors import InputError
from amun.core.subject_ids import normalise
from amun.ledger.checks import check_reason, check_text, parse_request_id
from amun.ledger.lookups import HOLD_IS_OPEN
from amun.ledger.records import HoldKind, Request
from amun.ledger.releases import move_outcomes, release
from amun.ledger.requests import RequestBook, end_hold, is_erasable, tell_states
from amun.ledger.schema import ApprovalRow, HoldRow


class HoldBook(RequestBook):
    """The part of the ledger that keeps requests back and lets them go."""

    def hold_request(self, request_id: str, reason: str, *, now: datetime, kind: HoldKind = "legal") -> Request:
        """Keeps a request out of every wave wherever it is pending, and its person's keys wherever it is completed.

        Returns it as it then stands; its due date stays what it is. One that waits for approval waits for this hold's
        release instead, and then for all approvals anew: whoever gave them did not know of the hold.

        Raises:
            InputError: there is no such request, no reason is given, or it is in an open wave, held already, or
                nowhere pending or completed and not yet erased; an identity is verified of a pending one alone.
        """
        check_reason(reason)
        with self._write() as session:
            request = self._get_request(session, request_id)
            _require_holdable(request, kind)
            num_approvals = 0 if request.hold is None else request.hold.num_approvals
            end_hold(session, request_id, now)
            move_outcomes(session, parse_request_id(request_id), "pending", "held")
            number = parse_request_id(request_id)
            session.add(
                HoldRow(request_number=number, reason=reason, held_at=now, kind=kind, num_approvals=num_approvals)
            )
            session.flush()
            return self._get_request(session, request_id)

    def release_request(self, request_id: str, *, now: datetime) -> Request:
        """Ends the hold: where it was pending it is so again; returned as it then stands.

        It is due as before, but for the time in which its clock stood still. Where people are to approve it, it waits
        for them.

        Raises:
            InputError: there is no such request, or it is not held, or waits for people to approve it.
        """
        with self._write() as session:
            request = self._get_request(session, request_id)
            if request.hold is None:
                raise InputError(f"request {request_id} is not held; `amun request list --state held` shows which are")
            if request.hold.kind == "approval":
                raise InputError(f"request {request_id} waits for `amun request approve`, which alone releases it")
            release(session, _get_open(session, request_id), now)
            session.flush()
            return self._get_request(session, request_id)

    def approve_request(self, request_id: str, name: str, *, now: datetime) -> Request:
        """Records that somebody approves a request; once enough have, it is pending. Returned as it then stands.

        Raises:
            InputError: there is no such request, it does not wait for that, or the name is none or has approved it.
        """
        check_text("name", name, "say who approves it")
        with self._write() as session:
            request = self._get_request(session, request_id)
            if request.hold is None or request.hold.kind != "approval":
                raise InputError(
                    f"request {request_id} is {tell_states(request.outcomes)}; nobody has to approve it now"
                )
            hold = _get_open(session, request_id)
            told = normalise(" ".join(name.split()))
            if session.get(ApprovalRow, (hold.number, told.casefold())) is not None:
                raise InputError(f"request {request_id}: {told} has approved it already; it takes somebody else")
            session.add(ApprovalRow(hold_number=hold.number, name_folded=told.casefold(), name=told, approved_at=now))
            session.flush()
            if len(request.hold.approvals) + 1 >= hold.num_approvals:
                hold.released_at = now
                move_outcomes(session, hold.request_number, "held", "pending")
            session.flush()
            return self._get_request(session, request_id)


def _require_holdable(request: Request, kind: HoldKind) -> None:
    if request.hold is not None and request.hold.kind != "approval":
        raise InputError(
            f"request {request.request_id} is held already: {request.hold.told}; release it first to give another "
            "reason"
        )
    for outcome in request.outcomes:
        if outcome.state == "in_wave":
            raise InputError(
                f"request {request.request_id} is in wave {outcome.wave_number} of model '{outcome.model}', which is "
                "open; it can be held only once that wave is parked or complete"
            )
    # here only one that waits for approval is held
    is_pending = any(outcome.state in ("pending", "held") for outcome in request.outcomes)
    if kind == "identity" and not is_pending:
        states = tell_states(request.outcomes)
        raise InputError(f"request {request.request_id} is {states}; an identity is verified before a wave begins")
    if not is_pending and not any(map(is_erasable, request.outcomes)):
        states = tell_states(request.outcomes)
        raise InputError(
            f"request {request.request_id} is {states}; only a pending request can be held, or a completed one whose "
            "person is still to be erased"
        )


def _get_open(session: Session, request_id: str) -> HoldRow:
    is_open = HoldRow.request_number == parse_request_id(request_id), HOLD_IS_OPEN
    return session.scalars(select(HoldRow).where(*is_open)).one()
