"""Ray: which clusters are refused; and references, a search and a study on two nodes, one of which is killed."""

import json
import os
import pickle
import secrets
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from amun.core.errors import AmunError, InputError
from amun.core.release import describe_release
from amun.engine.local import do_nothing
from amun.engine.on_ray import (
    ADDRESS_VARIABLE,
    AUTH_VARIABLE,
    TOKEN_PATH_VARIABLE,
    TOKEN_VARIABLE,
    RayEngine,
    read_address,
)
from amun.engine.ray_job import _compute, count_slots
from tasks.tools.environment import find_free_port
from tests.cluster import guard_ray
from tests.readme import fill_in, read_blocks, read_variables
from tests.workspaces import ROOT

PROGRAM = "tests.amun.engine.two_nodes"
STORE_BYTES, NUM_STARTS = 200_000_000, 5
COUNT_NODES = """
import sys
import ray
ray.init(sys.argv[1], log_to_driver=False, logging_level="error")
print(sum(node["Alive"] for node in ray.nodes()))
"""
COMPUTE = """
from amun.engine.local import LocalEngine, do_nothing
from amun.engine.on_ray import RayEngine, read_address
from tests.amun.engine.two_nodes import run_shards
for engine in (RayEngine(read_address(), do_nothing), LocalEngine()):
    print(run_shards(engine, lambda: None))
"""


@pytest.mark.parametrize("address", [None, "", "auto", "ray://10.0.0.7:10001", "10.0.0.7", "10.0.0.7:port"])
def test_cluster_is_named_by_the_address_of_its_head(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ADDRESS_VARIABLE, raising=False)
    if address is not None:
        monkeypatch.setenv(ADDRESS_VARIABLE, address)
    with pytest.raises(InputError, match=r"runtime.engine: ray needs RAY_ADDRESS, the cluster's head as host:port"):
        read_address()


@pytest.mark.parametrize("mode", [None, "disabled"])
def test_cluster_that_is_open_to_anybody_is_refused(mode: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADDRESS_VARIABLE, "127.0.0.1:6379")
    monkeypatch.delenv(AUTH_VARIABLE, raising=False)
    if mode is not None:
        monkeypatch.setenv(AUTH_VARIABLE, mode)
    with pytest.raises(InputError, match="RAY_AUTH_MODE=token"):
        read_address()


def test_head_that_does_not_answer_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(AUTH_VARIABLE, "token")
    monkeypatch.setenv(TOKEN_VARIABLE, secrets.token_hex(32))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        monkeypatch.setenv(ADDRESS_VARIABLE, address)
        assert read_address() == address
    with pytest.raises(InputError, match=f"RAY_ADDRESS: nobody answers at {address}: "):
        read_address()


def test_token_that_others_can_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / ".ray/auth_token"
    monkeypatch.setenv(ADDRESS_VARIABLE, "127.0.0.1:6379")
    monkeypatch.setenv(AUTH_VARIABLE, "token")
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    monkeypatch.setenv(TOKEN_PATH_VARIABLE, str(path))
    with pytest.raises(InputError, match=f"RAY_AUTH_TOKEN_PATH: {path} cannot be read: No such file"):
        read_address()
    path.parent.mkdir()
    path.write_text(secrets.token_hex(32))
    path.chmod(0o640)
    with pytest.raises(InputError, match=f"RAY_AUTH_TOKEN_PATH: {path} has mode 640; type .*chmod 600"):
        read_address()
    # where Ray looks if nothing is named
    monkeypatch.delenv(TOKEN_PATH_VARIABLE)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(InputError, match=f"{path} has mode 640"):
        read_address()


@pytest.mark.parametrize(
    ("resources", "expected"),
    [({"CPU": 8.0, "GPU": 2.0}, 2), ({"CPU": 8.0}, 0), ({"CPU": 3.0, "GPU": 9.0}, 1), ({"GPU": 9.0}, 0), ({}, 0)],
)
def test_node_has_room_for_what_it_has_both_of(resources: dict[str, float], expected: int) -> None:
    assert count_slots(resources, RayEngine("", do_nothing, num_cpus=2, num_gpus=1)) == expected
    assert count_slots(resources, RayEngine("", do_nothing, num_cpus=2)) == int(resources.get("CPU", 0)) // 2


def divide(shared: int, work: int) -> float:
    """Returns a quotient."""
    if work > shared:
        raise InputError("too large")
    return shared / work


