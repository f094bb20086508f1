"""The key-encryption key (KEK), under which all subjects' keys lie: in a file for its owner alone, or in a token.

While it is changed two are there, and the key store says under which of the two its keys lie.
"""

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol

from amun.core.errors import InputError
from amun.core.files import flush_to_disk, replace_file, require_mode
from amun.core.locks import hold_lock
from amun.core.paths import KEK

KEK_VARIABLE = "AMUN_KEK"
KEY_BYTES = 32
_FILE, _TOKEN = "file:", "pkcs11:"
_MODE = 0o400
_FINGERPRINT_BYTES = 8


class Kek(Protocol):
    """Where the KEK lies, and its successor beside it while it is changed.

    Each function is described where the KEK is a file. All raise `InputError` where the KEK cannot be used.
    """

    name: str

    def draw_first(self) -> bytes:
        """See `KekFile.draw_first`."""

    def require_none(self) -> None:
        """See `KekFile.require_none`."""

    def draw_successor(self) -> bytes:
        """See `KekFile.draw_successor`."""

    def find(self, fingerprint: str) -> bytes:
        """See `KekFile.find`."""

    def end_succession(self, fingerprint: str) -> None:
        """See `KekFile.end_succession`."""

    def succeed(self) -> None:
        """See `KekFile.succeed`."""

    def destroy(self) -> None:
        """See `KekFile.destroy`."""

    def is_destroyed(self) -> bool:
        """See `KekFile.is_destroyed`."""

    def is_changing(self) -> bool:
        """See `KekFile.is_changing`."""

    def hold(self) -> AbstractContextManager[None]:
        """See `KekFile.hold`."""


