"""A real S3 server on loopback: OpenStack Swift with its S3 API, in an environment of its own.

It has object versions, multipart uploads, refuses a wrong secret and a bucket that is not there.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from filelock import FileLock

from tasks.tools.environment import find_free_port

REQUIREMENTS = Path(__file__).parent / "swift-requirements.txt"
KEY, SECRET = "test:tester", "testing"
BUCKET = "amun-data"
START_SECONDS = 60.0
SERVERS = ("account", "container", "object")

PIPELINE = (
    "catch_errors gatekeeper listing_formats bulk s3api tempauth copy slo dlo versioned_writes symlink proxy-server"
)
FILTERS = {
    **dict.fromkeys(("catch_errors", "gatekeeper", "listing_formats", "bulk", "copy", "dlo", "symlink"), ""),
    # the parts of a deleted object are deleted at once, not by a program that is not running here
    "slo": "allow_async_delete = false\n",
    "s3api": "s3_acl = false\nlocation = us-east-1\ncors_preflight_allow_origin =\n",
    "tempauth": f"user_test_tester = {SECRET} .admin\n",
    "versioned_writes": "allow_versioned_writes = true\nallow_object_versioning = true\n",
}


def ensure_environment(folder: Path) -> Path:
    """Returns where Swift's programs lie; the first test process that asks installs them for all."""
    with FileLock(f"{folder}.lock"):
        if not (done := folder / "installed").exists():
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
            pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python")]
            install = ["install", "--quiet", "--requirement", str(REQUIREMENTS)]
            subprocess.run([*pip, *install], check=True, stderr=subprocess.DEVNULL)
            done.touch()
    return folder / "bin"


@contextmanager
def run_swift(folder: Path, programs: Path) -> Iterator[dict[str, str]]:
    """Gives the variables with which AWS's clients find a server.

    Args:
        folder: in which it keeps its data.
        programs: where its own lie.
    """
    ports = {name: find_free_port() for name in (*SERVERS, "proxy")}
    _write_configuration(folder, programs, ports)
    processes = [_start(folder, programs, name) for name in ports]
    try:
        _wait_for(ports["proxy"])
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports['proxy']}",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def _write_configuration(folder: Path, programs: Path, ports: dict[str, int]) -> None:
    (folder / "devices/d1").mkdir(parents=True)
    (folder / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_suffix = s\nswift_hash_path_prefix = p\n"
        "[storage-policy:0]\nname = gold\ndefault = yes\n",
        encoding="ascii",
    )
    for name in SERVERS:
        builder = [str(programs / "swift-ring-builder"), str(folder / f"{name}.builder")]
        for step in (["create", "4", "1", "1"], ["add", f"r1z1-127.0.0.1:{ports[name]}/d1", "1"], ["rebalance"]):
            # it ends with 1 where it only warns
            subprocess.run([*builder, *step], check=False, stdout=subprocess.DEVNULL)
        (folder / f"{name}.conf").write_text(
            _describe(folder, ports[name])
            + f"devices = {folder / 'devices'}\nmount_check = false\nfallocate_reserve = 0\n"
            + f"[pipeline:main]\npipeline = {name}-server\n[app:{name}-server]\nuse = egg:swift#{name}\n",
            encoding="utf-8",
        )
    filters = "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n{settings}" for name, settings in FILTERS.items())
    (folder / "proxy.conf").write_text(
        _describe(folder, ports["proxy"])
        + f"[pipeline:main]\npipeline = {PIPELINE}\n[app:proxy-server]\nuse = egg:swift#proxy\n"
        + f"account_autocreate = true\n{filters}",
        encoding="utf-8",
    )


def _describe(folder: Path, port: int) -> str:
    user = subprocess.run(["id", "-un"], check=True, capture_output=True, text=True).stdout.strip()
    where = f"bind_ip = 127.0.0.1\nbind_port = {port}\nuser = {user}\nswift_dir = {folder}\n"
    return f"[DEFAULT]\n{where}workers = 0\nlog_level = WARNING\n"


def _start(folder: Path, programs: Path, name: str) -> subprocess.Popen[bytes]:
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            [str(programs / f"swift-{name}-server"), str(folder / f"{name}.conf")],
            env=os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"Swift did not start within {START_SECONDS:.0f} seconds")
