"""Alerts: what somebody is to be told, over which channels, and when that was done; and when nights ended.

Workspaces that share a ledger ask here before they tell: what one of them has told, or is telling, no other tells.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from amun.ledger.alert_records import Alert, AlertDelivery, NewAlert, Night
from amun.ledger.database import Database
from amun.ledger.lookups import check_model
from amun.ledger.schema import AlertDeliveryRow, AlertRow, NightRow

# what nobody could be told for so long is old news: what goes on was raised anew each day
TRIED_FOR = timedelta(days=3)
# whoever tells is done, or was killed, after so long
TELLING = timedelta(minutes=10)


class AlertBook(Database):
    """The part of the ledger that says who was told what."""

    def raise_alerts(self, model: str, alerts: Sequence[NewAlert], channels: Sequence[str], now: datetime) -> int:
        """Records alerts, to be told over these channels; one that is on record for its day stays as it is.

        What was raised lately by somebody without one of these channels is to be told over it, too: a shell and a
        night of one workspace may name different ones.

        Returns how many are new.

        Raises:
            InputError: the model is not registered.
        """
        num_new = 0
        with self._write() as session:
            check_model(session, model, self.name)
            for alert in alerts:
                key = {"model": model, "kind": alert.kind, "object": alert.object, "day": alert.day}
                row = session.scalar(select(AlertRow).filter_by(**key))
                if row is None:
                    row = AlertRow(**key, raised_at=now, line=alert.line)
                    session.add(row)
                    session.flush()
                    num_new += 1
                if row.raised_at > now - TRIED_FOR:
                    _add_deliveries(session, row.number, channels)
        return num_new

    def claim_deliveries(self, model: str, channel: str, now: datetime, without: Collection[str] = ()) -> list[Alert]:
        """Returns what is to be told over a channel now, oldest first; nobody else gets it before this is settled.

        Of what is raised each day anew the latest alone is there.

        Args:
            model: the model.
            channel: its name.
            now: the present time.
            without: kinds that are not to be told.
        """
        latest = (
            select(func.max(AlertRow.number)).where(AlertRow.model == model).group_by(AlertRow.kind, AlertRow.object)
        )
        is_free = or_(AlertDeliveryRow.claimed_at.is_(None), AlertDeliveryRow.claimed_at < now - TELLING)
        query = (
            select(AlertDeliveryRow, AlertRow)
            .join(AlertRow, AlertRow.number == AlertDeliveryRow.alert_number)
            .where(AlertRow.number.in_(latest), AlertRow.raised_at > now - TRIED_FOR)
            .where(AlertRow.kind.not_in(without))
            .where(AlertDeliveryRow.channel == channel, AlertDeliveryRow.delivered_at.is_(None), is_free)
            .order_by(AlertRow.number)
        )
        with self._write() as session:
            claimed = []
            for delivery, alert in session.execute(query).tuples():
                delivery.claimed_at = now
                claimed.append(_describe(alert, []))
            return claimed

    def settle_deliveries(
        self, numbers: Collection[int], channel: str, claimed_at: datetime, now: datetime, failure: str = ""
    ) -> None:
        """Records how telling ended that was claimed at that time: with a failure it is tried again the next time."""
        with self._write() as session:
            session.execute(
                update(AlertDeliveryRow)
                .where(AlertDeliveryRow.alert_number.in_(numbers), AlertDeliveryRow.channel == channel)
                .where(AlertDeliveryRow.claimed_at == claimed_at, AlertDeliveryRow.delivered_at.is_(None))
                .values(claimed_at=None, delivered_at=None if failure else now, failure=failure or None)
            )

    def list_alerts(self, model: str) -> list[Alert]:
        """Returns the model's alerts, the latest last.

        Raises:
            InputError: the model is not registered.
        """
        alerts = select(AlertRow).where(AlertRow.model == model).order_by(AlertRow.number)
        deliveries = (
            select(AlertDeliveryRow)
            .join(AlertRow, AlertRow.number == AlertDeliveryRow.alert_number)
            .where(AlertRow.model == model)
            .order_by(AlertDeliveryRow.channel)
        )
        with self._read() as session:
            check_model(session, model, self.name)
            told = defaultdict(list)
            for row in session.scalars(deliveries):
                told[row.alert_number].append(AlertDelivery(row.channel, row.delivered_at, row.failure))
            return [_describe(row, told[row.number]) for row in session.scalars(alerts)]

    def record_night(self, model: str, now: datetime, *, is_good: bool) -> None:
        """Records that a night of the model has ended.

        Raises:
            InputError: the model is not registered.
        """
        with self._write() as session:
            check_model(session, model, self.name)
            row = session.get(NightRow, model) or NightRow(model=model)
            row.ended_at = now
            row.good_at = now if is_good else row.good_at
            session.add(row)

    def find_night(self, model: str) -> Night | None:
        """Returns when nights of the model have ended; None where none has, as far as this ledger knows."""
        with self._read() as session:
            row = session.get(NightRow, model)
            return None if row is None else Night(row.ended_at, row.good_at)


def _add_deliveries(session: Session, number: int, channels: Sequence[str]) -> None:
    known = set(session.scalars(select(AlertDeliveryRow.channel).filter_by(alert_number=number)))
    session.add_all(
        AlertDeliveryRow(alert_number=number, channel=channel) for channel in channels if channel not in known
    )


def _describe(row: AlertRow, deliveries: Sequence[AlertDelivery]) -> Alert:
    return Alert(row.number, row.model, row.kind, row.object, row.raised_at, row.line, tuple(deliveries))
