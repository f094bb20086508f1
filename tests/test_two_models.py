"""Two models of one company, on one MLflow, one Prefect and one Postgres, run their waves at the same time."""

import json
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tasks.tools.environment import API_VARIABLE
from tests.mlflow_server import run_mlflow
from tests.postgres import run_postgres
from tests.workspaces import MODEL, Finished, Site, describe, list_people, make_clone

MODELS = (MODEL, "digits-two")


@pytest.fixture(scope="module")
def addresses(folder: Path, variables: dict[str, str]) -> Iterator[dict[str, str]]:
    """What both workspaces' environment says."""
    (folder / "mlflow").mkdir()
    with run_postgres() as ledger, run_mlflow(folder / "mlflow") as (url, _):
        yield variables | {"AMUN_LEDGER_URL": ledger, "MLFLOW_TRACKING_URI": url}


@pytest.fixture(scope="module")
def sites(folder: Path, addresses: dict[str, str]) -> list[Site]:
    """Two workspaces after one wave each, of the same requests, all made at the same time."""
    made = [make_clone(folder / model, addresses) for model in MODELS]

    def change(params: dict[str, Any]) -> None:
        params["model"]["name"] = MODELS[1]
        params["training"]["seed"] = 1

    made[1].change_params(change)
    for site in made:
        # clones of a company's repository each, to which their waves go
        site.git("init", "--quiet", "--bare", f"{site.root}.git")
        site.git("remote", "set-url", "origin", f"{site.root}.git")
        site.git("push", "--quiet", "origin", "HEAD")
    run_both(made, "init", "--git-remote", "origin")
    people = list_people(made[0])[0][20:32]
    answers = made[0].load("request", "add", *people)
    assert [[outcome["model"] for outcome in answer["outcomes"]] for answer in answers] == [list(MODELS)] * len(people)
    run_both(made, "wave", "run")
    return made


def run_both(sites: list[Site], *command: str) -> None:
    """Runs a command in both workspaces at the same time, and fails where one does."""

    def start(site: Site) -> Finished:
        return site.start("amun", *command)

    with ThreadPoolExecutor() as pool:
        for finished in pool.map(start, sites):
            assert finished.returncode == 0, describe(finished)
            assert finished.stderr == ""


def list_flow_runs(url: str) -> list[dict[str, Any]]:
    request = urllib.request.Request(  # noqa: S310 - our own address
        f"{url}/flow_runs/filter", data=b"{}", headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own address
        listed: list[dict[str, Any]] = json.load(answer)
        return listed


@pytest.mark.long
def test_two_nights_at_the_same_time_mix_nothing_up(sites: list[Site], addresses: dict[str, str]) -> None:
    client = MlflowClient(tracking_uri=addresses["MLFLOW_TRACKING_URI"])
    runs = [run for run in list_flow_runs(addresses[API_VARIABLE]) if run["name"].startswith(MODELS)]
    commits: set[str] = set()
    for model, site in zip(MODELS, sites, strict=True):
        waves = site.load("wave", "list")
        assert [(wave["number"], wave["state"], wave["version"]) for wave in waves] == [
            (0, "complete", "1"),
            (1, "complete", "2"),
        ]
        found = sorted(client.search_model_versions(f"name = '{model}'"), key=lambda version: int(version.version))
        own = [site.git("rev-parse", f"wave/000{number}^{{commit}}") for number in (0, 1)]
        assert [version.tags["amun.commit"] for version in found] == [wave["commit"] for wave in waves] == own
        assert site.load("status")["champion"] == 2
        experiment = client.get_experiment_by_name(model)
        assert experiment is not None
        assert {str(version.run_id) for version in found} <= {
            run.info.run_id for run in client.search_runs([experiment.experiment_id])
        }
        for request in site.load("request", "list"):
            (outcome,) = request["outcomes"]
            assert (outcome["state"], outcome["wave_number"]) == ("completed", 1)
            assert (outcome["receipt"]["model"], outcome["receipt"]["commit"]) == (model, own[1])
        for number in (0, 1):
            (run,) = (run for run in runs if run["name"] == f"{model}-wave-{number:04d}")
            assert run["state_type"] == "COMPLETED"
            assert {f"model:{model}", f"wave:{number}"} <= set(run["tags"])
            assert run["parameters"]["workspace"] == str(site.root)
        assert site.git("status", "--porcelain") == ""
        refs = (f"refs/heads/{site.git('branch', '--show-current')}", "refs/tags/wave/0001^{}")
        assert [line.split()[0] for line in site.git("ls-remote", "origin", *refs).splitlines()] == [own[1], own[1]]
        commits |= set(own)
    assert len(commits) == 4
    versions = [version for model in MODELS for version in client.search_model_versions(f"name = '{model}'")]
    digests = {version.tags["amun.weights_digest"] for version in versions}
    assert len(digests) == 4
    for request in sites[0].load("request", "list"):
        both = sites[1].load("request", "show", request["request_id"])
        assert [outcome["model"] for outcome in both["outcomes"]] == list(MODELS)
        assert {outcome["state"] for outcome in both["outcomes"]} == {"completed"}
