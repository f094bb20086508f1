"""The suppression list: who was erased, so that next month's load of the data does not bring them back.

It has keyed digests alone, of names and of pictures, and answers "was this one erased here?" to whoever has the key
store with its KEK. Their key is derived from the store's own, which no rotation changes; it opens nothing.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from amun.core.near_ids import fold_id
from amun.core.subject_ids import normalise
from amun.vault.database import MARK

DIGEST_BYTES = 16
SUBJECT, NEAR, PICTURE = "subject", "near", "picture"


class Entry(NamedTuple):
    """An entry of the list: what it is about, and its digest (16 bytes)."""

    kind: str
    digest: bytes


@dataclass(frozen=True)
class EntryMaker:
    """Makes the entries of one workspace.

    Attributes:
        key: of the digests.
        scope: the fingerprint of the workspace's secret: another workspace's person of the same name is somebody else.
            Pictures are the same everywhere.
    """

    key: bytes
    scope: str

    def enter_name(self, name: str) -> Entry:
        """Returns the entry that keeps this person out, however the data compose the letters of the name."""
        return self._enter(SUBJECT, (self.scope + normalise(name)).encode())

    def enter_near(self, name: str) -> Entry:
        """Returns the entry that all names have in common which people may write for this one.

        A release that compares names otherwise misses near ones of before; `enter_name` does not depend on that.
        """
        return self._enter(NEAR, (self.scope + fold_id(name)).encode())

    def enter_people(self, names: Iterable[str]) -> list[Entry]:
        """Returns all entries of these people."""
        return [enter(name) for name in names for enter in (self.enter_name, self.enter_near)]

    def enter_picture(self, picture: bytes) -> Entry:
        """Returns the entry of a picture, given the digest of its pixels."""
        return self._enter(PICTURE, picture)

    def _enter(self, kind: str, data: bytes) -> Entry:
        digest = hashlib.blake2b(data, key=self.key, digest_size=DIGEST_BYTES, person=kind.encode())
        return Entry(kind, digest.digest())


@dataclass(frozen=True)
class Suppression:
    """The list as a stage asks it.

    Attributes:
        maker: of the workspace's entries.
        entries: all entries.
    """

    maker: EntryMaker
    entries: frozenset[Entry]

    def has_person(self, name: str) -> bool:
        """Tells whether the person of this name is erased."""
        return self.maker.enter_name(name) in self.entries

    def is_near(self, name: str) -> bool:
        """Tells whether somebody is erased whose name may be meant by this one."""
        return self.maker.enter_near(name) in self.entries

    def has_picture(self, picture: bytes) -> bool:
        """Tells whether a picture of somebody erased has this digest of its pixels."""
        return self.maker.enter_picture(picture) in self.entries


def enter_key(key_id: str) -> Entry:
    """Returns the entry by which a key that is no person's is not made again."""
    kind, _, digest = key_id.partition(MARK)
    return Entry(kind, bytes.fromhex(digest))
