"""What people read of the alerts of a model."""

from collections.abc import Sequence

from amun.ledger import Alert, AlertDelivery
from flows.pages.layout import moment
from flows.pages.listing import View, choose_page, print_page
from flows.pages.table import Column, Table


def choose_alerts(alerts: Sequence[Alert], view: View) -> tuple[Sequence[Alert], int]:
    """Returns the page of alerts that is asked for, and how many all pages have; raises as `choose_page`."""
    return choose_page(alerts, view, _tell_cells)


def print_list(alerts: Sequence[Alert], view: View, num_alerts: int) -> None:
    """Prints the page of alerts that is asked for."""
    table = Table(
        Column("raised"),
        Column("kind"),
        Column("told", 1, is_text=True),
        Column("what", 2, is_text=True),
    )
    for alert in alerts:
        table.add_row(*_tell_cells(alert))
    print_page(table, view, num_alerts, "alert")


def _tell_cells(alert: Alert) -> list[str]:
    told = "; ".join(f"{one.channel} {_tell_delivery(one)}" for one in alert.deliveries)
    return [moment(alert.raised_at), alert.kind, told or "nobody", alert.line]


def _tell_delivery(delivery: AlertDelivery) -> str:
    if delivery.delivered_at is not None:
        return moment(delivery.delivered_at)
    return f"not yet: {delivery.failure}" if delivery.failure else "not yet"
