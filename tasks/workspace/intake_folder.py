"""Requests from a folder: each file is moved out of the way in one step before it is read.

So whatever is put there under the same name later is another file, and nothing unread is ever put away. No link is
followed: whoever may put files there need not be allowed to read, or to move, all that we are.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from amun.core.counts import tell_count
from amun.core.errors import AmunError, InputError
from amun.ledger import FileId, TakenFile
from tasks.workspace.intake_files import (
    DONE,
    REASON_SUFFIX,
    REJECTED,
    TAKING,
    IntakeSource,
    Waiting,
    is_meant,
    name_target,
)


class FolderSource(IntakeSource):
    """A folder and all below it; whoever puts a file there writes it elsewhere, or as `.tmp`, and renames it."""

    def __init__(self, folder: Path, *, is_own: bool):
        """Opens the folder.

        Args:
            folder: where the files are put.
            is_own: it lies in the workspace's own state, which another clone has anew: it may not be there yet.

        Raises:
            InputError: there is none, and it is not the workspace's to make; or it is no folder.
        """
        if not folder.is_dir() and (folder.exists() or not is_own):
            raise InputError(f"intake.source: {folder} is no folder; make it, or write null")
        self._folder = folder
        self._is_own = is_own
        self._taking = folder / TAKING

    def count_waiting(self) -> int:
        """Returns how many files wait, those that a killed run has left in between with them."""
        with self._translate_errors():
            return len(self._list_new()) + len(self._list_staged())

    def read_waiting(self) -> Iterator[Waiting]:
        """Yields each file that waits.

        Raises:
            AmunError: the folder may not be read or changed; or files are links or may not be read, once the others
                were yielded.
        """
        unreadable: list[OSError] = []
        with self._translate_errors():
            if self._is_own:
                # whoever puts files there finds it from now on
                self._folder.mkdir(parents=True, exist_ok=True)
            self._require_own_folders()
            for path in self._list_new():
                try:
                    self._stage(path)
                except OSError as error:
                    unreadable.append(error)
            staged = self._list_staged()
        for path in staged:
            try:
                waiting = self._read(path)
            except OSError as error:
                if os.path.lexists(path):
                    unreadable.append(error)
                continue  # else another run has put it away
            yield waiting
        if unreadable:
            raise AmunError(f"intake.source: {self._folder}: {_describe_errors(unreadable)}")

    def put_away(self, waiting: Waiting, record: TakenFile) -> None:
        """Moves the file in one step, after the file with the reason is there."""
        target = self._folder / name_target(waiting, record)
        with self._translate_errors():
            target.parent.mkdir(parents=True, exist_ok=True)
            if record.reason is not None:
                target.with_name(target.name + REASON_SUFFIX).write_text(record.reason + "\n", encoding="utf-8")
            with suppress(FileNotFoundError):  # another run has put it away
                Path(waiting.place).rename(target)
            shutil.rmtree(self._get_stage(Path(waiting.place)), ignore_errors=True)

    def _require_own_folders(self) -> None:
        """Refuses links in the place of the folders that we move files to."""
        if linked := [name for name in (DONE, REJECTED, TAKING) if (self._folder / name).is_symlink()]:
            raise AmunError(f"intake.source: {self._folder}: {', '.join(linked)} must be no link; make it a folder")

    def _list_new(self) -> list[Path]:
        return sorted(path for path in _list_files(self._folder) if self._is_meant(path))

    def _is_meant(self, path: Path) -> bool:
        name = path.relative_to(self._folder).as_posix()
        # of a link to a folder, whether files in a folder of its name would be
        return is_meant(name) or (path.is_dir() and is_meant(f"{name}/any.csv"))

    def _list_staged(self) -> list[Path]:
        return sorted(_list_files(self._taking), key=lambda path: path.relative_to(self._taking).parts[1:])

    def _stage(self, path: Path) -> None:
        """Moves a file to where nothing of its name can meet it."""
        staged = self._taking / uuid4().hex / path.relative_to(self._folder)
        if path.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        staged.parent.mkdir(parents=True)
        try:
            path.rename(staged)
        except OSError as error:
            shutil.rmtree(self._get_stage(staged), ignore_errors=True)
            if not isinstance(error, FileNotFoundError):  # else another run was first
                raise

    def _get_stage(self, staged: Path) -> Path:
        return self._taking / staged.relative_to(self._taking).parts[0]

    def _read(self, staged: Path) -> Waiting:
        name = staged.relative_to(self._get_stage(staged))
        # it may have become a link between two looks
        with os.fdopen(os.open(staged, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            content = file.read()
            modified = os.fstat(file.fileno()).st_mtime
        found = FileId(
            source=str(self._folder),
            name=_spell(name.as_posix()),
            version="",
            etag=hashlib.sha256(content).hexdigest(),
            modified_at=datetime.fromtimestamp(modified, UTC),
        )
        return Waiting(found, str(staged), content)

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise AmunError(f"intake.source: {self._folder}: {error.strerror}") from None


def _describe_errors(errors: list[OSError]) -> str:
    """Returns how many files could not be taken, and why the first of them could not; a log names none."""
    reason = errors[0].strerror
    if errors[0].errno == errno.ELOOP:
        reason = "no link is followed; put the file itself there"
    return f"{tell_count(len(errors), 'file')} cannot be taken: {reason}"


def _spell(name: str) -> str:
    """Returns a file's name as text that a database takes: bytes that are no UTF-8 by their numbers."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _list_files(folder: Path) -> Iterator[Path]:
    """Yields the files and links below a folder, without hidden folders; none where there is no folder."""
    for parent, folders, names in os.walk(folder, onerror=_raise_unless_gone):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(parent) / name for name in (*folders, *names)):
            if path.is_symlink() or path.is_file():
                yield path


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
