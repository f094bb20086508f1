"""A model's requests as its report tells of them: days and states, and nobody's name."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from amun.ledger import OutcomeState, Request

Standing = Literal["kept", "late", "running", "overdue", "held", "withdrawn"]
ANSWERED: tuple[OutcomeState, ...] = ("completed", "already_forgotten", "nothing_held")


@dataclass(frozen=True)
class ReportedRequest:
    """One request, for one model.

    Attributes:
        request_id: its id.
        received_at: when the person asked.
        due_at: until when it is to be honoured.
        state: where it stands.
        wave_number: the wave that handles or handled it, if one does.
        answered_at: when it was answered: by a wave that forgot the person, or because there was nothing to forget.
        erase_after: when the person's keys may be destroyed; None where none are to be.
        erased_at: when nothing of the person could be opened any more.
        is_held: a legal hold keeps it back.
        num_undone: how often a rollback has opened it again.
        standing: how it stands with its due date.
    """

    request_id: str
    received_at: datetime
    due_at: datetime
    state: OutcomeState
    wave_number: int | None
    answered_at: datetime | None
    erase_after: datetime | None
    erased_at: datetime | None
    is_held: bool
    num_undone: int
    standing: Standing

    @property
    def done_at(self) -> datetime | None:
        """When nothing was left to do: the person is erased, or answered where nothing is to be erased."""
        return self.erased_at if self.erase_after is not None else self.answered_at


def report_requests(requests: Iterable[Request], model: str, now: datetime) -> list[ReportedRequest]:
    """Returns the requests of a model in the order of the queue."""
    return [_report(request, model, now) for request in requests]


def _report(request: Request, model: str, now: datetime) -> ReportedRequest:
    outcome = next(one for one in request.outcomes if one.model == model)
    erasure = outcome.erasure
    answered_at = outcome.decided_at if outcome.state in ANSWERED else None
    erased_at = None if erasure is None else erasure.erased_at
    done_at = answered_at if erasure is None else erased_at
    return ReportedRequest(
        request_id=request.request_id,
        received_at=request.received_at,
        due_at=request.due_at,
        state=outcome.state,
        wave_number=outcome.wave_number,
        answered_at=answered_at,
        erase_after=None if erasure is None else erasure.erase_after,
        erased_at=erased_at,
        is_held=request.is_held,
        num_undone=len(outcome.undone),
        standing=_judge(outcome.state, done_at, request.due_at, now, is_held=request.is_held),
    )


def _judge(
    state: OutcomeState, done_at: datetime | None, due_at: datetime, now: datetime, *, is_held: bool
) -> Standing:
    if state == "withdrawn":
        return "withdrawn"
    if done_at is not None:
        return "kept" if done_at <= due_at else "late"
    if is_held:
        return "held"
    return "running" if now <= due_at else "overdue"
