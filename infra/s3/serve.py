"""OpenStack Swift with its S3 API on one machine, as a real S3 server: for tests, and for trying out `compose.yaml`.

It keeps object versions, takes multipart uploads, and refuses a wrong secret. It has one copy of everything: what
counts belongs into a bucket of yours. As a program it takes the account's key and secret from S3_KEY (`account:user`)
and S3_SECRET, and serves until SIGTERM:

    python serve.py FOLDER [--host 0.0.0.0] [--port 8080] [--bucket NAME ...]
"""

import argparse
import getpass
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

REGION = "us-east-1"
START_SECONDS = 60.0
WATCH_SECONDS = 0.5
STORES = ("object", "container", "account")
PIPELINE = (
    "catch_errors gatekeeper listing_formats bulk s3api tempauth copy slo dlo versioned_writes symlink proxy-server"
)
PROXY = "[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\n"
LOG_TEMPLATE = "{method} {path} {status_int}"
FILTERS = {
    **dict.fromkeys(("catch_errors", "gatekeeper", "listing_formats", "bulk", "copy", "dlo", "symlink"), ""),
    # the parts of a deleted object are deleted at once, not by a program that is not running here
    "slo": "allow_async_delete = false\n",
    "s3api": f"s3_acl = false\nlocation = {REGION}\ncors_preflight_allow_origin =\n",
    "versioned_writes": "allow_versioned_writes = true\nallow_object_versioning = true\n",
}


@dataclass(frozen=True)
class Server:
    """What a server is to be.

    Attributes:
        folder: in which it keeps settings and data; the file system has to know extended attributes.
        programs: where Swift's own lie.
        key: `account:user`, the access key.
        secret: the secret access key.
        host: the address that the S3 API listens on; the three stores behind it listen on loopback.
        ports: of the S3 API ("proxy") and of each store.
        log_port: on loopback, which is sent a datagram for each request as it came; None sends none.
    """

    folder: Path
    programs: Path
    key: str
    secret: str
    host: str
    ports: dict[str, int]
    log_port: int | None = None


@contextmanager
def run(server: Server) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Gives the processes of a server that answers, and ends them afterwards.

    Raises:
        TimeoutError: it does not answer.
    """
    write_settings(server)
    processes = [_start(server, name) for name in server.ports]
    try:
        _wait_for(server.ports["proxy"])
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def write_settings(server: Server) -> None:
    """Writes the settings of all four programs, and the rings, which say where the data lie, unless they are there."""
    folder, account, _, user = server.folder, *server.key.partition(":")
    (folder / "devices/d1").mkdir(parents=True, exist_ok=True)
    _write(
        folder / "swift.conf",
        "[swift-hash]\nswift_hash_path_suffix = s\nswift_hash_path_prefix = p\n"
        "[storage-policy:0]\nname = gold\ndefault = yes\n",
    )
    for name in STORES:
        where = _describe(server, name, "127.0.0.1")
        devices = f"devices = {folder / 'devices'}\nmount_check = false\nfallocate_reserve = 0\n"
        app = f"[pipeline:main]\npipeline = {name}-server\n[app:{name}-server]\nuse = egg:swift#{name}\n"
        _write(folder / f"{name}.conf", where + devices + app)
        if not (folder / f"{name}.ring.gz").exists():
            _build_ring(server, name)
    filters = FILTERS | {"tempauth": f"user_{account}_{user} = {server.secret} .admin\n"}
    pipeline = PIPELINE
    if server.log_port is not None:
        # before the S3 API, so that it sees what was asked, and not what that makes of it
        pipeline = pipeline.replace(" listing_formats", " proxy_logging listing_formats")
        where = f"access_log_udp_host = 127.0.0.1\naccess_log_udp_port = {server.log_port}\n"
        filters["proxy_logging"] = f"{where}access_log_level = INFO\nlog_msg_template = {LOG_TEMPLATE}\n"
    parts = "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n{settings}" for name, settings in filters.items())
    _write(
        folder / "proxy.conf",
        f"{_describe(server, 'proxy', server.host)}[pipeline:main]\npipeline = {pipeline}\n{PROXY}{parts}",
    )


def make_bucket(server: Server, name: str) -> None:
    """Makes a bucket, unless it is there, as Swift's own programs do: past the S3 API, which would want a signature."""
    from swift.common.internal_client import InternalClient
    from swift.common.utils import set_swift_dir

    set_swift_dir(str(server.folder))
    path = server.folder / "internal.conf"
    _write(path, f"[DEFAULT]\nswift_dir = {server.folder}\n[pipeline:main]\npipeline = proxy-server\n{PROXY}")
    client = InternalClient(str(path), "amun", request_tries=3)
    client.create_container(f"AUTH_{server.key.partition(':')[0]}", name)


def _build_ring(server: Server, name: str) -> None:
    builder = [str(server.programs / "swift-ring-builder"), str(server.folder / f"{name}.builder")]
    for step in (["create", "4", "1", "1"], ["add", f"r1z1-127.0.0.1:{server.ports[name]}/d1", "1"], ["rebalance"]):
        # it ends with 1 where it only warns
        subprocess.run([*builder, *step], check=False, stdout=subprocess.DEVNULL)


def _describe(server: Server, name: str, host: str) -> str:
    where = f"bind_ip = {host}\nbind_port = {server.ports[name]}\nswift_dir = {server.folder}\n"
    return f"[DEFAULT]\n{where}user = {getpass.getuser()}\nworkers = 0\nlog_level = WARNING\n"


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def _start(server: Server, name: str) -> subprocess.Popen[bytes]:
    with (server.folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            [str(server.programs / f"swift-{name}-server"), str(server.folder / f"{name}.conf")],
            env=os.environ | {"PATH": f"{server.programs}{os.pathsep}{os.environ['PATH']}"},
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


def main() -> None:
    """Serves until SIGTERM or Ctrl-C, or until one of the four programs ends."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--stores", type=int, default=6200, help="the first of three ports on loopback")
    parser.add_argument("--bucket", action="append", default=[])
    asked = parser.parse_args()
    key, secret = os.environ.get("S3_KEY", ""), os.environ.get("S3_SECRET", "")
    if not (all(key.partition(":")) and secret):
        parser.error("S3_KEY (account:user) and S3_SECRET have to be set")
    ports = {name: asked.stores + number for number, name in enumerate(STORES)} | {"proxy": asked.port}
    server = Server(asked.folder, Path(sys.executable).parent, key, secret, asked.host, ports)
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stopped.append(number))
    with run(server) as processes:
        for name in asked.bucket:
            make_bucket(server, name)
        while not stopped:
            if any(process.poll() is not None for process in processes):
                sys.exit(f"one of Swift's programs has ended; see {server.folder}/*.log")
            time.sleep(WATCH_SECONDS)


if __name__ == "__main__":
    main()
