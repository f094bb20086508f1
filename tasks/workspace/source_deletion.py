"""Deletes in the source of the data the files of people who are erased, where `data.source_delete` says so.

The ledger has the intent first. Each file can be deleted again, so that a killed call is ended by the next. What has
other people's images, too, is left to the source's owner, and named.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from amun.core.commands import tell_command
from amun.core.counts import tell_count
from amun.core.errors import AmunError
from amun.core.params import DataParams
from amun.core.paths import is_bucket, locate_mirror
from amun.core.subject_ids import list_spellings, normalise
from amun.core.temporary import open_temporary
from amun.ledger import PlannedErasure
from amun.store.sources.catalogue import Owned, list_owned, list_tables
from amun.store.sources.revision import find_dvc_file, is_complete
from amun.store.sources.walk import list_files
from tasks.tools.s3 import (
    Location,
    RefusedError,
    delete_versions,
    list_objects,
    open_client,
    parse_location,
    translate_errors,
)
from tasks.workspace.mirror import remove_from_mirror
from tasks.workspace.workspace import Workspace, hold_stages, open_ledger

Delete = Callable[[str], int]  # deletes a file for good, and returns how many copies of it there were


@dataclass(frozen=True)
class Deletion:
    """What a call has done in the source.

    Attributes:
        done: whose files are deleted, as far as they can be, each with what is left to the source's owner.
        failed: whose files could not all be deleted, each with the files and why.
        num_deleted: files and older versions of them that were deleted.
    """

    done: list[tuple[PlannedErasure, list[str]]]
    failed: list[tuple[PlannedErasure, list[str]]]
    num_deleted: int


NOTHING_DELETED = Deletion([], [], 0)


def delete_from_source(workspace: Workspace) -> Deletion:
    """Deletes the files of everybody whose erasure is begun, and ends what an earlier call has begun.

    Raises:
        AmunError: S3 does not answer, the source cannot be read, or a stage is running.
    """
    data = workspace.params.data
    with open_ledger() as ledger:
        waiting = ledger.begin_source_deletions(workspace.model, datetime.now(UTC), is_wanted=data.source_delete)
        if not waiting:
            return NOTHING_DELETED
        with hold_stages(workspace):
            people = {normalise(one.subject_id) for one in waiting}
            found = _delete(workspace.root, data, people, set(map(normalise, ledger.list_erased())))
        done: list[tuple[PlannedErasure, list[str]]] = []
        failed: list[tuple[PlannedErasure, list[str]]] = []
        for one in waiting:
            name = normalise(one.subject_id)
            target, told = (failed, found.failed) if name in found.failed else (done, found.left)
            target.append((one, told.get(name, [])))
        ledger.finish_source_deletions(workspace.model, {one.request_id: left for one, left in done}, datetime.now(UTC))
    return Deletion(done, failed, found.num_deleted)


@dataclass
class _Found:
    """What came of deleting people's files: by person in words, the names of the files, how many there were."""

    left: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    failed: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    names: list[str] = field(default_factory=list)
    num_deleted: int = 0


def _delete(root: Path, data: DataParams, people: Collection[str], erased: set[str]) -> _Found:
    """Deletes these people's files, and returns what is left of them; `erased` is everybody who is, they among them."""
    if data.root is None:
        return _leave(people, f"the source {data.source} has no files of single people")
    if is_bucket(data.root):
        return _delete_in_bucket(root, data, data.root, people, erased)
    if (file := find_dvc_file(data.root, root)) is not None:
        return _leave(
            people,
            f"{data.root} is under DVC, whose cache and remote have it, too: take the person's files out where they "
            f"come from, then {tell_command('dvc', 'update', file)} or {tell_command('dvc', 'add', data.root)}",
        )
    folder = root / data.root
    owned = list_owned(data.source, folder, list_files(folder), data.options)
    return _delete_owned(owned, people, erased, data, lambda name: _delete_file(folder, name))


