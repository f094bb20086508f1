"""Five models of one company forget the same people: two workers share the pool's nights, and one is killed."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient

from amun.ledger import Ledger
from tests.fleet import make_models, run_servers
from tests.processes import wait_until
from tests.workspaces import BIN, MODEL, Site, list_people

MODELS = (MODEL, *(f"digits-{number}" for number in range(2, 6)))
POOL = "lab"
NIGHT_SECONDS = 1200.0


@contextmanager
def run_worker(site: Site, folder: Path, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """Gives a worker that takes one run at a time; with all that it has started it is killed at the end."""
    folder.mkdir()
    with (folder / "said").open("wb") as said:
        worker = subprocess.Popen(
            [str(BIN / "prefect"), "worker", "start", "--pool", POOL, "--name", name, "--limit", "1"],
            cwd=folder,
            env=site.environment | {"PREFECT_WORKER_QUERY_SECONDS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
    try:
        yield worker
    finally:
        kill_tree(worker.pid)
        worker.wait()


def kill_tree(pid: int) -> None:
    """Kills a process and all that descend from it, as a machine that loses its power does."""
    if psutil.pid_exists(pid):
        process = psutil.Process(pid)
        for one in [process, *process.children(recursive=True)]:
            if psutil.pid_exists(one.pid):
                os.kill(one.pid, signal.SIGKILL)


def find_open(ledger: Ledger, worker: int) -> str | None:
    """Returns the model whose wave a worker's run has open, once it makes an attempt."""
    runs = {child.pid for child in psutil.Process(worker).children(recursive=True)}
    for model in MODELS:
        wave = ledger.peek_wave(model, datetime.now(UTC))
        if wave is not None and wave.attempt is not None and int(wave.holder.split(":")[2]) in runs:
            return model
    return None


def has_ended(ledger: Ledger, model: str) -> bool:
    """Tells whether a model's first wave of deletion has ended."""
    return [wave.state for wave in ledger.list_waves(model)] == ["complete", "complete"]


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_nights_of_five_models_are_shared_by_two_workers_of_which_one_is_killed(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    with run_servers(tmp_path, variables) as addresses:
        sites = make_models(tmp_path, addresses, MODELS)
        people = list_people(sites[0])[0][20:32]
        answers = sites[0].load("request", "add", *people)
        assert [[outcome["model"] for outcome in answer["outcomes"]] for answer in answers] == [sorted(MODELS)] * 12
        sites[0].run("prefect", "work-pool", "create", POOL, "--type", "process")
        for site in sites:
            site.run("amun", "deploy", "--work-pool", POOL)
            start_night(site)
        with Ledger(addresses["AMUN_LEDGER_URL"]) as ledger, run_worker(sites[0], tmp_path / "first", "first") as first:
            with run_worker(sites[0], tmp_path / "second", "second") as second:
                wait_until(lambda: find_open(ledger, second.pid), "a wave of the second worker", NIGHT_SECONDS)
                left = find_open(ledger, second.pid)
            assert left is not None, "its wave has ended before it could be killed"
            others = [model for model in MODELS if model != left]
            wait_until(lambda: all(has_ended(ledger, one) for one in others), "the others' waves", NIGHT_SECONDS)
            standings = {one["model"]: one["num_behind"] for one in sites[0].load("fleet", "status")}
            assert standings == {model: len(people) * (model == left) for model in MODELS}
            # the next night goes on with what the killed one has left
            start_night(sites[MODELS.index(left)])
            wait_until(lambda: has_ended(ledger, left), "the wave that was killed", NIGHT_SECONDS)
            assert first.poll() is None
        check(sites, people, addresses)


def start_night(site: Site) -> None:
    """Has the pool run a night of a workspace now."""
    site.run("prefect", "deployment", "run", f"deletion-wave/{site.load('status')['model']}-nightly")


def check(sites: list[Site], people: list[str], addresses: dict[str, str]) -> None:
    """Compares ledger, registry and git: everybody is forgotten by each model, once."""
    requests: list[dict[str, Any]] = sites[0].load("request", "list")
    assert sorted(request["subject_id"] for request in requests) == sorted(people)
    client = MlflowClient(tracking_uri=addresses["MLFLOW_TRACKING_URI"])
    for site, model in zip(sites, MODELS, strict=True):
        outcomes = [outcome for one in site.load("request", "list") for outcome in one["outcomes"]]
        assert {(one["model"], one["state"], one["wave_number"]) for one in outcomes} == {(model, "completed", 1)}
        found = sorted(int(version.version) for version in client.search_model_versions(f"name = '{model}'"))
        assert found == [1, 2]
        assert site.load("status")["champion"] == 2
        assert site.git("tag", "--list", "wave/*").split() == ["wave/0000", "wave/0001"]
        assert site.git("status", "--porcelain") == ""
