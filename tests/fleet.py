"""Several models of one company: workspaces of the same people on one MLflow, one Prefect and one Postgres."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.mlflow_server import run_mlflow
from tests.postgres import run_postgres
from tests.workspaces import Finished, Site, describe, make_clone


@contextmanager
def run_servers(folder: Path, variables: dict[str, str]) -> Iterator[dict[str, str]]:
    """Gives what the environment of all workspaces says."""
    (folder / "mlflow").mkdir()
    with run_postgres() as ledger, run_mlflow(folder / "mlflow") as (url, _):
        yield variables | {"AMUN_LEDGER_URL": ledger, "MLFLOW_TRACKING_URI": url}


def make_models(folder: Path, addresses: dict[str, str], models: Sequence[str]) -> list[Site]:
    """Returns a workspace of each model with its base, two made at a time; their waves go to a repository of each."""
    made = [make_clone(folder / model, addresses) for model in models]
    for seed, (model, site) in enumerate(zip(models, made, strict=True)):
        _name(site, model, seed)
        site.git("init", "--quiet", "--bare", f"{site.root}.git")
        site.git("remote", "set-url", "origin", f"{site.root}.git")
        site.git("push", "--quiet", "origin", "HEAD")
    run_all(made, "init", "--git-remote", "origin")
    return made


def _name(site: Site, model: str, seed: int) -> None:
    """Names the model in a workspace's parameters, unless it is the one that they name as they are."""
    if seed:

        def change(params: dict[str, Any]) -> None:
            params["model"]["name"] = model
            params["training"]["seed"] = seed

        site.change_params(change)


def run_all(sites: list[Site], *command: str) -> None:
    """Runs a command in all workspaces, in two at a time, and fails where one does."""

    def start(site: Site) -> Finished:
        return site.start("amun", *command)

    with ThreadPoolExecutor(2) as pool:
        for finished in pool.map(start, sites):
            assert finished.returncode == 0, describe(finished)
            assert finished.stderr == ""
