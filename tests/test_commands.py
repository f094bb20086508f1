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
    words = iter(command.split()[1:])
    for quoted in words:
        word = quoted.strip("'\"")
        options = {name: one for one in present.params for name in [*one.opts, *one.secondary_opts]}
        if word.startswith("--"):
            name, is_given, _ = word.partition("=")
            if name not in {*options, "--help"}:
                return f"{command}: no option {word}"
            if hasattr(present, "commands") and name in options and not options[name].is_flag and not is_given:
                next(words, None)  # its value, which is no command
        elif hasattr(present, "commands"):
            if word.startswith("{"):  # in a message
                return ""
            if word not in present.commands:
                return f"{command}: no command {word}"
            present = present.commands[word]
    return ""


def test_unknown_words_are_found() -> None:
    assert find_fault("amun wave show 7 --worst --json") == ""
    assert find_fault("amun api --host 0.0.0.0 token list") == ""
    assert find_fault("amun api --host 0.0.0.0 tokens") == "amun api --host 0.0.0.0 tokens: no command tokens"
    assert find_fault("amun wave rum") == "amun wave rum: no command rum"
    assert find_fault("amun request add subject-1 --recieved 2026-01-31") != ""
    told = list_told_commands("`amun a --b`\n```sh\namun c  # why\n$ amun d > x.log\n```\nan amun of nobody\n")
    assert told == ["amun a --b", "amun c", "amun d"]


def test_commands_are_there() -> None:
    told = {path: list_told_commands(path.read_text(encoding="utf-8")) for path in TELLING}
    assert sum(map(len, told.values())) > 300
    found = [(path, find_fault(command)) for path, commands in told.items() for command in commands]
    assert [fault for fault in found if fault[1]] == []
