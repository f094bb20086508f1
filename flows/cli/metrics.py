"""`amun metrics`: how requests, nights and waves stand, once, for a monitoring system."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli import shared

READABLE = 0o644  # the collector is another user


def metrics(
    to: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write them there, whole, for a textfile collector.", show_default=False),
    ] = None,
) -> None:
    """Print the metrics that `amun serve` serves, once, in Prometheus' text format."""
    from tasks.views.metrics import write_metrics

    text = write_metrics(shared.open_here())
    if to is None:
        print(text, end="")
        return
    from amun.core.errors import InputError
    from amun.core.files import replace_file

    if not to.absolute().parent.is_dir():
        raise InputError(f"--to {to}: there is no such folder; make it, or name the one that the collector reads")
    try:
        with replace_file(to) as unfinished:
            unfinished.touch()
            unfinished.chmod(READABLE)
            unfinished.write_text(text, encoding="utf-8")
    except PermissionError as error:
        raise InputError(f"--to {to}: {error.strerror}; type this as a user who may write there") from None
