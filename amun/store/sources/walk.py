"""Which files lie below a folder: one rule for every source of files.

Links are followed, names that begin with a dot are left out, and what is no file (pipes, sockets) is none. A link that
leads nowhere counts as a file, so that whoever opens it says that it is missing.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from amun.core.errors import InputError, SourceError

HIDDEN = "."
# folders whose log alone says which of the files around them, and which of their rows, count
LOGS = {
    "_delta_log": "a Delta Lake table",
    ".hoodie": "a Hudi table",
    "_spark_metadata": "the output of a Spark stream",
    "_temporary": "the output of a Spark job that has not ended",
}
ICEBERG_LOG, ICEBERG_FILES = "metadata", ".metadata.json"

Identity = tuple[int, int]


def list_files(root: Path) -> list[str]:
    """Returns the path from `root`, with `/`, of every file below it, folder by folder in the order of their names.

    Raises:
        SourceError: a folder cannot be read, a name is no UTF-8, or `root` is, has or lies in a lakehouse table.
    """
    for folder in root.resolve().parents:
        _refuse_table(folder, folder, [name for name in (*LOGS, ICEBERG_LOG) if (folder / name).is_dir()])
    return sorted(_walk(root, "", frozenset()), key=lambda name: name.split("/"))


def is_hidden(name: str) -> bool:
    """Tells whether a file is left out, by its path from the root."""
    return any(part.startswith(HIDDEN) and part not in (".", "..") for part in name.split("/"))


def refuse_tables(where: str, names: Iterable[str]) -> None:
    """Refuses a place of which these are the files, where it is or has a lakehouse table.

    Raises:
        InputError: it has one.
    """
    for name in names:
        *folders, file = name.split("/")
        if log := next((folder for folder in folders if folder in LOGS), None):
            raise InputError(_describe(where, _describe_table(LOGS[log])))
        if folders[-1:] == [ICEBERG_LOG] and file.endswith(ICEBERG_FILES):
            raise InputError(_describe(where, _describe_table("an Iceberg table")))


def _walk(root: Path, name: str, above: frozenset[Identity]) -> Iterator[str]:
    """Yields the files below a folder that is called `name` from the root; `above` are the folders that it lies in."""
    folder = root / name
    try:
        status = folder.stat()
        with os.scandir(folder) as scanned:
            entries = list(scanned)
    except OSError as error:
        raise _refuse(root, folder, f"cannot be read: {error.strerror}") from None
    identity = (status.st_dev, status.st_ino)
    if identity in above:  # a link back to where it came from
        return
    _refuse_table(root, folder, [entry.name for entry in entries])
    for entry in entries:
        if entry.name.startswith(HIDDEN):
            continue
        _require_text(root, folder, entry.name)
        if _is_folder(entry):
            yield from _walk(root, f"{name}{entry.name}/", above | {identity})
        elif _is_file(entry):
            yield name + entry.name


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    # of a link that leads in circles the entry itself would raise
    return Path(entry.path).is_dir() if entry.is_symlink() else entry.is_dir()


def _is_file(entry: "os.DirEntry[str]") -> bool:
    if not entry.is_symlink():
        return entry.is_file()
    target = Path(entry.path)
    return target.is_file() or not target.exists()


def _require_text(root: Path, folder: Path, name: str) -> None:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        shown = name.encode("utf-8", "backslashreplace").decode("ascii", "replace")
        raise _refuse(root, folder, "has a name that is no UTF-8", f": {shown}; rename it") from None


def _refuse_table(root: Path, folder: Path, names: list[str]) -> None:
    if log := next((name for name in names if name in LOGS), None):
        raise _refuse(root, folder, _describe_table(LOGS[log]))
    if ICEBERG_LOG in names and any((folder / ICEBERG_LOG).glob(f"*{ICEBERG_FILES}")):
        raise _refuse(root, folder, _describe_table("an Iceberg table"))


def _describe_table(what: str) -> str:
    return (
        f"is {what}, whose log says which files and rows count: read as plain files it would give deleted rows back; "
        "export its current rows to a folder of their own"
    )


def _refuse(root: Path, folder: Path, fault: str, more: str = "") -> SourceError:
    """Returns what says the fault of a folder: one below the root may bear the name of a person."""
    short = str(root) if folder == root else f"a folder below {root}"
    return SourceError(_describe(str(folder), fault + more), _describe(short, fault))


def _describe(where: str, fault: str) -> str:
    return f"params.yaml: data.root: {where} {fault}"
