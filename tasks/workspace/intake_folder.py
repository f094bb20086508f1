"""Requests from a folder: each file is moved out of the way in one step before it is read.

So whatever is put there under the same name later is another file, and nothing unread is ever put away.
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
from amun.core.files import replace_file
from amun.ledger import FileId, TakenFile
from amun.store.sources.walk import walk_files
from tasks.workspace.intake_files import REASON_SUFFIX, TAKING, IntakeSource, Waiting, is_meant, name_target


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
            AmunError: the folder may not be read or changed; or files may not be read, once the others were yielded.
        """
        unreadable: list[OSError] = []
        with self._translate_errors():
            if self._is_own:
                # whoever puts files there finds it from now on
                self._folder.mkdir(parents=True, exist_ok=True)
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
                if Path(waiting.place).is_symlink():  # from another folder it may lead elsewhere
                    with replace_file(target) as unfinished:
                        unfinished.write_bytes(waiting.content)
                    Path(waiting.place).unlink()
                else:
                    Path(waiting.place).rename(target)
            shutil.rmtree(self._get_stage(Path(waiting.place)), ignore_errors=True)

    def _list_new(self) -> list[Path]:
        paths = _list_files(self._folder)
        return sorted(path for path in paths if is_meant(path.relative_to(self._folder).as_posix()))

    def _list_staged(self) -> list[Path]:
        return sorted(_list_files(self._taking), key=lambda path: path.relative_to(self._taking).parts[1:])

    def _stage(self, path: Path) -> None:
        """Moves a file to where nothing of its name can meet it."""
        staged = self._taking / uuid4().hex / path.relative_to(self._folder)
        staged.parent.mkdir(parents=True)
        with suppress(FileNotFoundError):  # another run was first
            path.rename(staged)

    def _get_stage(self, staged: Path) -> Path:
        return self._taking / staged.relative_to(self._taking).parts[0]

    def _read(self, staged: Path) -> Waiting:
        name = staged.relative_to(self._get_stage(staged))
        # a link was moved, and still says from where it was put how to come to its file
        place = (self._folder / name).parent / staged.readlink() if staged.is_symlink() else staged
        content = place.read_bytes()
        file = FileId(
            source=str(self._folder),
            name=_spell(name.as_posix()),
            version="",
            etag=hashlib.sha256(content).hexdigest(),
            modified_at=datetime.fromtimestamp(place.stat().st_mtime, UTC),
        )
        return Waiting(file, str(staged), content)

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise AmunError(f"intake.source: {self._folder}: {error.strerror}") from None


def _describe_errors(errors: list[OSError]) -> str:
    """Returns how many files could not be taken, and why the first of them could not; a log names none."""
    reason = errors[0].strerror
    if errors[0].errno == errno.EXDEV:
        reason = "a linked folder lies on another file system, from where no file is moved in one step"
    return f"{tell_count(len(errors), 'file')} cannot be taken: {reason}"


def _spell(name: str) -> str:
    """Returns a file's name as text that a database takes: bytes that are no UTF-8 by their numbers."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _list_files(folder: Path) -> list[Path]:
    """Returns all files below a folder, also by links; none where there is no folder."""
    return [folder / name for name in walk_files(folder, _raise_unless_gone)]


def _raise_unless_gone(_: Path, error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
