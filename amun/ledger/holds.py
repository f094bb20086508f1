"""Legal holds: a request that may not be honoured yet stays out of every wave, its person's keys stay; on record."""

from datetime import datetime

from sqlalchemy import update
from sqlalchemy.orm import Session

from amun.core.errors import InputError
from amun.ledger.checks import check_reason, parse_request_id
from amun.ledger.records import OutcomeState, Request
from amun.ledger.requests import RequestBook, end_hold, is_erasable, tell_states
from amun.ledger.schema import HoldRow, OutcomeRow


class HoldBook(RequestBook):
    """The part of the ledger that keeps requests back and lets them go."""

    def hold_request(self, request_id: str, reason: str, *, now: datetime) -> Request:
        """Keeps a request out of every wave wherever it is pending, and its person's keys wherever it is completed.

        Returns it as it then stands; its due date stays what it is.

        Raises:
            InputError: there is no such request, no reason is given, or it is in an open wave, held already, or
                nowhere pending or completed and not yet erased.
        """
        check_reason(reason)
        with self._write() as session:
            request = self._get_request(session, request_id)
            _require_holdable(request)
            _move(session, request_id, "pending", "held")
            session.add(HoldRow(request_number=parse_request_id(request_id), reason=reason, held_at=now))
            session.flush()
            return self._get_request(session, request_id)

    def release_request(self, request_id: str, *, now: datetime) -> Request:
        """Ends the hold: where it was pending it is so again, with the dates it had; returned as it then stands.

        Raises:
            InputError: there is no such request, or it is not held.
        """
        with self._write() as session:
            request = self._get_request(session, request_id)
            if not request.is_held:
                raise InputError(f"request {request_id} is not held; `amun request list --state held` shows which are")
            _move(session, request_id, "held", "pending")
            end_hold(session, request_id, now)
            return self._get_request(session, request_id)


def _require_holdable(request: Request) -> None:
    if request.is_held:
        raise InputError(
            f"request {request.request_id} is held already: {request.holds[-1].reason}; "
            "release it first to give another reason"
        )
    for outcome in request.outcomes:
        if outcome.state == "in_wave":
            raise InputError(
                f"request {request.request_id} is in wave {outcome.wave_number} of model '{outcome.model}', which is "
                "open; it can be held only once that wave is parked or complete"
            )
    if not any(outcome.state == "pending" or is_erasable(outcome) for outcome in request.outcomes):
        states = tell_states(request.outcomes)
        raise InputError(
            f"request {request.request_id} is {states}; only a pending request can be held, or a completed one whose "
            "person is still to be erased"
        )


def _move(session: Session, request_id: str, old: OutcomeState, new: OutcomeState) -> None:
    session.execute(
        update(OutcomeRow)
        .where(OutcomeRow.request_number == parse_request_id(request_id), OutcomeRow.state == old)
        .values(state=new)
    )
