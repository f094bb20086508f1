"""`amun report`: how requests were honoured, as one page for a privacy officer."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli import shared


def report(
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A new file, outside git; else .amun/report.html.", show_default=False),
    ] = None,
    wave: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Of this wave alone.", show_default=False)
    ] = None,
) -> None:
    """Write how requests were honoured as one page, which names nobody and needs no network."""
    from flows.pages.report_page import write_report

    print(f"written: {write_report(shared.open_here(), wave, out)}")
