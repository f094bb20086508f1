"""Weights under a key of their own: once it is destroyed, every copy of the file is noise, wherever it lies.

What a model has learned of people stands in the same numbers for all of them, so no person's key could seal it.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from cryptography.exceptions import InvalidTag
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from amun.core.errors import AmunError
from amun.evidence.wave import Record, parse_record
from amun.vault.kek import KEY_BYTES
from amun.vault.named_keys import keep_key, list_notes, name_key
from amun.vault.seal import TAG_BYTES, derive_nonce
from amun.vault.vault import WEIGHTS, Vault, open_vault
from amun.vault.wrapping import SubjectKey, use_key

CHUNK_BYTES = 64 << 20  # the cipher takes no more than 2 GiB at a time
_KEY, _TENSOR = "amun.weights_key", "sealed"


class PlainFile(Record):
    """By what a file of weights in clear is known again.

    Attributes:
        size: bytes.
        md5: of the content.
    """

    size: int
    md5: str


class WeightsNote(Record):
    """What the key store keeps with the key of a model's weights.

    Attributes:
        model: whose they are.
        md5: of the sealed file, as DVC names it.
        wave: whose attempt they are; None for a base and its references.
        made_at: when they were first written.
        plain: the file as it was before it was sealed; None of keys that were made before this was noted.
    """

    model: str
    md5: str
    wave: int | None
    made_at: str
    plain: PlainFile | None = None

    def is_before(self, wave: int, time: datetime) -> bool:
        """Tells whether they were made by this wave or an earlier one, which was over at that time."""
        return self.wave <= wave if self.wave is not None else datetime.fromisoformat(self.made_at) <= time


class ErasedWeightsError(AmunError):
    """Weights whose key is destroyed, or in another key store."""


@dataclass(frozen=True)
class WeightsSeal:
    """Seals a model's weights; the same weights give the same bytes, as long as their key is there.

    Attributes:
        vault: has their keys.
        model: whose they are.
        wave: whose attempt they are; None for a base and its references.
    """

    vault: Vault
    model: str
    wave: int | None = None

    def seal(self, plain: bytes) -> bytes:
        """Returns a safetensors file as one that nobody can read without the key, which is made where there is none."""
        # of this model alone: another that has the same weights may have to keep them
        key_id = name_key(self.vault, WEIGHTS, hashlib.sha256(plain).digest() + self.model.encode())
        key = self.vault.find_keys([key_id]).get(key_id)
        if key is None:
            drawn = os.urandom(KEY_BYTES)
            note = WeightsNote(
                model=self.model,
                md5=_compute_md5(_pack(use_key(key_id, drawn), plain)),
                wave=self.wave,
                made_at=datetime.now(UTC).isoformat(),
                plain=PlainFile(size=len(plain), md5=_compute_md5(plain)),
            )
            key = keep_key(self.vault, key_id, drawn, note.model_dump_json())
        return _pack(key, plain)


def read_plain(path: Path) -> bytes:
    """Returns the bytes of a safetensors file, as they were before it was sealed.

    Raises:
        FileNotFoundError: there is none.
        SafetensorError: it is none.
        ErasedWeightsError: it is sealed, and the key store has no key of it.
        AmunError: it is not what was sealed, or there is no key store.
    """
    with safe_open(path, "numpy") as file:
        key_id = (file.metadata() or {}).get(_KEY)
        if key_id is None:
            return path.read_bytes()
        sealed = memoryview(file.get_tensor(_TENSOR))
    key = open_vault().find_keys([key_id]).get(key_id)
    if key is None:
        raise ErasedWeightsError(
            f"{path}: nobody can read these weights any more: their key is destroyed, or in another key store"
        )
    return b"".join(_open(path, key, sealed))


def is_in_clear(path: Path) -> bool:
    """Tells whether a safetensors file has weights that anybody can read.

    Raises:
        AmunError: it is no safetensors file.
    """
    try:
        with safe_open(path, "numpy") as file:
            return bool(file.keys()) and _KEY not in (file.metadata() or {})
    except SafetensorError as error:
        raise AmunError(f"{path} is damaged: {error}; bring it back (`dvc checkout --force`)") from None


def list_weights_keys(vault: Vault, model: str) -> dict[str, WeightsNote]:
    """Returns what is known of each key under which weights of a model lie, by the key's id.

    Raises:
        InputError, AmunError: as `Vault.own_key`.
    """
    notes = {
        key_id: parse_record(WeightsNote, note, f"a key of weights in {vault.store.name}")
        for key_id, note in list_notes(vault, WEIGHTS).items()
    }
    return {key_id: note for key_id, note in notes.items() if note.model == model}


def _compute_md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _pack(key: SubjectKey, plain: bytes) -> bytes:
    view = memoryview(plain)
    bounds = list(_bound(key, len(plain)))
    parts = [
        key.cipher.encrypt(derive_nonce(key, bound), view[place : place + CHUNK_BYTES], bound)
        for place, bound in zip(range(0, len(plain), CHUNK_BYTES), bounds, strict=True)
    ]
    # one entry alone: the order of several is another in each process
    return save({_TENSOR: np.frombuffer(b"".join(parts), np.uint8)}, metadata={_KEY: key.subject})


def _open(path: Path, key: SubjectKey, sealed: memoryview) -> Iterator[bytes]:
    size = CHUNK_BYTES + TAG_BYTES
    places = range(0, len(sealed), size)
    for place, bound in zip(places, _bound(key, len(sealed) - len(places) * TAG_BYTES), strict=True):
        try:
            yield key.cipher.decrypt(derive_nonce(key, bound), sealed[place : place + size], bound)
        except (InvalidTag, ValueError):
            raise AmunError(
                f"{path}: these weights are not what was sealed; bring the file back (`dvc checkout --force`)"
            ) from None


def _bound(key: SubjectKey, num_bytes: int) -> Iterator[bytes]:
    """Yields what is authenticated with each chunk: whose it is, its place, and how much there is in all."""
    for place in range(0, num_bytes, CHUNK_BYTES):
        yield b"amun weights 1 %b %d of %d" % (key.subject.encode(), place, num_bytes)
