"""The study on one page: one HTML document that refers to nothing outside it."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from amun.core.counts import describe_seconds
from amun.core.templating import open_environment
from amun.study.records import Record
from amun.study.search_table import describe_budget, make_ranges_table, make_search_table
from amun.study.setup import Setup
from amun.study.tables import GLOSSARY, ResultTable

TITLES = {
    "figure1": "Figure 1",
    "figure2": "Figure 2 (several waves)",
    "figure3": "Figure 3",
    "figure5": "Figure 5",
    "figure_delta": "Figure delta",
}


@dataclass(frozen=True)
class Picture:
    """A figure as the page shows it.

    Attributes:
        name: of its files.
        title: for people.
        caption: how to read it.
        svg: the picture.
    """

    name: str
    title: str
    caption: str
    svg: bytes

    @property
    def address(self) -> str:
        """The picture itself, as an address that needs no file."""
        return f"data:image/svg+xml;base64,{base64.b64encode(self.svg).decode()}"


def render_page(
    records: Sequence[Record],
    setup: Setup,
    tables: Sequence[ResultTable],
    pictures: Sequence[Picture],
    missing: Sequence[str],
) -> str:
    """Returns the page.

    Args:
        records: of the study.
        setup: what it was made with.
        tables: 1 and 2 at each share.
        pictures: in the order in which they are shown.
        missing: names of the figures whose records are missing.
    """
    return (
        open_environment("amun.study")
        .get_template("index.html")
        .render(
            setup=setup,
            tables=tables,
            glossary=GLOSSARY,
            pictures=pictures,
            missing=[TITLES[name] for name in missing],
            budget=describe_budget(setup),
            search_tables=[table for table in (make_ranges_table(setup), make_search_table(records)) if table.rows],
            params=list(_flatten(setup.params)),
            num_runs=len(records),
            num_failed=sum(record.failure is not None for record in records),
            computed=describe_seconds(sum(record.costs.seconds for record in records if record.costs is not None)),
            needed=describe_seconds(setup.seconds),
            estimate=None if setup.estimate is None else describe_seconds(setup.estimate),
        )
    )


def _flatten(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in params.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", "none" if value is None else str(value)
