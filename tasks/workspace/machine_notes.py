"""What of this machine may keep on a disk what an erasure is to take away."""

from amun.core.memory_on_disk import list_memory_notes
from tasks.workspace.workspace import Workspace


def list_notes(workspace: Workspace) -> list[str]:
    """Returns a line for each such thing: unencrypted swap, and core dumps of what is started beside `amun`.

    It is no fault of the workspace. Where nothing is sealed, samples lie on the disk in clear anyway.
    """
    return list(list_memory_notes()) if workspace.params.data.sealed else []
