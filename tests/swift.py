"""A real S3 server on loopback: OpenStack Swift with its S3 API (`infra/s3`), in an environment of its own.

It has object versions, multipart uploads, refuses a wrong secret and a bucket that is not there.
"""

import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from filelock import FileLock

from amun.costs.s3 import Requests
from infra.s3.serve import REGION, STORES, Server, run
from tasks.tools.environment import find_free_port
from tests.processes import wait_until
from tests.workspaces import ROOT

REQUIREMENTS = ROOT / "infra/s3/requirements.txt"
KEY, SECRET = "test:tester", "testing"
BUCKET = "amun-data"
MARK = "the-last-request"
_LINE = re.compile(rb": ([A-Z]+) (\S+) \d+")
_LISTING = re.compile(r"/[^/?]+/?\?(.*&)?(list-type|versions|uploads)\b.*")


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


class RequestLog:
    """What a server has been asked for.

    Attributes:
        port: to which it sends a datagram for each request.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._requests: list[tuple[str, str]] = []
        self._unread: list[bytes] = []
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def begin(self, client: Any) -> int:
        """Returns how many requests there were so far: the server notes one a while after its answer."""
        self.wait_for_last(client)
        return len(self._requests)

    def wait_for_last(self, client: Any) -> None:
        """Waits until all that was asked for is in the log; what it asks itself is taken out again."""
        client.list_objects_v2(Bucket=BUCKET, Prefix=MARK)
        wait_until(
            lambda: self._unread or (self._requests and MARK in self._requests[-1][1]), "the log has the last request"
        )
        assert not self._unread, "the server tells of requests in another form"
        self._requests.pop()

    def count(self, start: int = 0) -> Requests:
        """Returns the requests so far that have a price, but for the first ones; who deletes pays nothing."""
        requests = self._requests[start:]
        is_list = [method == "GET" and bool(_LISTING.fullmatch(path)) for method, path in requests]
        methods = [method for method, _ in requests]
        return Requests(
            puts=methods.count("PUT") + methods.count("POST"),
            lists=sum(is_list),
            gets=methods.count("GET") + methods.count("HEAD") - sum(is_list),
        )

    def _listen(self) -> None:
        while True:
            line = self._socket.recv(2**16)
            if (found := _LINE.search(line)) is None:
                self._unread.append(line)  # whoever waits for the log says so: nobody would see an error of this thread
                continue
            path = unquote(found[2].decode("ascii"))
            if not path.startswith("/v1/"):  # what the server asks itself
                self._requests.append((found[1].decode("ascii"), path))


@contextmanager
def run_swift(folder: Path, programs: Path, log: RequestLog) -> Iterator[dict[str, str]]:
    """Gives the variables with which AWS's clients find a server.

    Args:
        folder: in which it keeps its data.
        programs: where its own lie.
        log: of all that it is asked for.
    """
    ports = {name: find_free_port() for name in (*STORES, "proxy")}
    with run(Server(folder, programs, KEY, SECRET, "127.0.0.1", ports, log.port)):
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports['proxy']}",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": REGION,
        }
