"""A replica that still serves the old version holds erasures up, in a workspace with a real registry."""

import json
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from amun.core.paths import LEDGER
from tests.readme import list_commands
from tests.test_bad_input import assert_one_line
from tests.test_trace import end_waiting
from tests.workspaces import MODEL, Site

REPLICA = "replica-1"
ADD, SEEN, LIST, REMOVE = map(shlex.split, list_commands("erasure.md#who-serves-the-model"))
HELD_UP = f"consumer {REPLICA} of {MODEL}, which still serves version 1"


@pytest.fixture
def site(wave_one: Site, tmp_path: Path) -> Site:
    """A workspace after its first wave, for one test alone."""
    return wave_one.copy(tmp_path / "workspace")


def pass_due_dates(site: Site) -> None:
    """Makes as if everybody had asked more than a month ago."""
    with closing(sqlite3.connect(site.root / LEDGER)) as connection, connection:
        connection.execute("UPDATE requests SET due_at = received_at")


def test_replica_holds_erasures_up_until_its_deploy_script_has_reported_the_new_version(site: Site) -> None:
    assert "`amun consumer seen`" in site.run(*ADD)
    unknown = site.start("amun", "consumer", "seen", REPLICA, "9")
    assert_one_line(unknown, 2, f"MLflow has no version 9 of {MODEL}")
    assert site.run("amun", "consumer", "seen", REPLICA, "1") == f"{REPLICA} serves version 1 of {MODEL}\n"
    end_waiting(site)
    num_people = len(site.load("erase", "list"))
    for command in (("run", "--dry-run"), ("run", "--now")):
        assert site.run("amun", "erase", *command).count(f"held up by {HELD_UP}") == num_people
    warning = f"warning    consumer {REPLICA} still serves version 1, and holds up the erasure of the people of"
    assert f"{warning} {num_people} requests until a day before it is due\n" in site.run("amun", "status")
    (consumer,) = site.load("status")["consumers"]
    assert (consumer["version"], consumer["num_held_up"]) == ("1", num_people)
    assert f"warning: consumer {REPLICA} still serves" in site.run("amun", "wave", "run")

    assert "warning" not in site.run(*SEEN)
    assert json.loads(site.run(*LIST, "--json")) == site.load("status")["consumers"]
    assert site.load("consumer", "list")[0]["num_awaited"] == 0
    back = site.run("amun", "model", "rollback", "1", "--reason", "to see", "--dry-run")
    assert back.splitlines()[-1] == f"serving what would be undone: {REPLICA}; load version 1 there"
    site.run("amun", "consumer", "seen", REPLICA, "1")
    pass_due_dates(site)
    late = f"warning: consumer {REPLICA} still serves version 1, which remembers the people of {num_people} requests;"
    assert late in site.run("amun", "erase", "run", "--dry-run")
    said = site.run("amun", "erase", "run")
    assert (said.count(": erased\n"), late in said) == (num_people, True)
    assert site.run(*LIST, "--columns", "consumer,remembered").split()[2:] == [
        REPLICA,
        str(num_people),
    ]
    site.run(*REMOVE)
    assert "warning" not in site.run("amun", "status")