class KekFile:
    """A KEK in a file, and its successor in one beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.successor = self.path.with_name(f"{self.path.name}.next")
        self.name = str(self.path)

    def draw_first(self) -> bytes:
        """Returns the first KEK of a key store that is to be made; it takes its place by `succeed`.

        Raises:
            InputError: there is a KEK already: another key store lies under it, and rotating that would destroy it.
        """
        self.require_none()
        return self.draw_successor()

    def require_none(self) -> None:
        """Refuses a KEK that is there before its key store is; raises as `draw_first`."""
        if self.path.exists():
            raise InputError(
                f"{KEK_VARIABLE}: there is a key-encryption key at {self.path} already, and no key store of it here: a "
                "key store has a key-encryption key of its own; bring that store back, or name a file that is not "
                "there yet"
            )

    def draw_successor(self) -> bytes:
        """Returns the KEK that is to follow, made where there is none yet."""
        if not self.successor.exists():
            # on the disk before anything can lie under it
            write_kek(self.successor, secrets.token_bytes(KEY_BYTES))
        return read_kek(self.successor)

    def find(self, fingerprint: str) -> bytes:
        """Returns the KEK of this fingerprint, which may be the successor already.

        Raises:
            InputError: it is neither, or the file is missing, has another mode or is none.
        """
        # the successor first: while it takes the place of the KEK, there is one or the other
        with suppress(InputError):
            if fingerprint_kek(successor := read_kek(self.successor)) == fingerprint:
                return successor
        kek = read_kek(self.path)
        if fingerprint_kek(kek) != fingerprint:
            raise InputError(
                f"{KEK_VARIABLE}: {self.path} is the key-encryption key {fingerprint_kek(kek)}, and the subjects' keys "
                f"lie under {fingerprint}: bring that one from where `amun keys rotate` ran last"
            )
        return kek

    def end_succession(self, fingerprint: str) -> None:
        """Puts the successor into the KEK's place where the keys lie under it already: a killed call got so far."""
        if self.successor.exists() and fingerprint_kek(read_kek(self.successor)) == fingerprint:
            self.succeed()

    def succeed(self) -> None:
        """Destroys the KEK and puts its successor into its place; said again it changes nothing."""
        if not self.successor.exists():
            return
        with _translate_errors(self.path):
            self._succeed()

    def _succeed(self) -> None:
        _overwrite(self.path)
        self.successor.replace(self.path)
        flush_to_disk(self.path.parent)

    def destroy(self) -> None:
        """Destroys the KEK and its successor; said again it changes nothing."""
        with _translate_errors(self.path):
            for path in (self.path, self.successor):
                _overwrite(path)
                path.unlink(missing_ok=True)
            flush_to_disk(self.path.parent)

    def is_destroyed(self) -> bool:
        """Tells whether no KEK is there any more: a killed call may have left the overwritten file."""
        with _translate_errors(self.path):
            return not any(path.exists() and any(path.read_bytes()) for path in (self.path, self.successor))

    def is_changing(self) -> bool:
        """Tells whether there is a successor: the KEK is being changed, or a change was killed."""
        return self.successor.exists()

    def hold(self) -> AbstractContextManager[None]:
        """Lets one process at a time change the KEK."""
        with _translate_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not os.access(self.path.parent, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return hold_lock(self.path.with_name(f"{self.path.name}.lock"))


def locate_kek(workspace: Path) -> Kek:
    """Returns where the environment says that the KEK lies, or else in the workspace; raises as `name_kek`."""
    named = os.environ.get(KEK_VARIABLE)
    return name_kek(named) if named else KekFile(workspace / KEK)


def name_kek(named: str) -> Kek:
    """Returns where a KEK lies that is named as the environment names one.

    Raises:
        InputError: it is named otherwise, or nothing here can speak to a token.
    """
    if named.startswith(_TOKEN):
        from amun.vault.kek_token import KekToken
        from amun.vault.token_address import parse_token_address

        return KekToken(parse_token_address(named))
    if not (path := Path(named.removeprefix(_FILE))).is_absolute() or not named.startswith(_FILE):
        raise InputError(f"{KEK_VARIABLE}: {named!r} names no key-encryption key; write file:/PATH or pkcs11:...")
    return KekFile(path)


def fingerprint_kek(kek: bytes) -> str:
    """Returns by what a KEK is known, which tells nothing of it."""
    return hashlib.blake2b(b"fingerprint", key=kek, digest_size=_FINGERPRINT_BYTES).hexdigest()


def read_kek(path: Path) -> bytes:
    """Returns the KEK in a file.

    Raises:
        InputError: it is missing, others may read it or anybody change it, or it is none.
    """
    try:
        require_mode(KEK_VARIABLE, path, _MODE)
        kek = bytes.fromhex(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        raise InputError(
            f"{KEK_VARIABLE}: there is no key-encryption key at {path}; bring it from your backup, or from where the "
            "workspace was made"
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "64 hexadecimal digits are expected"
        raise InputError(f"{KEK_VARIABLE}: {path} cannot be read: {reason}") from None
    if len(kek) != KEY_BYTES:
        raise InputError(f"{KEK_VARIABLE}: {path} cannot be read: 64 hexadecimal digits are expected")
    return kek


def write_kek(path: Path, kek: bytes) -> None:
    """Writes a KEK into a file, whole and on the disk; the key that is there already is destroyed.

    At every moment one of the two is there, whole: the old one is overwritten where it lies once the new one has its
    name. Killed in between, the old one's bytes stay where they lay, without a name.

    Raises:
        InputError: it cannot be written.
    """
    with _translate_errors(path), ExitStack() as opened:
        _overwrite(path.with_name(f"{path.name}.unfinished"))  # of a killed call
        with replace_file(path, 0o600) as unfinished:
            with unfinished.open("w", encoding="ascii") as file:
                file.write(kek.hex() + "\n")
                file.flush()
                os.fsync(file.fileno())
            unfinished.chmod(_MODE)
            old = opened.enter_context(_open_old(path)) if path.exists() else None
        flush_to_disk(path.parent)
        if old is not None:
            _write_zeros(old)


def _overwrite(path: Path) -> None:
    """Writes zeros over a key where it lies, if there is one."""
    if path.exists():
        with _open_old(path) as file:
            _write_zeros(file)


def _open_old(path: Path) -> IO[bytes]:
    """Opens a key that is to be overwritten; its file looks as before."""
    path.chmod(0o600)
    try:
        return path.open("r+b")
    finally:
        path.chmod(_MODE)


def _write_zeros(file: IO[bytes]) -> None:
    file.write(bytes(os.fstat(file.fileno()).st_size))
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    """Says of a place that cannot be written to that it is one."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{KEK_VARIABLE}: {path} cannot be written: {error.strerror}; its folder must be yours, for "
            "`amun keys rotate` writes there, too"
        ) from None
