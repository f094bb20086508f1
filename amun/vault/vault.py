"""The vault: makes, finds and destroys people's keys.

Keys that are no person's are another file (`named_keys`), and so are what is kept of erased people for the scan
(`fingerprints`), the change of the key-encryption key (`rotation`) and what seals with a key (`seal`).
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from cryptography.exceptions import InvalidTag

from amun.core.errors import AmunError, InputError
from amun.core.keys import fingerprint, load_secret, subject_key
from amun.core.paths import KEK, KEYS, SECRET
from amun.core.subject_ids import normalise
from amun.vault.database import KEYS_VARIABLE, MARK
from amun.vault.kek import KEY_BYTES, Kek, fingerprint_kek, locate_kek
from amun.vault.key_store import KeyStore, locate_key_store
from amun.vault.suppression import PICTURE, SUBJECT, EntryMaker, Suppression, enter_key
from amun.vault.wrapping import SubjectKey, derive_key, read_name, unwrap_keys, use_key, wrap_key

WEIGHTS = "weights"  # a kind of keys that are no person's
Read = TypeVar("Read")
# stages and tools run in the root of a workspace
CURRENT = Path()


@dataclass(frozen=True)
class Summary:
    """What may be told of a vault.

    Attributes:
        key_store: its address, without a password.
        num_keys: how many people have one.
        num_weights: how many models' weights have one.
        num_listed: how many entries of erased people the suppression list has: one for each of the workspaces that
            share the key store and have erased the person, or know of it.
        num_pictures: how many entries of their pictures it has.
        kek: where the key-encryption key lies.
        fingerprint: of that key.
        is_rotating: it is being changed, or a change was killed.
    """

    key_store: str
    num_keys: int
    num_weights: int
    num_listed: int
    num_pictures: int
    kek: str
    fingerprint: str
    is_rotating: bool


class Vault:
    """The keys of a key store, as a key-encryption key (KEK) opens them."""

    def __init__(self, store: KeyStore, kek: Kek, workspace: Path = CURRENT) -> None:
        self.store = store
        self.kek = kek
        self.workspace = workspace

    @cached_property
    def own_key(self) -> bytes:
        """The key store's own key, which signs what names nobody.

        Raises:
            InputError: there is no key store, or not its KEK.
            AmunError: the database does not answer.
        """
        kek, wrapped = self.open(self.store.read_own)
        return self.unwrap(kek, "", wrapped)

    def check(self) -> None:
        """Sees that the keys are at hand.

        Raises:
            InputError, AmunError: as `own_key`.
        """
        _ = self.own_key

    def check_before(self) -> None:
        """Sees that the vault can be made, or is there with its keys at hand.

        Raises:
            InputError, AmunError: as `create_vault`.
        """
        if self.store.is_made():
            self.check()
        else:
            self.kek.require_none()

    def find_keys(self, subjects: Iterable[str]) -> dict[str, SubjectKey]:
        """Returns the keys of those of the subjects, given by their keyed ids, who have one.

        Raises:
            InputError, AmunError: as `own_key`.
        """
        asked = sorted(set(subjects))
        kek, wrapped = self.open(lambda: self.store.read_keys(asked))
        return {subject: use_key(subject, key) for subject, key in self.unwrap_all(kek, wrapped).items()}

    def provide_keys(self, names: Iterable[str]) -> dict[str, SubjectKey]:
        """Returns the key of each of these people by the name, made where there is none yet.

        Raises:
            InputError, AmunError: as `own_key`; or there is no workspace secret; or somebody without a key is erased.
        """
        secret = load_secret(self.workspace)
        name_of = {subject_key(secret, name): name for name in names}
        found = self.find_keys(name_of)
        if missing := [subject for subject in name_of if subject not in found]:
            maker = self._entry_maker
            self.store.add_keys(
                missing,
                lambda kek, subject: wrap_key(
                    self.kek.find(kek), subject, os.urandom(KEY_BYTES) + name_of[subject].encode()
                ),
                unless={maker.enter_name(name_of[subject]) for subject in missing},
            )
            found |= self.find_keys(missing)
        # somebody may be erased between two looks
        if gone := [subject for subject in name_of if subject not in found]:
            raise self.store.refuse_keys(len(gone))
        return {name: found[subject] for subject, name in name_of.items()}

    def find_names(self, people: Iterable[str]) -> dict[str, str]:
        """Returns these people's names as the data spell them, by the keyed id of each spelling that has a key.

        The data may spell a name in forms that nobody can list, so the names are read that lie with the keys.

        Raises:
            InputError, AmunError: as `own_key`; or there is no workspace secret.
        """
        secret, asked = load_secret(self.workspace), {normalise(person) for person in people}
        kek, wrapped = self.open(self.store.read_all_keys)
        keys = self.unwrap_all(kek, {subject: key for subject, key in wrapped.items() if MARK not in subject})
        name_of = {subject: read_name(key) for subject, key in keys.items()}
        # another workspace may keep its own people, of whatever names, in the same key store
        return {
            subject: name
            for subject, name in name_of.items()
            if normalise(name) in asked and subject_key(secret, name) == subject
        }

    def destroy_keys(
        self, people: Collection[str], pictures: Iterable[bytes] = (), others: Collection[str] = ()
    ) -> int:
        """Destroys the keys of these people, however the data spell them; returns how many keys went.

        In the same moment they are put on the suppression list. Said again it changes nothing. A backup of the key
        store has the keys until its KEK is destroyed (`rotate_kek`).

        Args:
            people: by their names.
            pictures: digests of pictures that are not to come back either.
            others: ids of keys that are no person's, and go in the same moment.

        Raises:
            InputError, AmunError: as `find_names`.
        """
        maker = self._entry_maker
        entries = [*maker.enter_people(people), *map(maker.enter_picture, pictures), *map(enter_key, others)]
        return self.store.remove_keys([*self.find_names(people), *others], entries)

    def suppress_people(self, names: Collection[str]) -> None:
        """Puts people on the suppression list whose keys are destroyed already, or who never had one here.

        Raises:
            InputError, AmunError: as `find_names`.
        """
        if names:
            self.store.add_entries(self._entry_maker.enter_people(names))

    def read_suppression(self) -> Suppression:
        """Returns the suppression list.

        Raises:
            InputError, AmunError: as `find_names`.
        """
        return Suppression(self._entry_maker, self.store.read_entries())

    @property
    def _entry_maker(self) -> EntryMaker:
        return EntryMaker(derive_key(self.own_key, b"suppress"), fingerprint(load_secret(self.workspace)))

    def describe(self) -> Summary:
        """Returns what may be told of the vault.

        Raises:
            InputError, AmunError: as `own_key`.
        """
        self.check()
        entries = self.store.count_entries()
        return Summary(
            key_store=self.store.name,
            num_keys=self.store.count_keys(),
            num_weights=self.store.count_keys(WEIGHTS),
            num_listed=entries.get(SUBJECT, 0),
            num_pictures=entries.get(PICTURE, 0),
            kek=self.kek.name,
            fingerprint=self.store.read_own()[0],
            is_rotating=self.kek.is_changing(),
        )

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Lets one process at a time change the KEK, of all machines that share it.

        Raises:
            InputError, AmunError: it cannot be changed.
        """
        with self.store.hold(), self.kek.hold():
            yield

    def open(self, read: Callable[[], tuple[str, Read]]) -> tuple[bytes, Read]:
        """Returns the KEK, and what was read of the key store; both anew where the KEK was changed in between."""
        kek, content = read()
        try:
            return self.kek.find(kek), content
        except InputError:
            again, content = read()
            if again == kek:
                raise
            return self.kek.find(again), content

    def unwrap(self, kek: bytes, subject: str, wrapped: bytes) -> bytes:
        """Returns a key of the key store, given the KEK; raises as `unwrap_all`."""
        return self.unwrap_all(kek, {subject: wrapped})[subject]

    def unwrap_all(self, kek: bytes, wrapped: Mapping[str, bytes]) -> dict[str, bytes]:
        """Returns keys of the key store by whose they are, given the KEK.

        Raises:
            AmunError: the key store is damaged.
        """
        try:
            return unwrap_keys(kek, wrapped)
        except (InvalidTag, ValueError):
            raise AmunError(
                f"the key store {self.store.name} is damaged: a key does not open under the key-encryption key that it "
                "names; bring the store back from your backup"
            ) from None


