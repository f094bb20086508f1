"""All models of a ledger side by side: which of them have forgotten whoever asked, and which have not."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, func, select
from sqlalchemy.orm import aliased

from amun.ledger.overview import Overview
from amun.ledger.records import Status, WaveState
from amun.ledger.schema import LIVE_STATES, ModelRow, OutcomeRow, WaveRow


@dataclass(frozen=True)
class ModelStanding:
    """Where one of several models stands.

    Attributes:
        model: its name.
        status: its requests, as `amun status` counts them.
        num_behind: requests that another model has honoured, and this one has not yet.
        last_wave: number of the last one that is closed; None where there is none, as are its state and its end.
        last_state: complete or parked.
        last_closed_at: when it ended so.
    """

    model: str
    status: Status
    num_behind: int
    last_wave: int | None
    last_state: WaveState | None
    last_closed_at: datetime | None

    @property
    def is_overdue(self) -> bool:
        """Whether somebody waits longer than they may: to be forgotten by this model, or to be erased."""
        return bool(self.status.overdue or self.status.erase_overdue)


class FleetBook(Overview):
    """The part of the ledger that looks at all models at once."""

    def list_standings(self, now: datetime) -> list[ModelStanding]:
        """Returns where each model stands, by name."""
        behind = self._count_behind()
        with self._read() as session:
            names = session.scalars(select(ModelRow.name).order_by(ModelRow.name)).all()
        return [
            ModelStanding(name, self.count_status(name, now), behind.get(name, 0), *self._find_last_closed(name))
            for name in names
        ]

    def _find_last_closed(self, model: str) -> tuple[int | None, WaveState | None, datetime | None]:
        closed = select(WaveRow.number, WaveRow.state, WaveRow.closed_at).where(
            WaveRow.model == model, WaveRow.closed_at.is_not(None)
        )
        with self._read() as session:
            last = session.execute(closed.order_by(WaveRow.number.desc()).limit(1)).tuples().one_or_none()
            return last or (None, None, None)

    def _count_behind(self) -> dict[str, int]:
        """Returns for how many requests another model is done, and this one is not, by the model's name."""
        other = aliased(OutcomeRow)
        is_done_elsewhere = exists().where(
            other.request_number == OutcomeRow.request_number,
            other.model != OutcomeRow.model,
            other.state == "completed",
        )
        query = (
            select(OutcomeRow.model, func.count())
            .where(OutcomeRow.state.in_(LIVE_STATES), is_done_elsewhere)
            .group_by(OutcomeRow.model)
        )
        with self._read() as session:
            return dict(session.execute(query).tuples().all())
