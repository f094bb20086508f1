"""A base and a night past one machine: Ray, Postgres, S3 and a worker come to what one machine without them does.

References are trained, and adversarial examples searched for, on two Ray nodes. One node is killed amid each, and
replaced by another one.
"""

import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from amun.core.keys import SECRET_VARIABLE
from amun.core.params import read_params
from amun.core.paths import PARAMS, PARTIAL_ADVERSARIAL, PARTIAL_REFERENCES, SECRET
from amun.stages.search_shards import count_shards
from flows.worker import FOLDER
from tests.cluster import Nodes, run_ray, run_servers
from tests.processes import wait_until
from tests.results import digest_results
from tests.serving import DEPLOYMENT
from tests.swift import BUCKET
from tests.test_deploying import CREATE, DEPLOY, run_worker
from tests.test_faults import list_outcomes
from tests.workspaces import Site, choose_people, make_clone

FIRST_SECONDS = 600.0  # until the first result is kept
BATCH_SIZE = 2  # so small that the people of one night come to many shards; no result depends on it
Kept = Callable[[], int]


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_night_past_one_machine_comes_to_the_same_although_nodes_are_killed(
    wave_zero: Site, wave_one: Site, aws: dict[str, str], ray_packages: Path, tmp_path: Path
) -> None:
    # the secret makes people's ids in git; their keys are drawn anew
    shared = {SECRET_VARIABLE: (wave_zero.root / SECRET).read_text(encoding="ascii").strip()}
    with run_servers(tmp_path, aws) as servers, run_ray(ray_packages, tmp_path / "nodes.log") as nodes:
        site = make_site(tmp_path, wave_zero.variables | servers | nodes.variables | shared)
        build_base(site, nodes)
        site.run("amun", "request", "add", *choose_people(site))
        num_forget = json.loads((wave_one.root / "metrics/adversarial.json").read_text(encoding="utf-8"))["num_forget"]
        run_night(site, nodes, tmp_path, count_shards(num_forget, BATCH_SIZE))
        joined = join(site, tmp_path / "joined")
        assert digest_results(joined) == digest_results(wave_one)
        assert_nothing_is_lost(joined, wave_one)


def make_site(folder: Path, variables: dict[str, str]) -> Site:
    """Returns a clone that computes on the cluster, and whose waves go to a repository."""
    site = make_clone(folder / "site", variables)

    def spread(params: dict[str, Any]) -> None:
        params["runtime"]["engine"] = "ray"
        params["adversarial"]["batch_size"] = BATCH_SIZE

    site.change_params(spread)
    site.git("init", "--quiet", "--bare", str(folder / "origin.git"))
    site.git("remote", "set-url", "origin", str(folder / "origin.git"))
    return site


def build_base(site: Site, nodes: Nodes) -> None:
    """Runs `amun init`; a node is killed while the audit's references are trained, which come first."""
    with ThreadPoolExecutor(1) as pool:
        init = pool.submit(site.run, "amun", "init", "--remote", f"s3://{BUCKET}/dvc", "--git-remote", "origin")
        num_references = read_params(site.root / PARAMS).references.num_audit
        kill_amid(nodes, lambda: count_kept(site.root / PARTIAL_REFERENCES), num_references, init)
        init.result()


def run_night(site: Site, nodes: Nodes, folder: Path, num_shards: int) -> None:
    """Has a worker run the night in a clone of its own; a node is killed while the first set is searched for."""
    site.run(*CREATE)
    site.run(*DEPLOY, "--clone")
    site.run("prefect", "deployment", "run", DEPLOYMENT)
    runs = folder / "runs"  # each works in a folder below, which is gone with it
    runs.mkdir()

    def count_found() -> int:
        return sum(count_kept(run / FOLDER / PARTIAL_ADVERSARIAL) for run in list(runs.iterdir()))

    with ThreadPoolExecutor(1) as pool:
        night = pool.submit(run_worker, site, folder / "worker", TMPDIR=str(runs))
        kill_amid(nodes, count_found, num_shards, night)
        said = night.result()
    assert "wave 1 complete" in said, said


def kill_amid(nodes: Nodes, count: Kept, num_shards: int, run: "Future[str]") -> None:
    """Kills a node once the first of so many results is kept; others are under way still when it is dead.

    Args:
        nodes: of which another one joins afterwards.
        count: the results that are kept.
        num_shards: that are to be.
        run: what has them computed.
    """
    wait_until(lambda: count() or run.done(), "the first result", FIRST_SECONDS)
    if run.done():
        pytest.fail(f"it was over before a node could be killed: {run.result()}")
    nodes.kill()
    assert 0 < count() < num_shards, "the node died too late"
    nodes.add()


def count_kept(folder: Path) -> int:
    """Returns how many files of results are in a folder, which may be removed at any time."""
    with suppress(FileNotFoundError):
        return len(list(folder.rglob("*.parquet")))
    return 0


def join(site: Site, root: Path) -> Site:
    """Returns another clone, which has all that it has from the servers."""
    branch = site.git("branch", "--show-current")
    site.git("clone", "--quiet", "--branch", branch, site.git("remote", "get-url", "origin"), str(root))
    joined = Site(root, site.variables)
    assert "joined" in joined.run("amun", "init")
    return joined


def assert_nothing_is_lost(site: Site, reference: Site) -> None:
    """Compares requests and waves with those of the other workspace."""
    assert list_outcomes(site) == list_outcomes(reference)
    assert {state for _, state, _ in list_outcomes(site)} == {"completed"}
    assert [wave["state"] for wave in site.load("wave", "list")] == ["complete", "complete"]