def open_vault(workspace: Path = CURRENT) -> Vault:
    """Returns the vault that the environment names, or else the workspace's own; nothing is read yet.

    Raises:
        InputError: the environment names what is none.
    """
    return Vault(locate_key_store(workspace), locate_kek(workspace), workspace)


def read_suppression(workspace: Path = CURRENT, *, is_sealed: bool) -> Suppression:
    """Returns the suppression list; an empty one where nothing is sealed and there never was a key store.

    Args:
        workspace: its folder.
        is_sealed: `data.sealed`.

    Raises:
        InputError, AmunError: as `Vault.own_key`; or a key store is named, or has its key-encryption key here, and is
            not there.
    """
    vault = open_vault(workspace)
    # a shared key store that is named and away is not one that never was
    if is_sealed or os.environ.get(KEYS_VARIABLE) or vault.store.is_made():
        return vault.read_suppression()
    vault.kek.require_none()
    return Suppression(EntryMaker(b"", ""), frozenset())


def create_vault(workspace: Path = CURRENT) -> Vault:
    """Returns the vault, made where there is none yet.

    Raises:
        InputError: as when opening; or there is a KEK, and it is not the key store's.
        AmunError: the database does not answer.
    """
    vault = open_vault(workspace)
    with vault.hold():
        if not vault.store.is_made():
            kek = vault.kek.draw_first()
            vault.store.create(fingerprint_kek(kek), wrap_key(kek, "", os.urandom(KEY_BYTES)))
        vault.check()
        vault.kek.end_succession(vault.store.read_own()[0])
    return vault


def lend_vault(workspace: Path, folder: Path) -> None:
    """Makes a folder of the workspace's use its secret, key store and KEK where these lie in it."""
    for path in (SECRET, KEYS, KEK):
        if (workspace / path).exists():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).symlink_to((workspace / path).resolve())
