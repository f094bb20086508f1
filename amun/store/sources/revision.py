"""Of which revision a source is, where DVC or S3 says so, and whether its files are at hand."""

from pathlib import Path

import yaml

from amun.core.commands import tell_command
from amun.core.errors import InputError
from amun.core.keys import keyed_digest
from amun.core.masking import drop_login
from amun.core.paths import is_bucket, locate_journal, locate_manifest
from amun.store.sources.walk import list_files

# stages and tools run in the root of a workspace
CURRENT = Path()

Revision = dict[str, str]


def find_dvc_file(root: str | None, workspace: Path = CURRENT) -> Path | None:
    """Returns the `.dvc` file that tracks a source (`data.root`) or a folder above it, relative to the workspace."""
    if root is None or is_bucket(root):
        return None
    top = workspace.resolve()
    path = (top / root).absolute()
    for tracked in (path, *path.parents):
        if tracked == top or not tracked.is_relative_to(top):
            return None
        file = tracked.with_name(f"{tracked.name}.dvc")
        if file.is_file():
            return file.relative_to(top)
    return None


def read_revision(root: str | None, secret: bytes, workspace: Path = CURRENT) -> Revision | None:
    """Returns what identifies the content of a source; None where nobody keeps revisions of it.

    A path under DVC gives its `md5`, one imported also the `url` and the `rev_lock` of the repository it comes from.
    A source on S3 gives the keyed digest of its `listing`: keys, ETags and sizes.
    """
    if root is not None and is_bucket(root):
        content = (workspace / locate_manifest(root)).read_bytes()
        return {"listing": keyed_digest(secret, "listing", content)}
    file = find_dvc_file(root, workspace)
    if file is None:
        return None
    content = yaml.safe_load((workspace / file).read_text(encoding="utf-8"))
    origin = next((dep["repo"] for dep in content.get("deps", ()) if "repo" in dep), None)
    revision = {"md5": str(content["outs"][0]["md5"])}
    return revision if origin is None else revision | {"url": drop_login(origin["url"]), "rev_lock": origin["rev_lock"]}


def describe_files(root: str, workspace: Path = CURRENT) -> list[tuple[str, int, int]]:
    """Returns the path from `root`, the size in bytes and the time of change in ns of every file there, by path."""
    top = workspace / root
    names = ["."] if top.is_file() else list_files(top) if top.is_dir() else []
    files = ((name, (top / name).stat()) for name in names if (top / name).exists())
    return sorted((name, status.st_size, status.st_mtime_ns) for name, status in files)


def is_complete(bucket: str, workspace: Path = CURRENT) -> bool:
    """Tells whether the mirror of a source on S3 holds all that it was last to hold."""
    return (workspace / locate_manifest(bucket)).exists() and not (workspace / locate_journal(bucket)).exists()


def require_files(root: str | None, workspace: Path = CURRENT) -> None:
    """Refuses a source whose files are kept elsewhere and are not, or not all, at hand.

    Raises:
        InputError: what is missing, and the command that brings it.
    """
    if root is None:
        return
    if is_bucket(root):
        if not is_complete(root, workspace):
            raise InputError(f"params.yaml: data.root: the mirror of {root} is not complete; run `amun base rebuild`")
    elif (file := find_dvc_file(root, workspace)) is not None and not (workspace / root).exists():
        raise InputError(f"params.yaml: data.root: {root} is not there; run {tell_command('dvc', 'pull', file)}")
