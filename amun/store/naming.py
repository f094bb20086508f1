"""How samples are named: by keyed ids, which mean nothing without the keys.

The workspace's secret gives each sample an id. Where data are sealed, that one is used nowhere: a key derived from the
person's own makes another of it, so that whoever holds the secret and the very picture can no longer compute which id
was this sample's once the person's key is destroyed. What the rows of store files tell by their order stays.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from amun.core.keys import keyed_digest, subject_key
from amun.evidence.figures import NamedBy
from amun.store.rows import Mask, Strings
from amun.vault.vault import Vault, open_vault
from amun.vault.wrapping import SubjectKey


def name_by_secret(secret: bytes, keys: Iterable[str], pixels: npt.NDArray[Any]) -> Strings:
    """Returns (N,) the id that the workspace's secret gives each sample.

    Args:
        secret: of the workspace.
        keys: (N,) by which the source knows them.
        pixels: (N, ...) as `data.images` has made them.
    """
    named = zip(keys, pixels, strict=True)
    return np.array([keyed_digest(secret, "sample", key.encode(), image.tobytes()) for key, image in named], np.str_)


def name_by_person(key: SubjectKey, secret_id: str) -> str:
    """Returns the id that a person's key makes of the one that the secret gives the person's sample."""
    return keyed_digest(key.sample_key, "sample", bytes.fromhex(secret_id))


@dataclass(frozen=True)
class SampleNamer:
    """Names a base's samples, and knows by which ids other bases may have them.

    Attributes:
        secret: of the workspace.
        vault: has people's keys; None in a workspace that never had any.
        named_by: whose key makes the ids of this base.
    """

    secret: bytes
    vault: Vault | None
    named_by: NamedBy
    _keys: dict[str, SubjectKey] = field(default_factory=dict)
    _asked: set[str] = field(default_factory=set)

    def name(self, secret_ids: Strings, people: Strings) -> Strings:
        """Returns (N,) the ids of these people's samples, given those that the secret gives them.

        Whoever has no key yet gets one where people's keys make the ids.

        Raises:
            InputError, AmunError: as `Vault.provide_keys`.
        """
        if self.vault is None or self.named_by == "secret":
            return secret_ids
        if missing := set(people.tolist()).difference(self._keys):
            self._keys.update(self.vault.provide_keys(missing))
        named = zip(secret_ids.tolist(), people.tolist(), strict=True)
        return np.array([name_by_person(self._keys[person], one) for one, person in named], np.str_)

    def find_among(self, known: frozenset[str], secret_ids: Strings, people: Strings) -> Mask:
        """Returns (N,) bool: which samples some base has by one of these ids, however it made them.

        No key is made: a sample whose person has none can have no other id yet.

        Raises:
            InputError, AmunError: as `Vault.find_keys`.
        """
        if not known:
            return np.zeros(len(secret_ids), np.bool_)
        self._find_keys(people.tolist())
        named = zip(secret_ids.tolist(), map(self._keys.get, people.tolist()), strict=True)
        found = [one in known or (key is not None and name_by_person(key, one) in known) for one, key in named]
        return np.array(found, np.bool_)

    def _find_keys(self, people: Iterable[str]) -> None:
        """Reads the keys of those of these people who have one."""
        if self.vault is not None and (missing := set(people).difference(self._keys, self._asked)):
            subject_of = {person: subject_key(self.secret, person) for person in missing}
            found = self.vault.find_keys(subject_of.values())
            self._keys.update({person: found[subject] for person, subject in subject_of.items() if subject in found})
            self._asked.update(missing)


def open_namer(secret: bytes, *, is_sealed: bool) -> SampleNamer:
    """Returns what names the samples of the current workspace's base, sealed or not (`data.sealed`).

    Raises:
        InputError, AmunError: the environment names no key store, or it does not answer.
    """
    vault = open_vault()
    has_keys = is_sealed or vault.store.is_made()
    return SampleNamer(secret, vault if has_keys else None, "person" if is_sealed else "secret")
