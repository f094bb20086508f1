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

DIGEST_BYTES = 16
SUBJECT, NEAR, PICTURE = "subject", "near", "picture"


class Note(NamedTuple):
    """An entry of the list: what it is about, and its digest (16 bytes)."""

    kind: str
    digest: bytes


@dataclass(frozen=True)
class Noter:
    """Makes the entries of one workspace.

    Attributes:
        key: of the digests.
        scope: the fingerprint of the workspace's secret: another workspace's person of the same name is somebody else.
            Pictures are the same everywhere.
    """

    key: bytes
    scope: str

    def note_name(self, name: str) -> Note:
        """Returns the entry that keeps this person out, however the data compose the letters of the name."""
        return self._note(SUBJECT, (self.scope + normalise(name)).encode())

    def note_near(self, name: str) -> Note:
        """Returns the entry that all names have in common which people may write for this one.

        A release that compares names otherwise misses near ones of before; `note_name` does not depend on that.
        """
        return self._note(NEAR, (self.scope + fold_id(name)).encode())

    def note_people(self, names: Iterable[str]) -> list[Note]:
        """Returns all entries of these people."""
        return [note(name) for name in names for note in (self.note_name, self.note_near)]

    def note_picture(self, picture: bytes) -> Note:
        """Returns the entry of a picture, given the digest of its pixels."""
        return self._note(PICTURE, picture)

    def _note(self, kind: str, data: bytes) -> Note:
        digest = hashlib.blake2b(data, key=self.key, digest_size=DIGEST_BYTES, person=kind.encode())
        return Note(kind, digest.digest())


@dataclass(frozen=True)
class Suppression:
    """The list as a stage asks it.

    Attributes:
        noter: of the workspace.
        notes: all entries.
    """

    noter: Noter
    notes: frozenset[Note]

    def has_person(self, name: str) -> bool:
        """Tells whether the person of this name is erased."""
        return self.noter.note_name(name) in self.notes

    def is_near(self, name: str) -> bool:
        """Tells whether somebody is erased whose name may be meant by this one."""
        return self.noter.note_near(name) in self.notes

    def has_picture(self, picture: bytes) -> bool:
        """Tells whether a picture of somebody erased has this digest of its pixels."""
        return self.noter.note_picture(picture) in self.notes
