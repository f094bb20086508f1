"""A stream of bytes sealed under a key-encryption key (KEK): whoever reads it to its end has all of it, or an error.

The STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizar: Online Authenticated-Encryption and its Nonce-Reuse
Misuse-Resistance, CRYPTO 2015): parts of 1 MiB by AES-256-GCM, under a key of this stream alone. A part's nonce is its
number and whether it is the last one, so none can be changed, left out, put elsewhere, or taken from another stream.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import IO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from amun.core.errors import DamagedError, InputError
from amun.vault.kek import fingerprint_kek
from amun.vault.wrapping import derive_key

MAGIC = b"amun sealed stream 1\n"
PART_BYTES = 1 << 20
_TAG_BYTES, _SALT_BYTES, _FINGERPRINT_BYTES = 16, 16, 16
_NUMBER_BYTES = 11


class SealedWriter:
    """Seals what is written to it; without `end` nobody can read it."""

    def __init__(self, file: IO[bytes], kek: bytes) -> None:
        self._file = file
        self._header = MAGIC + fingerprint_kek(kek).encode("ascii") + os.urandom(_SALT_BYTES)
        self._cipher = _choose_cipher(kek, self._header)
        self._number, self._pending = 0, bytearray()
        file.write(self._header)

    def write(self, content: bytes) -> int:
        """Takes bytes, as a file does."""
        self._pending += content
        # one part stays: it may be the last
        while len(self._pending) > PART_BYTES:
            self._seal(bytes(self._pending[:PART_BYTES]), is_last=False)
            del self._pending[:PART_BYTES]
        return len(content)

    def end(self) -> None:
        """Writes the last part."""
        self._seal(bytes(self._pending), is_last=True)

    def _seal(self, part: bytes, *, is_last: bool) -> None:
        self._file.write(self._cipher.encrypt(_number_part(self._number, is_last=is_last), part, self._header))
        self._number += 1


class SealedReader:
    """Opens what a `SealedWriter` has sealed."""

    def __init__(self, file: IO[bytes], where: str, find_kek: Callable[[str], bytes]) -> None:
        """Reads the header.

        Args:
            file: to be read.
            where: names it in errors.
            find_kek: returns the KEK of a fingerprint.

        Raises:
            InputError: it is no such stream; or what `find_kek` raises.
        """
        self._file, self._where = file, where
        self._header = file.read(len(MAGIC) + _FINGERPRINT_BYTES + _SALT_BYTES)
        if not self._header.startswith(MAGIC):
            raise InputError(f"{where}: it is none that `amun backup` of this release has written")
        fingerprint = self._header[len(MAGIC) :][:_FINGERPRINT_BYTES].decode("ascii", "replace")
        self._cipher = _choose_cipher(find_kek(fingerprint), self._header)
        self._number, self._opened = 0, BytesIO()
        self._ahead: bytes | None = self._read_part()

    def read(self, num_bytes: int) -> bytes:
        """Returns the next bytes, fewer at the end alone.

        Raises:
            DamagedError: they are not what was written, or were cut off.
        """
        taken = self._opened.read(num_bytes)
        while len(taken) < num_bytes and self._ahead is not None:
            self._opened = BytesIO(self._open_part(self._ahead))
            taken += self._opened.read(num_bytes - len(taken))
        return taken

    def require_end(self) -> None:
        """Reads what is left; only then nothing was cut off. Raises as `read`."""
        while self.read(PART_BYTES):
            pass

    def _read_part(self) -> bytes:
        return self._file.read(PART_BYTES + _TAG_BYTES)

    def _open_part(self, part: bytes) -> bytes:
        following = self._read_part()
        try:
            opened = self._cipher.decrypt(_number_part(self._number, is_last=not following), part, self._header)
        except InvalidTag:
            raise DamagedError(
                f"{self._where} is damaged or cut off after {self._number} MiB: take another copy of it"
            ) from None
        self._ahead = following or None
        self._number += 1
        return opened


@contextmanager
def seal_stream(file: IO[bytes], kek: bytes) -> Iterator[SealedWriter]:
    """Gives what seals into a file; a block that fails leaves a stream that nobody can read."""
    writer = SealedWriter(file, kek)
    yield writer
    writer.end()


def _choose_cipher(kek: bytes, header: bytes) -> AESGCM:
    """Returns the cipher of one stream: its salt makes the key, so that no two have a nonce in common."""
    return AESGCM(derive_key(derive_key(kek, b"sealed stream"), header[-_SALT_BYTES:]))


def _number_part(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(_NUMBER_BYTES, "big") + bytes([is_last])
