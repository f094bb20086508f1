"""Whether the clocks agree by which leases, due dates and signatures go: this machine's, the servers', the disk's."""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from amun.core.masking import mask_passwords
from amun.core.paths import STATE
from tasks.tools.clocks import measure_disk, measure_server
from tasks.tools.content_places import ContentBucket, list_content_places
from tasks.tools.environment import API_VARIABLE, MLFLOW_VARIABLE
from tasks.tools.s3 import measure_clock
from tasks.workspace.fault import Fault
from tasks.workspace.workspace import LEASE_SECONDS, Workspace, open_ledger

# A lease is renewed four times in its length, so three quarters of it are always left. Two machines, each wrong by less
# than this in its own direction, do not take a wave from each other.
TOLERANCE_SECONDS = LEASE_SECONDS / 4
_REMEDY = (
    "let both follow a time server (`timedatectl set-ntp true`, or chrony): by the clock one machine takes a wave from "
    "another, requests fall due, and S3 refuses who is a quarter of an hour wrong"
)


def find_wrong_clocks(workspace: Workspace) -> Iterator[Fault]:
    """Yields a fault for each clock that does not agree with this machine's; a server that is away says nothing."""
    for name, ahead in _measure(workspace):
        if ahead is not None and abs(ahead) > TOLERANCE_SECONDS:
            way = "behind" if ahead > 0 else "ahead of"
            yield Fault(f"this machine's clock is {abs(ahead):.0f} s {way} {name}", _REMEDY)


def _measure(workspace: Workspace) -> Iterator[tuple[str, float | None]]:
    """Yields whose clock it is, and by how many seconds it is ahead."""
    yield "that of the disk or the share on which the workspace lies", measure_disk(workspace.root / STATE)
    for variable in (MLFLOW_VARIABLE, API_VARIABLE):
        url = os.environ.get(variable, "")
        if url.startswith(("http://", "https://")):
            yield f"that of the server at {mask_passwords(url)} ({variable})", measure_server(url)
    for place in list_content_places(workspace.root)[0]:
        if isinstance(place, ContentBucket):
            yield f"that of {place.name}", measure_clock(place.client, place.location.bucket)
    with open_ledger() as ledger:
        yield "that of the ledger's server", _subtract(ledger.read_server_time)
        # who wrote it may have been wrong as well, and has been right until now
        newest = ledger.find_newest_stamp()
        since = None if newest is None else max(0.0, (newest - datetime.now(UTC)).total_seconds())
        yield f"the ledger's latest entry, of {newest:%Y-%m-%d %H:%M:%S} UTC" if newest else "", since


def _subtract(read: Callable[[], datetime | None]) -> float | None:
    before = datetime.now(UTC)
    told = read()
    after = datetime.now(UTC)
    return None if told is None else (told - before - (after - before) / 2).total_seconds()
