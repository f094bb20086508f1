"""All objects of a repository, unpacked: those that no commit reaches, too."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from amun.core.errors import AmunError, join_lines
from tasks.tools.git import OPTIONS, run_git

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
    """Returns the files of these names (`COMMIT:PATH`), by one process for all; None for one that is not there.

    Raises:
        AmunError: git could not read them.
    """
    finished = subprocess.run(
        ["git", *OPTIONS, "cat-file", "--batch"],
        cwd=root,
        input="".join(f"{name}\n" for name in names).encode(),
        capture_output=True,
        check=False,
    )
    if finished.returncode:
        said = join_lines(finished.stderr.decode(errors="replace"))
        raise AmunError(f"git cannot read what is committed in {root}: `git fsck` says what is damaged; {said}")
    stream, found = BytesIO(finished.stdout), {}
    for name in names:
        header = stream.readline().split()
        is_there = header[-1] != b"missing"
        found[name] = stream.read(int(header[-1])) if is_there else None
        if is_there:
            stream.read(1)  # the end of the line
    return found


@contextmanager
def open_object(root: Path, found: GitObject) -> Iterator[IO[bytes]]:
    """Opens a large object as a stream that goes forward alone."""
    with subprocess.Popen(
        ["git", *OPTIONS, "cat-file", found.kind, found.name],
        cwd=root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        yield process.stdout


def _read(stream: IO[bytes], size: int) -> bytes | None:
    if size <= MAX_HELD:
        return stream.read(size)
    while size:
        size -= len(stream.read(min(size, 1 << 20)))
    return None
