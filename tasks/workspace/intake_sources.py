"""Which intake source `params.yaml` names, and how much waits there; imports no Prefect."""

from pathlib import Path

from amun.core.errors import InputError
from amun.core.paths import STATE
from tasks.tools.git import is_kept
from tasks.workspace.intake_files import IntakeSource
from tasks.workspace.intake_folder import FolderSource
from tasks.workspace.workspace import Workspace


def name_source(workspace: Workspace) -> str | None:
    """Returns the source's name in the ledger, whether it is there or not; None where `intake.source` names none."""
    source = workspace.params.intake.source
    if source is None:
        return None
    try:
        if source.startswith("s3://"):
            from tasks.tools.s3 import parse_location

            return str(parse_location(source))
        return str(_find_folder(workspace, source))
    except (InputError, RuntimeError):  # no place on S3, or the home of nobody: nothing has come from there
        return None


def open_source(workspace: Workspace) -> IntakeSource | None:
    """Returns the source that `intake.source` names, if any.

    Raises:
        InputError: it is no folder and no place on S3, or git would take its files.
    """
    source = workspace.params.intake.source
    if source is None:
        return None
    if source.startswith("s3://"):
        from tasks.tools.s3 import parse_location
        from tasks.workspace.intake_bucket import BucketSource

        return BucketSource(parse_location(source))
    folder = _find_folder(workspace, source)
    if is_kept(workspace.root, folder / "requests.csv"):
        raise InputError(
            f"params.yaml: intake.source: {source} lies where git would take what names people; "
            "write .amun/requests, or a folder outside the workspace"
        )
    return FolderSource(folder, is_own=folder.is_relative_to((workspace.root / STATE).resolve()))


def _find_folder(workspace: Workspace, source: str) -> Path:
    return (workspace.root / Path(source).expanduser()).resolve()


def count_waiting(workspace: Workspace) -> int:
    """Returns how many files wait in the intake source; nothing is changed.

    Raises:
        InputError: the source is none.
        AmunError: it does not answer.
    """
    source = open_source(workspace)
    return 0 if source is None else source.count_waiting()
