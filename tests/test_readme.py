"""Every command in the README is run, in its order."""

import subprocess

import pytest

from tests.readme import list_commands
from tests.workspaces import ROOT, Finished, Site, describe

COMMANDS = list_commands()


def test_readme_shows_commands() -> None:
    assert len(COMMANDS) > 5


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("make ")])
def test_make_knows_the_verb(command: str) -> None:
    # CI runs them: `make test` is running right now
    subprocess.run(["make", "--dry-run", *command.split()[1:]], cwd=ROOT, capture_output=True, check=True)


@pytest.mark.parametrize("command", [command for command in COMMANDS if not command.startswith("make ")])
def test_command_of_the_readme_succeeds(command: str, readme_run: tuple[Site, dict[str, Finished]]) -> None:
    _, said = readme_run
    assert said[command].returncode == 0, describe(said[command])
    assert "Traceback" not in describe(said[command])


def test_stages_by_hand_change_nothing(readme_run: tuple[Site, dict[str, Finished]]) -> None:
    site, said = readme_run
    assert said["amun wave reproduce 1"].stdout.endswith("wave 1: same bytes\n")
    assert "up to date" in said["dvc status"].stdout
    assert site.git("status", "--porcelain") == ""