def _delete_in_bucket(root: Path, data: DataParams, address: str, people: Collection[str], erased: set[str]) -> _Found:
    location, client = parse_location(address), open_client()

    def delete(name: str) -> int:
        keys = map(location.join, list_spellings(name))
        return sum(delete_versions(client, location.bucket, key) for key in keys)

    found = _delete_owned(_list_owned_in_bucket(root, data, client, location), people, erased, data, delete)
    remove_from_mirror(root, address, found.names)
    return found


def _list_owned_in_bucket(root: Path, data: DataParams, client: Any, location: Location) -> list[Owned] | None:
    """Returns whose each object is: by the bucket's own table of them, or by the mirror's files where there is none.

    Raises:
        AmunError: the bucket does not answer, or there is neither a table nor a complete mirror.
    """
    names = [entry.key.removeprefix(location.join("")) for entry in list_objects(client, location)]
    with open_temporary() as folder:
        for name in set(list_tables(data.source)) & set(names):
            with translate_errors(str(location)):
                client.download_file(location.bucket, location.join(name), str(Path(folder) / name))
        if any(Path(folder).iterdir()):
            return list_owned(data.source, Path(folder), names, data.options)
    if not is_complete(str(data.root), root):
        raise AmunError(
            f"{data.root}: whose its files are is not known in this clone, which has no mirror of it: type this where "
            "the base was made"
        )
    mirror = root / locate_mirror(str(data.root))
    return list_owned(data.source, mirror, list_files(mirror), data.options)


def _delete_owned(
    owned: list[Owned] | None, people: Collection[str], erased: set[str], data: DataParams, delete: Delete
) -> _Found:
    """Deletes the files that have images of these people alone; tells of each other file that has some.

    Args:
        owned: whose each file is; None where the source does not say so.
        people: composed (NFC).
        erased: likewise, everybody who is: whoever went before keeps no file of theirs.
        data: what the source is.
        delete: deletes a file.
    """
    if owned is None:
        return _leave(people, f"the files of {data.root} name nobody, or hold all people in one")
    found = _Found()
    for file in owned:
        names = {normalise(subject) for subject in file.subjects}
        if not (meant := names & set(people)):
            continue
        place = f"{data.root}/{file.name}"
        if file.is_table:
            _add(found.left, meant, f"{place}, which names the person")
        elif names - meant - erased:
            _add(found.left, meant, f"{place}, which has other people's images, too")
        else:
            found.names.append(file.name)
            try:
                found.num_deleted += delete(file.name)
            except (RefusedError, OSError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                _add(found.failed, meant, f"{place}: {reason}")
    if found.names and data.train_list is not None:
        _add(found.left, people, f"{data.train_list} (data.train_list), which may name files of the person")
    return found


def _delete_file(folder: Path, name: str) -> int:
    """Deletes a file and the folders above it that it leaves empty.

    Raises:
        OSError: it cannot be deleted, or lies behind a link: what that leads to may be others', too.
    """
    path = folder / name
    if not path.exists() and not path.is_symlink():
        return 0
    if path.resolve() != folder.resolve() / name:
        raise OSError(0, "it is a link, or behind one: delete what that leads to", str(path))
    path.unlink()
    for parent in path.relative_to(folder).parents:
        if parent == Path() or any((folder / parent).iterdir()):
            break
        (folder / parent).rmdir()
    return 1


def _leave(people: Iterable[str], line: str) -> _Found:
    """Returns that nothing was deleted of anybody, for this reason."""
    return _Found({name: [line] for name in people})


def _add(told: dict[str, list[str]], people: Iterable[str], line: str) -> None:
    for name in people:
        told[name].append(line)


def tell_deletion(done: Deletion) -> list[str]:
    """Returns what a night has to tell of it.

    No file is named: a key of an object, or the name of a file, may be a person's.
    """
    lines = []
    if done.num_deleted:
        lines.append(f"deleted in the source: {tell_count(done.num_deleted, 'file')} of erased people")
    if done.failed:
        people = tell_count(len(done.failed), "request")
        lines.append(f"warning: not all files of {people} could be deleted in the source; `amun erase run` names them")
    if num_left := sum(bool(left) for _, left in done.done):
        people = tell_count(num_left, "request")
        lines.append(
            f"the source's owner has to take the people of {people} out of it; `amun erase list --json` says where"
        )
    return lines
