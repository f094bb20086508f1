"""`amun deploy`: a worker in an empty folder clones the workspace, runs a night and leaves its result to all."""

import shlex
from pathlib import Path

import pytest

from tests.readme import list_commands, read_blocks, read_variables
from tests.serving import DEPLOYMENT
from tests.test_bad_input import assert_one_line
from tests.workspaces import Site, choose_people, describe

CREATE, DEPLOY, WORK = (shlex.split(line) for line in list_commands("operations.md#a-worker-of-yours")[1:])
POOL = "lab"


@pytest.fixture(scope="module")
def site(wave_zero: Site, folder: Path) -> Site:
    """A workspace with requests, whose branch and tags are in a git remote, and a work pool."""
    copy = wave_zero.copy(folder / "deployed")
    copy.git("init", "--quiet", "--bare", str(folder / "repository.git"))
    copy.git("remote", "set-url", "origin", str(folder / "repository.git"))
    copy.run("amun", "init", "--git-remote", "origin")
    copy.run(*CREATE)
    copy.run("amun", "request", "add", *choose_people(copy))
    return copy


def test_unknown_pool_and_missing_server_are_refused(site: Site) -> None:
    assert_one_line(site.start("amun", "deploy", "--work-pool", "nowhere"), 2, "nowhere", "work-pool create")
    alone = Site(site.root, {"HOME": site.variables["HOME"]})
    assert_one_line(alone.start("amun", "deploy", "--work-pool", POOL), 2, "PREFECT_API_URL")


@pytest.mark.cold
def test_worker_of_this_machine_works_in_the_workspace(site: Site, tmp_path: Path) -> None:
    deployed = site.run(*DEPLOY)
    assert [words in deployed for words in ("digits-cnn-nightly", "next runs: ")] == [True, True], deployed
    run = site.run("prefect", "deployment", "run", DEPLOYMENT, "--param", "dry_run=true")
    assert str(site.root) in site.run("prefect", "deployment", "inspect", DEPLOYMENT), run
    worked = run_worker(site, tmp_path)
    assert "wave 1 would forget 13 people" in worked, worked


def test_page_names_the_server_as_the_commands_read_it() -> None:
    first = read_blocks("operations.md#a-worker-of-yours", "sh")[0].splitlines()[0]
    assert read_variables(first).keys() == {"PREFECT_API_URL"}


def test_paused_schedule_stays_paused(site: Site) -> None:
    site.run("prefect", "--no-prompt", "deployment", "schedule", "pause", "--all")
    site.run(*DEPLOY)
    assert "'active': False" in site.run("prefect", "deployment", "inspect", DEPLOYMENT)
    site.run("prefect", "--no-prompt", "deployment", "schedule", "resume", "--all")


def run_worker(site: Site, folder: Path, **variables: str) -> str:
    """Has a worker in an empty folder run what is due; returns what it and its runs have said."""
    folder.mkdir(exist_ok=True)
    worker = Site(folder, site.variables | variables)
    finished = worker.start(*WORK, "--run-once")
    return describe(finished)


@pytest.mark.long
def test_worker_in_an_empty_folder_clones_pulls_and_runs(site: Site, tmp_path: Path) -> None:
    site.run("amun", "deploy", "--work-pool", POOL, "--clone")
    site.run("prefect", "deployment", "run", DEPLOYMENT)
    said = run_worker(
        site,
        tmp_path / "empty",
        **site.name_secrets(),
        AMUN_LEDGER_URL=f"sqlite:///{site.root}/.amun/ledger.db",
        MLFLOW_TRACKING_URI=f"sqlite:///{site.root}/.amun/mlflow.db",
    )
    assert "wave 1 complete" in said, said
    assert [wave["state"] for wave in site.load("wave", "list")] == ["complete", "complete"]
    # what it has recorded is not lost with its folder
    assert "nothing to do" in site.run("amun", "wave", "run")
    assert site.git("rev-list", "-n", "1", "wave/0001") == site.load("wave", "list")[1]["commit"]
    assert "same bytes" in site.run("amun", "wave", "reproduce", "1")
