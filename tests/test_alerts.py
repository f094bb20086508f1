"""A real night keeps what needs a person, and what the runbook then tells to type can be typed."""

import shlex

import pytest

from tests.readme import list_commands
from tests.workspaces import Site

RUNBOOK = "operations.md#the-runbook"


def test_a_night_keeps_what_needs_a_person(wave_one: Site) -> None:
    alerts = wave_one.load("alert", "list")
    # the first of two attempts was refused, 13 people show little, and there is nobody to tell
    assert [(alert["kind"], alert["object"], alert["deliveries"]) for alert in alerts] == [
        ("wave-refused", "1", []),
        ("wave-insufficient", "1", []),
    ]
    shown = wave_one.run("amun", "alert", "list")
    assert "wave 1: the gate has refused attempt 1" in shown
    assert "subject-" not in shown


@pytest.mark.long
def test_every_command_of_the_runbook_is_typed(site: Site) -> None:
    commands = list_commands(RUNBOOK)
    assert len(commands) > 30
    site.run("amun", "consumer", "add", "replica-1")
    for command in dict.fromkeys(commands):
        finished = site.start(*shlex.split(command))
        assert finished.returncode == 0, f"{command}: {finished.stderr}"
