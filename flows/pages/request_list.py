"""The requests as `amun serve` lists them: page by page, the latest first, and nobody's name."""

from datetime import UTC, datetime

from amun.ledger import Ledger
from flows.pages.deadline_tables import tabulate_list
from flows.pages.report_tables import MAX_SHOWN
from flows.pages.templating import open_template
from tasks.views.reported_requests import report_requests


def render_list(ledger: Ledger, model: str, number: int) -> str | None:
    """Returns a page of the list as one HTML document; None behind the last page.

    Args:
        ledger: that knows the requests.
        model: whose they are.
        number: of the page, from 1; the latest requests are on the first.

    Raises:
        AmunError: the ledger does not answer, or does not know the model.
    """
    num_requests, now = ledger.count_requests(model), datetime.now(UTC)
    num_pages = max(1, -(-num_requests // MAX_SHOWN))
    if not 1 <= number <= num_pages:
        return None
    found = ledger.list_requests(model, limit=MAX_SHOWN, num_later=(number - 1) * MAX_SHOWN)
    if num_requests and not found:
        return None  # some were cleared between the two looks
    cleared = [one.number for one in ledger.list_cleared(model).values() if one.destroyed_at is not None]
    return open_template("requests.html").render(
        model=model,
        number=number,
        num_pages=num_pages,
        num_requests=num_requests,
        written_at=now,
        table=tabulate_list(report_requests(reversed(found), model, now, cleared), now),
    )