@pytest.mark.parametrize(
    ("last", "kind", "line"),
    [
        (0, AmunError, "number 0, on the Ray cluster: ZeroDivisionError: division by zero"),
        (9, InputError, "too large"),
    ],
)
def test_shard_of_a_group_that_fails_is_named_and_those_before_it_are_done(
    last: int, kind: type[AmunError], line: str
) -> None:
    works = [(f"number {number}", number) for number in (2, 1, last, 4)]
    packed, _, failure = _compute(divide, RayEngine("", do_nothing), describe_release(), 8, works)
    assert pickle.loads(packed) == [4, 8]  # noqa: S301 - of this process
    assert (type(failure), str(failure)) == (kind, line)


def test_release_names_all_that_bytes_depend_on() -> None:
    assert all(word in describe_release() for word in ("amun 0.", "Python 3.11", "torch 2.", "numpy "))


@pytest.mark.long
@pytest.mark.parametrize("job", ["references", "search", "study", "shards"])
def test_node_that_is_killed_changes_no_byte(job: str, ray_packages: Path, tmp_path: Path) -> None:
    variables = guard_ray() | {"PYTHONPATH": f"{ROOT}:{ray_packages}"}
    run = subprocess.run(
        [sys.executable, "-m", PROGRAM, job, str(tmp_path)],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=850,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    told = json.loads(run.stdout.splitlines()[-1])
    assert told["was_killed_after"] < told["num_shards"]
    assert told["on_the_cluster"] == told["here"]


@contextmanager
def start_nodes(commands: Sequence[str], environment: dict[str, str], folder: Path) -> Iterator[None]:
    """Has the programs of these commands run, one after the other, until the block ends."""
    with ExitStack() as stack:
        for number, command in enumerate(commands):
            # Ray gives itself 30 seconds, whatever else the machine does
            for again in range(NUM_STARTS):
                log = folder / f"node-{number}-{again}"
                node = start_node(command, environment, log)
                if wait_for_nodes(number + 1, node, environment):
                    stack.callback(end_node, node)
                    break
                end_node(node)
            else:
                pytest.fail(f"{command}: {log.read_text(encoding='utf-8')}")
        yield


def start_node(command: str, environment: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
    """Starts a node that runs until it is ended."""
    with log.open("wb") as file:
        return subprocess.Popen(
            [*shlex.split(command), "--block"], env=environment, stdout=file, stderr=subprocess.STDOUT
        )


def wait_for_nodes(number: int, node: "subprocess.Popen[bytes]", environment: dict[str, str]) -> bool:
    """Tells whether so many nodes have come to work together, before this one has given up."""
    while node.poll() is None:
        counted = subprocess.run(
            [sys.executable, "-c", COUNT_NODES, environment[ADDRESS_VARIABLE]],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=False,
        )
        if counted.stdout.strip() == str(number):
            return True
        time.sleep(1)
    return False


def end_node(node: "subprocess.Popen[bytes]") -> None:
    """Ends a node and what it has started."""
    node.terminate()
    node.wait(timeout=60)


@pytest.mark.long
def test_nodes_are_started_as_the_page_types_it(ray_packages: Path, tmp_path: Path) -> None:
    prepare, start = read_blocks("scale.md#on-a-ray-cluster", "sh")
    head, second, name = start.splitlines()
    (tmp_path / "token").write_text(secrets.token_hex(32), encoding="ascii")
    (tmp_path / "token").chmod(0o600)
    _, variables = prepare.splitlines()
    own = {"10.0.0.7": "127.0.0.1", "6379": str(find_free_port())}
    named = read_variables(
        "\n".join([fill_in(variables, {"/PATH": shlex.quote(str(tmp_path / "token"))}), fill_in(name, own)])
    )
    environment = os.environ | named | {"PYTHONPATH": f"{ROOT}:{ray_packages}"}
    environment |= {"PATH": f"{ray_packages / 'bin'}:{os.environ['PATH']}", "RAY_agent_register_timeout_ms": "200000"}
    few = {"--num-cpus 8": f"--num-cpus 1 --object-store-memory {STORE_BYTES}"}
    folder = f" --temp-dir {shlex.quote(str(Path(tempfile.mkdtemp(prefix='ray-'))))}"
    commands = [fill_in(head, own | few) + folder, fill_in(second, own | few | {"10.0.0.8": "127.0.0.2"})]
    with start_nodes(commands, environment, tmp_path):
        run = subprocess.run(
            [sys.executable, "-c", COMPUTE], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
    assert run.returncode == 0, run.stderr[-3000:]
    there, here = map(json.loads, run.stdout.splitlines()[-2:])
    assert there == here
