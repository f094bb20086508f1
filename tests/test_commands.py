"""Every command of `amun` that a page, a message or a docstring names is one, with the options that it has."""

from typing import Any

import typer

from flows.cli.app import app
from tests.readme import list_told_commands
from tests.test_docs import PAGES
from tests.workspaces import ROOT

SOURCES = [path for package in ("amun", "flows", "tasks", "infra") for path in sorted((ROOT / package).rglob("*"))]
TELLING = [path for path in [*PAGES, *SOURCES, ROOT / "params.yaml"] if path.suffix in {".md", ".py", ".yaml", ".html"}]
ROOT_COMMAND: Any = typer.main.get_command(app)


def find_fault(command: str) -> str:
    """Returns what `amun` does not know in a command; empty where it knows all of it."""
    present = ROOT_COMMAND
    for quoted in command.split()[1:]:
        word = quoted.strip("'\"")
        options = {name for parameter in present.params for name in [*parameter.opts, *parameter.secondary_opts]}
        if word.startswith("--"):
            if word.partition("=")[0] not in options | {"--help"}:
                return f"{command}: no option {word}"
        elif hasattr(present, "commands"):
            if word.startswith("{"):  # in a message
                return ""
            if word not in present.commands:
                return f"{command}: no command {word}"
            present = present.commands[word]
    return ""


def test_unknown_words_are_found() -> None:
    assert find_fault("amun wave show 7 --worst --json") == ""
    assert find_fault("amun wave rum") == "amun wave rum: no command rum"
    assert find_fault("amun request add subject-1 --recieved 2026-01-31") != ""
    told = list_told_commands("`amun a --b`\n```sh\namun c  # why\n$ amun d > x.log\n```\nan amun of nobody\n")
    assert told == ["amun a --b", "amun c", "amun d"]


def test_commands_are_there() -> None:
    told = {path: list_told_commands(path.read_text(encoding="utf-8")) for path in TELLING}
    assert sum(map(len, told.values())) > 300
    found = [(path, find_fault(command)) for path, commands in told.items() for command in commands]
    assert [fault for fault in found if fault[1]] == []
