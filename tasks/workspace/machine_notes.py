"""What of this machine may keep on a disk what an erasure is to take away."""

from amun.core.memory_on_disk import list_memory_notes
from tasks.workspace.workspace import Workspace

_CLUSTER = (
    "runtime.engine: ray: images are in clear on the nodes of the cluster, in memory and where that is full in Ray's "
    "temporary folder, which a killed node leaves: keep it on an encrypted disk, and /dev/shm larger than the object "
    "store (docs/scale.md)"
)


def list_notes(workspace: Workspace) -> list[str]:
    """Returns a line for each such thing: unencrypted swap, core dumps of what is started beside `amun`, a cluster.

    It is no fault of the workspace. Where nothing is sealed, samples lie on the disk in clear anyway.
    """
    if not workspace.params.data.sealed:
        return []
    return [*list_memory_notes(), *([_CLUSTER] if workspace.params.runtime.engine == "ray" else [])]
