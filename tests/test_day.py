"""A privacy officer's day and an engineer's bad morning: each command of the two pages is typed, in their order."""

import shlex
from itertools import chain
from pathlib import Path

import pytest

from tests.readme import list_commands, read_blocks
from tests.trap import KILLED, open_trap, read_all
from tests.workspaces import Site, describe

OFFICER, MORNING = "officer.md", "morning.md"
NEXT_DAY = "amun request list --state completed"  # what was typed before it in its block is of the next day, too
KILL = ("during", "unlearn")


@pytest.mark.long
def test_the_day_the_bad_morning_and_the_next_day(wave_zero: Site, tmp_path: Path) -> None:
    site = wave_zero.copy(tmp_path / "workspace")
    commands = list_commands(OFFICER)
    begin = commands.index(NEXT_DAY) - 1
    for command in commands[:begin]:
        type_command(site, command)
    states = {request["request_id"]: request["outcomes"][0]["state"] for request in site.load("request", "list")}
    assert [states[f"R-00000{number}"] for number in range(1, 6)] == ["pending", "pending", "held", "denied", "pending"]

    with (tmp_path / "said").open("w+", encoding="utf-8") as said, open_trap(site, said, "wave", "run") as run_and_die:
        assert run_and_die(*KILL) == KILLED, read_all(said)
    looked, went_on, looked_again = (block.splitlines() for block in read_blocks(MORNING, "sh"))
    told = [type_command(site, command) for command in looked]
    assert "1 (deletion)" in told[0]
    assert "which is gone" in told[0]
    for command in chain(went_on, looked_again):
        type_command(site, command)

    for command in commands[begin:]:
        type_command(site, command)
    outcomes = {request["request_id"]: request["outcomes"][0] for request in site.load("request", "list")}
    assert [outcomes[f"R-00000{number}"]["state"] for number in (1, 2, 5)] == ["completed"] * 3
    assert site.git("status", "--porcelain") == ""


def test_no_command_of_the_pages_stands_twice_where_the_day_is_cut() -> None:
    assert list_commands(OFFICER).count(NEXT_DAY) == 1
    assert len(read_blocks(MORNING, "sh")) == 3


def type_command(site: Site, command: str) -> str:
    """Returns what a command says, once it has ended well."""
    finished = site.start(*shlex.split(command))
    assert finished.returncode == 0, f"{command}\n{describe(finished)}"
    assert "Traceback" not in describe(finished)
    return finished.stdout
