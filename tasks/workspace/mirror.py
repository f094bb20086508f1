"""A source on S3, mirrored into the workspace: the stage reads files and knows no cloud.

A manifest says what a complete mirror holds; a journal beside it what an update has fetched so far. While there is a
journal the mirror is not complete, and a killed update goes on where it was.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from botocore.exceptions import BotoCoreError

from amun.core.errors import AmunError
from amun.core.locks import hold_lock
from amun.core.paths import MIRRORS, STATE, locate_journal, locate_manifest, locate_mirror
from amun.evidence.wave import write_json
from amun.store.sources.catalogue import raise_problems
from amun.store.sources.walk import is_hidden, refuse_tables
from tasks.tools.s3 import (
    NUM_CONNECTIONS,
    Location,
    StoredObject,
    list_objects,
    open_client,
    parse_location,
    translate_errors,
)

NUM_TRIES = 3
CHUNK_BYTES = 1 << 20
GLANCE_OBJECTS = 1000  # a page of a listing holds as many
PARTS = MIRRORS / "parts"
LOCK = STATE / "mirrors.lock"

# of each file of a mirror, by its name below the prefix: the ETag and size of the object that it holds
State = dict[str, list[str | int]]


@dataclass(frozen=True)
class Update:
    """What an update of a mirror did."""

    num_objects: int
    num_fetched: int
    num_deleted: int


def update_mirror(workspace: Path, root: str) -> Update:
    """Brings the mirror of the source `root` (`s3://bucket/prefix`) up to date: fetches what is new, deletes the rest.

    Raises:
        AmunError: the bucket does not answer or refuses, or the disk is full; as `InputError`, keys that no file can
            be named after.
    """
    location, client = parse_location(root), open_client()
    wanted = _choose_wanted(list_objects(client, location), location)
    try:
        with hold_lock(workspace / LOCK):
            return _update(client, location, wanted, workspace, root)
    except OSError as error:
        raise AmunError(f"{workspace / locate_mirror(root)} cannot be written: {error.strerror}") from None


def glance_at_bucket(root: str) -> tuple[int, bool]:
    """Returns how many objects a mirror of the source `root` would hold, and whether that is all.

    No more than `GLANCE_OBJECTS` and one are listed, and none is fetched. Raises as `update_mirror`.
    """
    location = parse_location(root)
    listed = list(islice(list_objects(open_client(), location), GLANCE_OBJECTS + 1))
    return len(_choose_wanted(listed, location)), len(listed) <= GLANCE_OBJECTS


def remove_from_mirror(workspace: Path, root: str, names: Collection[str]) -> None:
    """Removes files from the mirror of the source `root`, and all mirrors of other addresses; raises as an update."""
    mirror, manifest, journal = (
        workspace / locate(root) for locate in (locate_mirror, locate_manifest, locate_journal)
    )
    try:
        with hold_lock(workspace / LOCK):
            _remove_others(workspace, root)
            for name in names:
                (mirror / name).unlink(missing_ok=True)
            _remove_empty_folders(mirror)
            # what the mirror is to hold; of one that is not complete the next update knows
            if manifest.exists() and not journal.exists():
                state = _read_state(manifest, journal)
                write_json(manifest, {name: state[name] for name in state if name not in names})
    except OSError as error:
        raise AmunError(f"{mirror} cannot be written: {error.strerror}") from None


def _update(client: Any, location: Location, wanted: dict[str, StoredObject], workspace: Path, root: str) -> Update:
    mirror, manifest, journal = (
        workspace / locate(root) for locate in (locate_mirror, locate_manifest, locate_journal)
    )
    held = _read_state(manifest, journal)
    missing = [
        name for name, entry in wanted.items() if held.get(name) != _describe(entry) or not _holds(mirror / name, entry)
    ]
    vanished = sorted(set(_list_files(mirror)) - set(wanted))
    if missing or vanished or journal.exists() or set(held) != set(wanted):
        _remove_others(workspace, root)
        (workspace / PARTS).mkdir(parents=True, exist_ok=True)
        journal.touch()
        for name in vanished:
            (mirror / name).unlink()
        _remove_empty_folders(mirror)
        _fetch_all(client, location, {name: wanted[name] for name in missing}, workspace, mirror, journal)
        write_json(manifest, {name: _describe(entry) for name, entry in wanted.items()})
        journal.unlink()
        shutil.rmtree(workspace / PARTS)
    return Update(len(wanted), len(missing), len(vanished))


def _choose_wanted(found: Iterable[StoredObject], location: Location) -> dict[str, StoredObject]:
    """Returns the objects of a source among those below the prefix, by their names there.

    Raises:
        InputError: names that lead nowhere, or of a file and a folder at once.
    """
    listed = {entry.key.removeprefix(location.join("")): entry for entry in found}
    refuse_tables(str(location), listed)
    wanted = {name: entry for name, entry in listed.items() if not is_hidden(name)}
    folders = {parent.as_posix() for name in wanted for parent in PurePosixPath(name).parents}
    raise_problems([f"{location.join(name)} {fault}" for name in wanted if (fault := _find_fault(name, folders))])
    return wanted


def _find_fault(name: str, folders: set[str]) -> str:
    parts = name.split("/")
    if {"", ".", ".."} & set(parts) or "\0" in name:
        return "is a key that leads out of the folder or names no file"
    if max(len(os.fsencode(part)) for part in parts) > 255:
        return "is a key too long for the name of a file"
    return "is the key of an object and of a folder" if name in folders else ""


def _describe(entry: StoredObject) -> list[str | int]:
    return [entry.etag, entry.size]


def _holds(path: Path, entry: StoredObject) -> bool:
    return path.is_file() and path.stat().st_size == entry.size


def _read_state(manifest: Path, journal: Path) -> State:
    """Returns what the files of the mirror were fetched from; a line that a kill tore counts for nothing."""
    state: State = json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else {}
    for line in journal.read_text(encoding="utf-8").splitlines() if journal.exists() else ():
        try:
            name, etag, size = json.loads(line)
        except ValueError:
            continue
        state[name] = [etag, size]
    return state


def _list_files(mirror: Path) -> Iterator[str]:
    """Yields all that lies in a mirror, also what no source reads: an earlier update may have fetched it."""
    for parent, _, names in os.walk(mirror):
        yield from ((Path(parent) / name).relative_to(mirror).as_posix() for name in names)


def _remove_empty_folders(mirror: Path) -> None:
    """Removes folders without a file. A new object may bear the name of such a folder."""
    for parent, _, _ in os.walk(mirror, topdown=False):
        if Path(parent) != mirror and not any(Path(parent).iterdir()):
            Path(parent).rmdir()


def _remove_others(workspace: Path, root: str) -> None:
    """Removes the mirrors of other addresses, and what a killed update left half-fetched: they hold people's data."""
    own = locate_mirror(root).name
    for path in (workspace / MIRRORS).glob("*"):
        if path.name.partition(".")[0] != own:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _fetch_all(
    client: Any, location: Location, missing: dict[str, StoredObject], workspace: Path, mirror: Path, journal: Path
) -> None:
    """Fetches objects in parallel; each has its line in the journal once its file is in place."""

    def fetch(name: str) -> str:
        _fetch(client, location, missing[name], workspace / PARTS, mirror / name)
        return name

    with journal.open("a", encoding="utf-8") as lines, ThreadPoolExecutor(NUM_CONNECTIONS) as pool:
        lines.write("\n")  # ends a line that a kill tore
        try:
            for name in pool.map(fetch, missing):
                lines.write(json.dumps([name, *_describe(missing[name])]) + "\n")
                lines.flush()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _fetch(client: Any, location: Location, entry: StoredObject, parts: Path, target: Path) -> None:
    """Fetches one object, as it was listed; a connection that breaks off is tried again."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # not by its key, which may be a person's: what is raised here is kept
    with translate_errors(str(location)):
        for attempt in range(1, NUM_TRIES + 1):
            # boto3 tries again until the answer begins; what breaks off after that is ours to try again
            answer = client.get_object(Bucket=location.bucket, Key=entry.key, IfMatch=entry.etag)
            try:
                with tempfile.NamedTemporaryFile(dir=parts, delete=False) as part:
                    for chunk in answer["Body"].iter_chunks(CHUNK_BYTES):
                        part.write(chunk)
                break
            except BotoCoreError:
                if attempt == NUM_TRIES:
                    raise
    Path(part.name).replace(target)
