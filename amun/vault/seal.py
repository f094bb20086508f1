"""Seals and opens payloads: AES-256-GCM-SIV (RFC 8452) with the subject's key, the same bytes for the same stage again.

A nonce is derived from the subject's key and all that the payload belongs to: its kind, the stage's context (wave and
base), the sample. So two waves' ciphertexts do not tell whether a payload has changed. All of that is authenticated.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidTag

from amun.core.counts import tell_count
from amun.core.errors import AmunError, DamagedError
from amun.vault.vault import Vault, open_vault
from amun.vault.wrapping import NONCE_BYTES, SubjectKey

TAG_BYTES = 16
LABEL = np.dtype("<i8")
Bytes = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Content:
    """What all payloads of a file are.

    Attributes:
        kind: images, logits ...: the name of the file.
        context: of the stage that made them: equal where it made the same of the same.
        dtype: of a payload.
        shape: of a payload, as JSON.
        form: how image files become such payloads; empty where the payloads themselves are sealed.
    """

    kind: str
    context: str
    dtype: str
    shape: str
    form: str = ""

    @property
    def header(self) -> bytes:
        """What is authenticated with each payload besides its own ids."""
        parts = ["amun payload 1", self.kind, self.context, self.dtype, self.shape]
        return json.dumps([*parts, self.form] if self.form else parts).encode()


@dataclass(frozen=True)
class Seal:
    """With which keys, and in which context, a stage seals what it writes."""

    vault: Vault
    context: str

    def within(self, *parts: object) -> "Seal":
        """Returns the seal of a part of the stage's work, which has a context of its own."""
        return Seal(self.vault, describe_context(self.context, *parts))


def open_seal(is_sealed: bool, *context: object) -> Seal | None:
    """Returns the seal of the current workspace's stage; None where `data.sealed` says that payloads lie in clear.

    Args:
        is_sealed: `data.sealed`.
        context: what tells the stage's work from that on another wave or base.
    """
    return Seal(open_vault(), describe_context(*context)) if is_sealed else None


def describe_context(*parts: object) -> str:
    """Returns a context: equal for equal parts, and telling nothing of them."""
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()[:32]


def digest_files(paths: Sequence[Path]) -> list[str]:
    """Returns the SHA-256 of each file."""
    digests = []
    for path in paths:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, hashlib.sha256).hexdigest())
    return digests


def seal_rows(
    keys: Sequence[SubjectKey], content: Content, sample_ids: Sequence[str], labels: Labels, payloads: Bytes
) -> Bytes:
    """Returns the sealed rows (N, 8 + B + 16).

    Args:
        keys: (N,) of the samples' subjects.
        content: what the payloads are.
        sample_ids: (N,) their ids.
        labels: (N,) their classes, which are sealed with them.
        payloads: (N, B) their bytes.
    """
    header = content.header
    plain = np.concatenate([labels.astype(LABEL)[:, None].view(np.uint8), payloads], axis=1)
    sealed = np.empty((len(plain), plain.shape[1] + TAG_BYTES), np.uint8)
    for key, sample_id, row, into in zip(keys, sample_ids, plain, sealed, strict=True):
        bound = _bind(header, sample_id, key.subject)
        key.cipher.encrypt_into(derive_nonce(key, bound), row, bound, into)
    return sealed


def seal_contents(
    keys: Sequence[SubjectKey], content: Content, sample_ids: Sequence[str], labels: Labels, payloads: Sequence[bytes]
) -> list[bytes]:
    """Returns (N,) sealed rows, each 24 bytes longer than its payload; as `seal_rows`, for payloads of any length."""
    header = content.header
    sealed = []
    for key, sample_id, label, payload in zip(keys, sample_ids, labels.astype(LABEL), payloads, strict=True):
        bound = _bind(header, sample_id, key.subject)
        sealed.append(key.cipher.encrypt(derive_nonce(key, bound), label.tobytes() + payload, bound))
    return sealed


def open_rows(
    keys: Sequence[SubjectKey | None], content: Content, sample_ids: Sequence[str], sealed: Bytes
) -> tuple[Labels, Bytes]:
    """Returns labels (N,) and payloads (N, B) of sealed rows (N, 8 + B + 16).

    Raises:
        AmunError: a subject's key is not there.
        DamagedError: a row is not what was sealed as this sample's.
    """
    present = _require_keys(keys, content)
    header = content.header
    opened = np.empty((len(sealed), sealed.shape[1] - TAG_BYTES), np.uint8)
    for key, sample_id, row, into in zip(present, sample_ids, sealed, opened, strict=True):
        bound = _bind(header, sample_id, key.subject)
        try:
            key.cipher.decrypt_into(derive_nonce(key, bound), row, bound, into)
        except (InvalidTag, ValueError):
            raise _describe_damage(sample_id, content) from None
    labels = np.ascontiguousarray(opened[:, : LABEL.itemsize]).view(LABEL)[:, 0].astype(np.int64)
    return labels, opened[:, LABEL.itemsize :]


def open_contents(
    keys: Sequence[SubjectKey | None], content: Content, sample_ids: Sequence[str], sealed: Sequence[bytes | bytearray]
) -> tuple[Labels, list[bytes]]:
    """Returns labels (N,) and payloads (N,) of rows that `seal_contents` has sealed; raises as `open_rows`."""
    header = content.header
    opened = []
    for key, sample_id, row in zip(_require_keys(keys, content), sample_ids, sealed, strict=True):
        bound = _bind(header, sample_id, key.subject)
        try:
            opened.append(key.cipher.decrypt(derive_nonce(key, bound), row, bound))
        except (InvalidTag, ValueError):
            raise _describe_damage(sample_id, content) from None
    labels = np.frombuffer(b"".join(row[: LABEL.itemsize] for row in opened), LABEL).astype(np.int64)
    return labels, [row[LABEL.itemsize :] for row in opened]


def _require_keys(keys: Sequence[SubjectKey | None], content: Content) -> list[SubjectKey]:
    present = [key for key in keys if key is not None]
    if num_missing := len(keys) - len(present):
        raise AmunError(
            f"{tell_count(num_missing, 'sample')} of {content.kind} cannot be opened: the key store has no key of "
            "their subjects"
        )
    return present


def _describe_damage(sample_id: str, content: Content) -> DamagedError:
    return DamagedError(
        f"sample {sample_id} of {content.kind} cannot be opened: it is not what was sealed under its subject's key; "
        "bring the file back (`dvc checkout --force`)"
    )


def sign_file(
    own_key: bytes, content: Content, num_classes: int, sample_ids: Iterable[str], subjects: Iterable[str]
) -> str:
    """Returns what the footer of a file has to say: that it holds these samples, in this order, and no other."""
    ids = json.dumps([content.header.decode(), num_classes, list(sample_ids), list(subjects)])
    return hmac.new(own_key, ids.encode(), hashlib.sha256).hexdigest()


def _bind(header: bytes, sample_id: str, subject: str) -> bytes:
    return b"%b %d %b %b" % (header, len(sample_id), sample_id.encode(), subject.encode())


def derive_nonce(key: SubjectKey, bound: bytes) -> bytes:
    """Returns the nonce of a payload, from its subject's key and all that it belongs to."""
    return hashlib.blake2b(bound, key=key.nonce_key, digest_size=NONCE_BYTES).digest()
