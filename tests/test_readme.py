"""Every command in the README and in `docs/workspace.md` is run, in its order."""

import subprocess

import pytest

from tests.readme import README, WORKSPACE, find_page, list_commands
from tests.workspaces import ROOT, Finished, Site, describe

SCREEN_LINES = 24  # what a terminal shows


def test_pages_show_commands() -> None:
    assert list_commands(README) == ["make setup", "make demo"]
    assert len(list_commands(WORKSPACE)) > 5


def test_first_screen_names_what_finds_faults() -> None:
    screen = "\n".join(find_page(README).read_text(encoding="utf-8").splitlines()[:SCREEN_LINES])
    assert [command for command in ("amun check", "amun doctor") if f"`{command}`" not in screen] == []
    assert {"amun check", "amun doctor"} <= set(list_commands(WORKSPACE))


@pytest.mark.parametrize("command", list_commands(README))
def test_make_knows_the_verb(command: str) -> None:
    # `make setup` has built what runs this test; the demo's commands are those of the page below
    subprocess.run(["make", "--dry-run", *command.split()[1:]], cwd=ROOT, capture_output=True, check=True)


@pytest.mark.parametrize("command", list_commands(WORKSPACE))
def test_command_of_the_page_succeeds(command: str, readme_run: tuple[Site, dict[str, Finished]]) -> None:
    _, said = readme_run
    assert said[command].returncode == 0, describe(said[command])
    assert "Traceback" not in describe(said[command])


def test_stages_by_hand_change_nothing(readme_run: tuple[Site, dict[str, Finished]]) -> None:
    site, said = readme_run
    assert said["amun wave reproduce 1"].stdout.endswith("wave 1: same bytes\n")
    assert "up to date" in said["dvc status"].stdout
    assert site.git("status", "--porcelain") == ""
