"""All objects of a repository, unpacked: those that no commit reaches, too."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from amun.core.errors import AmunError, join_lines
from tasks.tools.git import IDENTITY, OPTIONS, UNASKING, bound_silence, run_git

MAX_HELD = 64 << 20  # bytes of an object that are held in memory


@dataclass(frozen=True)
class GitObject:
    """An object.

    Attributes:
        name: its digest.
        kind: blob, tree, commit or tag.
        content: of it; None where it is too large to be held.
    """

    name: str
    kind: str
    content: bytes | None


def find_repository(root: Path) -> Path:
    """Returns the folder in which git keeps the objects of this work tree and of all others of the same clone."""
    return (root / run_git(root, "rev-parse", "--git-common-dir")).resolve()


def list_objects(root: Path) -> Iterator[GitObject]:
    """Yields all objects of the repository.

    Raises:
        AmunError: one is damaged, or git cannot list them.
    """
    batch = ("cat-file", "--batch", "--batch-all-objects", "--unordered", "--buffer")
    # to a file: a pipe that nobody empties meanwhile would stop git
    with (
        TemporaryFile() as errors,
        subprocess.Popen(
            ["git", *OPTIONS, *batch], cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
        ) as process,
    ):
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        num_damaged = 0
        while header := process.stdout.readline():
            name, kind, *size = header.decode("ascii").split()
            if not size:  # `missing` stands there
                num_damaged += 1
                continue
            content = _read(process.stdout, int(size[0]))
            process.stdout.read(1)  # the end of the line
            yield GitObject(name, kind, content)
        is_failed = bool(process.wait())
        errors.seek(0)
        said = errors.read().decode(errors="replace")
        if is_failed or said or num_damaged:
            raise AmunError(f"git cannot read all objects of {root}: `git fsck` says which; {join_lines(said)}")


def read_blobs(root: Path, names: Sequence[str]) -> dict[str, bytes | None]:
    """Returns the files of these names (`COMMIT:PATH`), by one process for all, or two where some are not there.

    None stands for one that its commit does not have, or whose commit is not in this clone.

    Raises:
        AmunError: git could not read them, or has lost one that its commit has.
    """
    found = {name: read.content if read else None for name, read in _read_batch(root, names).items()}
    if absent := [name for name, content in found.items() if content is None]:
        _require_absent(root, absent)
    return found


def _require_absent(root: Path, names: Sequence[str]) -> None:
    """Refuses names of files that git has not, where their commit says that it should: git says `missing` of both.

    Raises:
        AmunError: an object is lost.
    """
    # PATH lies in a folder, which lies in others: the commit's tree, and each of them, says what it has
    folders = {name: [f"{name.partition(':')[0]}:{folder}" for folder in _list_folders(name)] for name in names}
    commits = {name: f"{name.partition(':')[0]}^{{commit}}" for name in names}
    asked = [*commits.values(), *(folder for of_name in folders.values() for folder in of_name)]
    read = _read_batch(root, list(dict.fromkeys(asked)))
    for name in names:
        if read[commits[name]] is None:
            continue
        # each folder that is looked into was in the one before, or is the commit's own
        for folder, part in zip(folders[name], name.partition(":")[2].split("/"), strict=True):
            if (tree := read[folder]) is None:
                raise _tell_lost(root, name)
            if tree.kind != "tree" or part.encode() not in _list_entries(tree):
                break
        else:
            raise _tell_lost(root, name)


def _list_folders(name: str) -> list[str]:
    """Returns the folders that `COMMIT:PATH` lies in, from the uppermost, whose path is empty, to its own."""
    parts = name.partition(":")[2].split("/")[:-1]
    return ["/".join(parts[:number]) for number in range(len(parts) + 1)]


def _list_entries(tree: GitObject) -> set[bytes]:
    """Returns the names in a tree: each stands between its mode and a zero; the bytes of its digest follow."""
    content, names, place = tree.content or b"", set[bytes](), 0
    while (end := content.find(b"\0", place)) >= 0:
        names.add(content[place:end].partition(b" ")[2])
        place = end + 1 + len(tree.name) // 2
    return names


def _tell_lost(root: Path, name: str) -> AmunError:
    return AmunError(f"git has lost {name}, or a folder of it, in {root}: `git fsck` says what else; fetch it again")


def _read_batch(root: Path, names: Sequence[str]) -> dict[str, GitObject | None]:
    """Returns what git has under these names, by one process; None for one of which it says `missing`.

    Raises:
        AmunError: git could not read them.
    """
    finished = subprocess.run(
        ["git", *OPTIONS, *bound_silence(), "cat-file", "--batch"],
        cwd=root,
        env=os.environ | IDENTITY | UNASKING,
        input="".join(f"{name}\n" for name in names).encode(),
        capture_output=True,
        check=False,
    )
    if finished.returncode:
        said = join_lines(finished.stderr.decode(errors="replace"))
        raise AmunError(f"git cannot read what is committed in {root}: `git fsck` says what is damaged; {said}")
    stream, found = BytesIO(finished.stdout), dict[str, GitObject | None]()
    for name in names:
        header = stream.readline().decode().split()
        if header[-1] == "missing":
            found[name] = None
            continue
        digest, kind, size = header
        found[name] = GitObject(digest, kind, stream.read(int(size)))
        stream.read(1)  # the end of the line
    return found


@contextmanager
def open_object(root: Path, found: GitObject) -> Iterator[IO[bytes]]:
    """Opens a large object as a stream that goes forward alone.

    Raises:
        AmunError: git ended before the object did; not where the reader stops before that.
    """
    with subprocess.Popen(
        ["git", *OPTIONS, "cat-file", found.kind, found.name],
        cwd=root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        yield process.stdout
        if not process.stdout.read(1) and process.wait():
            raise AmunError(f"git cannot read all of object {found.name} in {root}: `git fsck` says what is damaged")


def _read(stream: IO[bytes], size: int) -> bytes | None:
    if size <= MAX_HELD:
        return stream.read(size)
    while size:
        size -= len(stream.read(min(size, 1 << 20)))
    return None
