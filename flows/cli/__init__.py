"""The command line, one file for each noun; `flows/cli/app.py` puts them together."""

from flows.cli.app import main

__all__ = ["main"]
