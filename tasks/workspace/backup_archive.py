"""The file that a backup is: a sealed tar archive of the parts, and what it says of itself at its head."""

import io
import json
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from amun.core.errors import AmunError, DamagedError, InputError
from amun.core.files import NO_ROOM
from amun.vault.kek import Kek
from amun.vault.sealed_stream import SealedReader, seal_stream
from tasks.tools.new_file import write_private

ABOUT = "about.json"
FILES = "files"  # of the registry: the one part that is a folder
DATABASES = ("mlflow.db", "ledger.db", "keys.db")
# the secret last: a clone that has one is a workspace
PARTS = (FILES, *DATABASES, "receipt-key", "secret")


@dataclass(frozen=True)
class About:
    """What a backup says of itself.

    Attributes:
        release: that wrote it.
        model: whose workspace it is of.
        root: where that lay, for MLflow's database names files by whole addresses.
        commit: which records the last complete wave.
        taken_at: when, in ISO 8601.
        wave: the last one then that was not open.
        num_receipts: of erasure that the model had by then, or waited for.
        num_destroyed: in how many erasures keys were destroyed by then, of all models of the ledger.
    """

    release: str
    model: str
    root: str
    commit: str
    taken_at: str
    wave: int
    num_receipts: int
    num_destroyed: int


def write_archive(option: str, path: Path, kek: bytes, about: About, parts: Mapping[str, Path]) -> None:
    """Writes a new file, its owner's alone.

    Args:
        option: of the command, which named it.
        path: of it.
        kek: the key-encryption key.
        about: what it says of itself.
        parts: the files and folders that go into it, by their names in it.

    Raises:
        InputError: it cannot be written.
        AmunError: a part was removed or got shorter meanwhile, or cannot be read.
    """
    content = json.dumps(asdict(about)).encode()
    with ExitStack() as opened:
        file = opened.enter_context(opened.enter_context(write_private(option, path)).open("wb"))
        sealed = opened.enter_context(seal_stream(file, kek))
        # `w|`: it never goes back in what it writes, and asks no more of a file than that it takes bytes; dereference:
        # what a link leads to is the part, a second name of a file as well
        archive = opened.enter_context(tarfile.open(fileobj=cast(IO[bytes], sealed), mode="w|", dereference=True))
        described = tarfile.TarInfo(ABOUT)
        described.size = len(content)
        archive.addfile(described, io.BytesIO(content))
        for name, part in parts.items():
            for inner, source in _list_files(name, part):
                try:
                    archive.add(source, inner, recursive=False)
                except OSError as error:
                    if error.errno in NO_ROOM:
                        raise
                    reason = error.strerror or error  # tarfile's own, where a file got shorter, has no other
                    raise AmunError(f"{source} cannot be copied: {reason}; type this again") from None


def read_archive(path: Path, kek: Kek, folder: Path) -> tuple[About, bytes]:
    """Reads a backup to its end, and writes its parts into a folder; returns what it says of itself, and its key.

    Raises:
        InputError: it is none, or its key-encryption key is not at hand.
        DamagedError: it is damaged or cut off.
    """
    found: list[bytes] = []

    def find_kek(fingerprint: str) -> bytes:
        try:
            found.append(kek.find(fingerprint))
        except InputError as error:
            raise InputError(
                f"{path} is sealed under the key-encryption key {fingerprint}: {error}. Each erasure destroys that "
                "key, and so every backup from before; take the latest one"
            ) from None
        return found[0]

    about: About | None = None
    try:
        with path.open("rb") as file:
            reader = SealedReader(file, str(path), find_kek)
            with tarfile.open(fileobj=cast(IO[bytes], reader), mode="r|") as archive:
                for member in archive:
                    content = archive.extractfile(member) if _is_own(member) else None
                    if content is None:
                        raise DamagedError(f"{path} has {member.name!r}, which no backup has: nothing was changed")
                    if member.name == ABOUT:
                        about = About(**json.load(content))
                        continue
                    place = folder / member.name
                    place.parent.mkdir(parents=True, exist_ok=True)
                    with place.open("wb") as written:
                        shutil.copyfileobj(content, written)
            reader.require_end()
    except OSError as error:
        if error.errno in NO_ROOM:
            raise
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except tarfile.TarError as error:
        raise DamagedError(f"{path} is no whole archive: {error}") from None
    if about is None:
        raise DamagedError(f"{path} does not say what it is")
    return about, found[0]


def _is_own(member: tarfile.TarInfo) -> bool:
    """Tells whether a file of the archive is one that a backup has, and lies where it may."""
    first, *below = PurePosixPath(member.name).parts
    is_place = (bool(below) and ".." not in below) if first == FILES else not below
    return member.isreg() and is_place and first in (ABOUT, *PARTS)


def _list_files(name: str, part: Path) -> Iterator[tuple[str, Path]]:
    """Yields the files of a part, each with its name in the archive."""
    if not part.is_dir():
        yield name, part
        return
    for path in sorted(part.rglob("*")):
        if path.is_file():
            yield f"{name}/{path.relative_to(part)}", path
