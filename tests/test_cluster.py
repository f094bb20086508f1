"""The demo's nights past one machine, on Ray, Postgres, S3 and a worker: they come to what the embedded demo comes to.

The nodes, the servers and the worker are on loopback; a node is killed while references are trained, and another one
while adversarial examples are searched for.
"""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch

from amun.core.keys import SECRET_VARIABLE
from amun.core.paths import (
    ADVERSARIAL,
    AUDIT_LOGITS,
    HELD_OUT_ADVERSARIAL,
    PARTIAL_ADVERSARIAL,
    PARTIAL_REFERENCES,
    TARGET_LOGITS,
    UNLEARNED,
)
from amun.engine.on_ray import ADDRESS_VARIABLE, AUTH_VARIABLE, TOKEN_VARIABLE
from amun.ledger import Ledger
from flows import demo
from tests.amun.engine.test_on_ray import LOOPBACK_VARIABLE, ray_packages
from tests.mlflow_server import run_mlflow
from tests.postgres import run_postgres
from tests.processes import wait_until
from tests.swift import BUCKET
from tests.test_fleet import POOL, run_worker, start_night
from tests.workspaces import MODEL, ROOT, Site, read_tree

__all__ = ["ray_packages"]

NIGHT_SECONDS = 2400.0
NUM_WAVES = 3
OUTPUTS = (AUDIT_LOGITS, TARGET_LOGITS, ADVERSARIAL, HELD_OUT_ADVERSARIAL)


class Nodes:
    """The cluster's nodes, in a process of their own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.killed: list[str] = []

    def ask(self, what: str) -> str:
        """Has a node killed or added, and returns what is answered."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if what:
            self._process.stdin.write(f"{what}\n")
            self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def kill_when(self, folder: Path, number: int) -> None:
        """Kills the second node once so many results are kept in a folder, and has another one come."""
        while len(list(folder.rglob("*.parquet"))) < number:
            time.sleep(0.05)
        self.ask("kill")
        self.killed.append(folder.name)
        self.ask("add")


@contextmanager
def run_nodes(packages: Path) -> Iterator[tuple[Nodes, dict[str, str]]]:
    """Gives two nodes, and the variables with which a job finds them."""
    variables = {
        "PYTHONPATH": f"{ROOT}:{packages}",
        AUTH_VARIABLE: "token",
        TOKEN_VARIABLE: secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "200",
        LOOPBACK_VARIABLE: "0",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tests.amun.engine.nodes"],
        cwd=ROOT,
        env=os.environ | variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        nodes = Nodes(process)
        address = nodes.ask("")
        assert address, "the cluster did not begin"
        # the stages import the code of their own workspace
        yield nodes, variables | {ADDRESS_VARIABLE: address, "PYTHONPATH": str(packages)}
        assert process.stdin is not None
        process.stdin.close()


def make_demo(root: Path, variables: dict[str, str], engine: str) -> Site:
    """Returns a clone with the demo's parameters, in which a search has several shards."""
    demo.ensure_clone(ROOT, root)
    demo.change_params(root, "The parameters of the demo", demo.OF_THE_BASE)
    site = Site(root, variables)

    def change(params: dict[str, Any]) -> None:
        params["adversarial"]["batch_size"] = 8
        params["runtime"]["engine"] = engine

    site.change_params(change)
    return site


def run_demo(site: Site, init: tuple[str, ...], people: list[list[str]], run_night: Callable[[int], None]) -> list[Any]:
    """Types the demo's commands; returns what is known of its waves.

    Args:
        site: the workspace.
        init: options of `amun init`.
        people: of each wave; chosen here where nobody stands there yet.
        run_night: runs a wave.
    """
    site.run("amun", "init", *init)
    if not people:
        with site.use_keys():
            people += [demo.choose_subjects(site.root, number) for number in (1, 2)]
            people.append(demo.choose_few(site.root))
    for number, asking in enumerate(people, start=1):
        if number == 2:
            demo.change_params(site.root, "The paper's method is taken out", demo.OF_WAVE_2)
        site.run("amun", "request", "add", *asking)
        run_night(number)
    return [site.load("wave", "show", str(number)) for number in range(NUM_WAVES + 1)]


def compare(embedded: Site, there: Site, waves: list[list[Any]]) -> None:
    """Compares what both have come to: the same weights, figures and outputs, each sealed under keys of its own."""
    for path in OUTPUTS:
        ours, theirs = embedded.read(path), there.read(path)
        assert ours.sample_ids.tolist() == theirs.sample_ids.tolist()
        assert torch.equal(ours.payloads, theirs.payloads), path
    weights, others = embedded.read_weights(UNLEARNED), there.read_weights(UNLEARNED)
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    for folder in ("metrics", "plots"):
        assert read_tree(embedded.root / folder) == read_tree(there.root / folder)
    for ours, theirs in zip(*waves, strict=True):
        for told in ("state", "summary", "forgotten_samples"):
            assert ours.get(told) == theirs.get(told), f"wave {ours['number']}: {told}"


@pytest.mark.long
@pytest.mark.timeout(6000)
def test_the_demo_past_one_machine_comes_to_the_same(
    tmp_path: Path,
    variables: dict[str, str],
    ray_packages: Path,
    aws: dict[str, str],
) -> None:
    shared = variables | {SECRET_VARIABLE: secrets.token_hex(32)}
    people: list[list[str]] = []
    embedded = make_demo(tmp_path / "embedded", shared, "local")

    def run_here(_: int) -> None:
        embedded.run("amun", "wave", "run")

    here = run_demo(embedded, (), people, run_here)
    (tmp_path / "mlflow").mkdir()
    with run_postgres() as ledger_url, run_mlflow(tmp_path / "mlflow") as (registry, _), run_nodes(ray_packages) as ray:
        nodes, of_ray = ray
        addresses = {"AMUN_LEDGER_URL": ledger_url, "MLFLOW_TRACKING_URI": registry}
        site = make_demo(tmp_path / "there", shared | aws | addresses | of_ray, "ray")
        for folder, number in ((PARTIAL_REFERENCES, 3), (PARTIAL_ADVERSARIAL, 2)):
            Thread(target=nodes.kill_when, args=(site.root / folder, number), daemon=True).start()
        with Ledger.create(ledger_url) as ledger:

            def run_night(number: int) -> None:
                if number == 1:
                    site.run("prefect", "work-pool", "create", POOL, "--type", "process")
                    site.run("amun", "deploy", "--work-pool", POOL)
                start_night(site)
                with run_worker(site, tmp_path / f"worker-{number}", f"worker-{number}"):
                    wait_until(lambda: has_ended(ledger, number), f"wave {number}", NIGHT_SECONDS)

            there = run_demo(site, ("--remote", f"s3://{BUCKET}/demo"), people, run_night)
        assert nodes.killed == [PARTIAL_REFERENCES.name, PARTIAL_ADVERSARIAL.name]
        compare(embedded, site, [here, there])


def has_ended(ledger: Ledger, number: int) -> bool:
    """Tells whether a wave is complete, and fails where it has ended otherwise."""
    states = {wave.number: wave.state for wave in ledger.list_waves(MODEL)}
    open_wave = ledger.peek_wave(MODEL, datetime.now(UTC))
    assert states.get(number) in (None, "open", "complete"), states
    return states.get(number) == "complete" and open_wave is None
