"""The queue: the requests that wait for a wave, those due first in front, and which of them the next wave takes."""

from collections.abc import Collection

from sqlalchemy import and_, exists, func, select
from sqlalchemy.orm import Session

from amun.ledger.bounds import Bounds, Pace, Waiting, deal_nights, find_pace
from amun.ledger.database import Database
from amun.ledger.lookups import check_model
from amun.ledger.records import OutcomeState
from amun.ledger.schema import HoldingRow, OutcomeRow, RequestRow


class PendingBook(Database):
    """The part of the ledger that says whom the nights to come would take."""

    def subjects_of_next(self, model: str, bounds: Bounds | None) -> list[str]:
        """Returns whom a wave would forget that was opened now, in the order in which they asked.

        Args:
            model: the model.
            bounds: on the wave; None takes everybody.

        Raises:
            InputError: the model is not registered.
        """
        with self._read() as session:
            check_model(session, model, self.name)
            taken = choose_next(session, model, bounds)
            return [one.subject_id for one in sorted(taken, key=lambda one: one.number)]

    def foresee_nights(self, model: str, bounds: Bounds, *, with_open: bool = False) -> Pace:
        """Returns how the nights to come take the model's queue, should nobody else ask.

        Args:
            model: the model.
            bounds: on the next wave.
            with_open: as if the open wave had been parked: its requests wait like the others.

        Raises:
            InputError: the model is not registered.
        """
        states: list[OutcomeState] = ["pending", "in_wave"] if with_open else ["pending"]
        with self._read() as session:
            check_model(session, model, self.name)
            return find_pace(_read_queue(session, model, states), bounds, _count_held(session, model))


def choose_next(session: Session, model: str, bounds: Bounds | None) -> list[Waiting]:
    """Returns the pending requests that the next wave takes, those due first in front; without bounds all."""
    queue = _read_queue(session, model, ["pending"])
    if bounds is None:
        return queue
    nights = deal_nights(queue, bounds, _count_held(session, model))
    return [one for one, (night, _) in zip(queue, nights, strict=True) if night == 0]


def _read_queue(session: Session, model: str, states: Collection[OutcomeState]) -> list[Waiting]:
    """Returns the requests in these states, those due first in front; a person has one of them at most."""
    is_theirs = and_(HoldingRow.model == OutcomeRow.model, HoldingRow.subject_id == OutcomeRow.subject_id)
    query = (
        select(RequestRow.number, OutcomeRow.subject_id, RequestRow.due_at, func.coalesce(HoldingRow.num_train, 0))
        .join(OutcomeRow, OutcomeRow.request_number == RequestRow.number)
        .outerjoin(HoldingRow, is_theirs)
        .where(OutcomeRow.model == model, OutcomeRow.state.in_(states))
        .order_by(RequestRow.due_at, RequestRow.number)
    )
    return [Waiting(*row) for row in session.execute(query).tuples()]


def _count_held(session: Session, model: str) -> int:
    """Returns how many training samples the model holds of people whom no wave has forgotten."""
    is_gone = exists().where(
        OutcomeRow.model == HoldingRow.model,
        OutcomeRow.subject_id == HoldingRow.subject_id,
        OutcomeRow.state == "completed",
    )
    query = select(func.coalesce(func.sum(HoldingRow.num_train), 0)).where(HoldingRow.model == model, ~is_gone)
    return session.scalars(query).one()
