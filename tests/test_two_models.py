"""Two models of one company, on one MLflow, one Prefect and one Postgres, run their waves at the same time."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tasks.tools.environment import API_VARIABLE
from tests.fleet import make_models, run_all, run_servers
from tests.workspaces import MODEL, Site, list_people

MODELS = (MODEL, "digits-two")


@pytest.fixture(scope="module")
def addresses(folder: Path, variables: dict[str, str]) -> Iterator[dict[str, str]]:
    """What both workspaces' environment says."""
    with run_servers(folder, variables) as found:
        yield found


@pytest.fixture(scope="module")
def sites(folder: Path, addresses: dict[str, str]) -> list[Site]:
    """Two workspaces after one wave each, of the same requests, all made at the same time."""
    made = make_models(folder, addresses, MODELS)
    people = list_people(made[0])[0][20:32]
    answers = made[0].load("request", "add", *people)
    assert [[outcome["model"] for outcome in answer["outcomes"]] for answer in answers] == [list(MODELS)] * len(people)
    run_all(made, "wave", "run")
    return made


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
