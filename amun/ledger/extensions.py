"""Extensions: a request that cannot be honoured in its first term gets the law's second one, once, with a reason."""

from datetime import datetime, timedelta

from amun.core.errors import InputError
from amun.ledger.checks import check_reason, parse_request_id
from amun.ledger.records import Request
from amun.ledger.requests import RequestBook, is_erasable, tell_states
from amun.ledger.schema import LIVE_STATES, ExtensionRow, RequestRow


class ExtensionBook(RequestBook):
    """The part of the ledger that puts off when requests are due."""

    def extend_request(self, request_id: str, reason: str, *, now: datetime) -> Request:
        """Puts off when a request is due, as its law allows it once, and returns it as it then stands.

        That the person is told of it and of the reason in the first term, as the laws have it, is the company's to do.

        Raises:
            InputError: there is no such request, no reason is given, it is extended already, past its due date, or
                nowhere open: neither waiting, nor in a wave, nor to be erased.
        """
        check_reason(reason)
        with self._write() as session:
            request = self._get_request(session, request_id)
            _require_extensible(request, now)
            number = parse_request_id(request_id)
            before = request.find_due(now)
            session.add(ExtensionRow(request_number=number, reason=reason, extended_at=now, due_before=before))
            # where the clock stands still, its release adds for how long
            row = session.get_one(RequestRow, number)
            row.due_at += timedelta(seconds=row.extension_seconds)
            session.flush()
            return self._get_request(session, request_id)


def _require_extensible(request: Request, now: datetime) -> None:
    name, due_at = f"request {request.request_id}", request.find_due(now)
    if request.extension is not None:
        raise InputError(
            f"{name} is extended already, to {due_at:%Y-%m-%d}: {request.extension.reason}; the law allows it once"
        )
    if now > due_at:
        raise InputError(f"{name} was due on {due_at:%Y-%m-%d}; the person has to be told of an extension before that")
    if not any(outcome.state in LIVE_STATES or is_erasable(outcome) for outcome in request.outcomes):
        raise InputError(f"{name} is {tell_states(request.outcomes)}; only an open request can be extended")
