"""A model's requests as its report tells of them: days and states, and nobody's name."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

from amun.ledger import Erasure, Outcome, OutcomeState, Request
from amun.ledger.laws import Law

Standing = Literal["kept", "late", "running", "overdue", "held", "withdrawn", "denied"]
ANSWERED: tuple[OutcomeState, ...] = ("completed", "nothing_held")


@dataclass(frozen=True)
class ReportedRequest:
    """One request, for one model.

    Attributes:
        request_id: its id.
        received_at: when the person asked.
        due_at: until when it is to be honoured.
        state: where it stands.
        wave_number: the wave that handles or handled it, or that had forgotten the person before.
        answered_at: when it was answered: by a wave that forgot the person, or because there was nothing to forget, or
            nothing more; None where a rollback has opened what had answered it.
        erasure: what becomes of the person's keys; None where none are destroyed.
        is_in_clear: the model has forgotten the person, whose copies are not sealed and lie there still.
        standing: how it stands with its due date.
        law: by whose clock it is due.
        due_before: when it was due before that was put off; None where it was not.
    """

    request_id: str
    received_at: datetime
    due_at: datetime
    state: OutcomeState
    wave_number: int | None
    answered_at: datetime | None
    erasure: Erasure | None
    is_in_clear: bool
    standing: Standing
    law: Law
    due_before: datetime | None

    @property
    def erased_at(self) -> datetime | None:
        """When nothing of the person could be opened any more."""
        return None if self.erasure is None else self.erasure.erased_at

    @property
    def done_at(self) -> datetime | None:
        """When nothing was left to do: the person is erased, or answered where nothing is to be erased."""
        return find_end(self.answered_at, self.erasure)

    @property
    def num_days(self) -> int | None:
        """Dates from receipt to the end; None before that."""
        return None if self.done_at is None else (find_date(self.done_at) - find_date(self.received_at)).days


def find_end(answered_at: datetime | None, erasure: Erasure | None) -> datetime | None:
    """Returns when nothing was left to do for a request; None before that."""
    if answered_at is None or erasure is None:
        return answered_at
    # who asks again may be erased since long
    return None if erasure.erased_at is None else max(answered_at, erasure.erased_at)


def find_date(at: datetime) -> date:
    """Returns the day of a time as the pages show it."""
    return at.astimezone(UTC).date()


def report_requests(
    requests: Iterable[Request], model: str, now: datetime, cleared: Iterable[int] = ()
) -> list[ReportedRequest]:
    """Returns the requests of a model in the order of the queue.

    Args:
        requests: all of the model, or all of a wave.
        model: its name.
        now: the day to judge by.
        cleared: waves whose files in clear are destroyed.
    """
    every = list(requests)
    own: dict[str, list[Request]] = {}
    for request in every:
        own.setdefault(request.subject_id, []).append(request)
    gone = frozenset(cleared)
    return [_report(request, own[request.subject_id], model, now, gone) for request in every]


def _report(
    request: Request, of_person: Sequence[Request], model: str, now: datetime, cleared: frozenset[int]
) -> ReportedRequest:
    outcome = _get_outcome(request, model)
    # who had been forgotten before stands as the request that had it done
    meant = _find_earlier(of_person, model) if outcome.state == "already_forgotten" else request
    standing = outcome if meant is None else _get_outcome(meant, model)
    is_answered = standing.state in (*ANSWERED, "already_forgotten")
    answered_at = outcome.decided_at if is_answered else None
    is_held = request.is_stopped or (meant is not None and meant.is_stopped)
    return ReportedRequest(
        request_id=request.request_id,
        received_at=request.received_at,
        due_at=request.find_due(now),
        state=outcome.state,
        wave_number=outcome.wave_number,
        answered_at=answered_at,
        erasure=standing.erasure if is_answered else None,
        is_in_clear=standing.state == "completed" and standing.erasure is None and standing.wave_number not in cleared,
        standing=_judge(
            outcome.state,
            find_end(answered_at, standing.erasure),
            find_date(request.find_due(now)),
            find_date(now),
            is_held=is_held,
        ),
        law=request.law,
        due_before=None if request.extension is None else request.extension.due_before,
    )


def _get_outcome(request: Request, model: str) -> Outcome:
    return next(one for one in request.outcomes if one.model == model)


def _find_earlier(of_person: Sequence[Request], model: str) -> Request | None:
    """Returns the person's request that a wave has honoured or is to honour; None where it is not among these."""
    passed_over = ("already_forgotten", "withdrawn", "denied")
    found = [one for one in of_person if _get_outcome(one, model).state not in passed_over]
    return found[-1] if found else None


def _judge(state: OutcomeState, done_at: datetime | None, due_on: date, today: date, *, is_held: bool) -> Standing:
    if state in ("withdrawn", "denied"):
        return state
    if done_at is not None:
        return "kept" if find_date(done_at) <= due_on else "late"
    if is_held:
        return "held"
    return "running" if today <= due_on else "overdue"
