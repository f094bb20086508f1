"""Runs `amun serve` in a workspace and looks at it from outside."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tasks.tools.addresses import Addresses, find_addresses
from tests.processes import wait_until
from tests.workspaces import BIN, Finished, Site

DEPLOYMENT = "deletion-wave/digits-cnn-nightly"
START_SECONDS = 180.0


@dataclass(frozen=True)
class Service:
    """A running `amun serve`.

    Attributes:
        site: the workspace.
        process: the one process that was started.
        log: the file that takes what it and its programs say.
    """

    site: Site
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def addresses(self) -> Addresses:
        """Where its servers are."""
        addresses = find_addresses(self.site.root)
        assert addresses is not None
        return addresses

    def read(self) -> str:
        """Returns what it has said so far."""
        return self.log.read_text(encoding="utf-8")

    def call_prefect(self, *arguments: str) -> Finished:
        """Runs Prefect's own command line on its server."""
        return Site(self.site.root, self.site.variables | {"PREFECT_API_URL": self.addresses.prefect}).start(
            "prefect", *arguments
        )

    def list_processes(self) -> list[psutil.Process]:
        """Returns the process and all that descend from it."""
        process = psutil.Process(self.process.pid)
        return [process, *process.children(recursive=True)]


@contextmanager
def run_service(site: Site, log: Path) -> Iterator[Service]:
    """Gives a service whose deployment is registered; it is stopped at the end if it still runs."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(BIN / "amun"), "serve"],
            cwd=site.root,
            env=site.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    service = Service(site, process, log)
    try:
        wait_until(lambda: "ready" in service.read() or process.poll() is not None, "the start", START_SECONDS)
        assert process.poll() is None, service.read()
        yield service
    finally:
        process.terminate()
        process.wait()
