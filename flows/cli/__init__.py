"""The command line, one file for each noun; `flows/cli/app.py` puts them together."""

import sys
from collections.abc import Sequence

from amun.core.exit_codes import INTERRUPTED
from amun.core.processes import collect_rarely


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; a Ctrl-C while it is still being imported says no more than a later one."""
    collect_rarely()
    try:
        from flows.cli.app import main as run

        run(arguments)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


__all__ = ["main"]
