"""The vault: makes, finds, rewraps and destroys subjects' keys; what seals with a key is another file (`seal`)."""

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from typing import TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from amun.core.errors import AmunError, InputError
from amun.core.keys import fingerprint, keyed_digest, load_secret, subject_key
from amun.core.paths import KEK, KEYS, SECRET
from amun.core.subject_ids import normalise
from amun.vault.kek import KEY_BYTES, Kek, fingerprint_kek, locate_kek
from amun.vault.key_store import KEYS_VARIABLE, MARK, KeyStore, locate_key_store
from amun.vault.suppression import PICTURE, SUBJECT, Entry, EntryMaker, Suppression

NONCE_BYTES = 12
ID_BYTES = 16  # of a key that is no person's
WEIGHTS = "weights"  # a kind of such keys
ERASED_WEIGHTS = "erased-weights"  # a kind of fingerprints that are no person's
Read = TypeVar("Read")
# stages and tools run in the root of a workspace
CURRENT = Path()


@dataclass(frozen=True)
class SubjectKey:
    """One subject's key, as it is used.

    Attributes:
        subject: the keyed id.
        name: the id as the source of the data spells it.
        cipher: AES-256-GCM-SIV.
        nonce_key: from which each payload's nonce is derived.
        sample_key: by which the person's samples are named.
    """

    subject: str
    name: str
    cipher: AESGCMSIV
    nonce_key: bytes
    sample_key: bytes


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
        self._workspace = workspace

    @cached_property
    def own_key(self) -> bytes:
        """The key store's own key, which signs what names nobody.

        Raises:
            InputError: there is no key store, or not its KEK.
            AmunError: the database does not answer.
        """
        kek, wrapped = self._open(self.store.read_own)
        return self._unwrap(kek, "", wrapped)

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
        kek, wrapped = self._open(lambda: self.store.read_keys(asked))
        return {subject: use_key(subject, self._unwrap(kek, subject, key)) for subject, key in wrapped.items()}

    def provide_keys(self, names: Iterable[str]) -> dict[str, SubjectKey]:
        """Returns the key of each of these people by the name, made where there is none yet.

        Raises:
            InputError, AmunError: as `own_key`; or there is no workspace secret; or somebody without a key is erased.
        """
        secret = load_secret(self._workspace)
        name_of = {subject_key(secret, name): name for name in names}
        found = self.find_keys(name_of)
        if missing := [subject for subject in name_of if subject not in found]:
            maker = self._entry_maker
            self.store.add_keys(
                missing,
                lambda kek, subject: _wrap(
                    self.kek.find(kek), subject, os.urandom(KEY_BYTES) + name_of[subject].encode()
                ),
                unless={maker.enter_name(name_of[subject]) for subject in missing},
            )
            found |= self.find_keys(missing)
        # somebody may be erased between two looks
        if gone := [subject for subject in name_of if subject not in found]:
            raise self.store.refuse_keys(len(gone))
        return {name: found[subject] for subject, name in name_of.items()}

    def name_key(self, kind: str, content: bytes) -> str:
        """Returns the id of a key that is no person's: equal for equal contents of a kind, and telling nothing of them.

        Raises:
            InputError, AmunError: as `own_key`.
        """
        digest = hashlib.blake2b(content, key=_derive(self.own_key, kind.encode()), digest_size=ID_BYTES)
        return f"{kind}{MARK}{digest.hexdigest()}"

    def keep_key(self, key_id: str, drawn: bytes, note: str) -> SubjectKey:
        """Keeps a key that is no person's, with a note, unless there is one of this id; returns the one that is kept.

        Raises:
            InputError, AmunError: as `own_key`; or it was destroyed: what lay under it is not made anew.
        """
        text = drawn + note.encode()
        self.store.add_keys(
            [key_id],
            lambda kek, subject: _wrap(self.kek.find(kek), subject, text),
            unless=[_enter_key(key_id)],
            refusal=InputError(
                f"{self.store.name}: the very same {key_id.partition(MARK)[0]} are erased, for they had learned people "
                "who are: nobody makes them anew"
            ),
        )
        return self.find_keys([key_id])[key_id]

    def list_notes(self, kind: str) -> dict[str, str]:
        """Returns what was noted with each key of a kind, by the key's id.

        Raises:
            InputError, AmunError: as `own_key`.
        """
        kek, wrapped = self._open(lambda: self.store.read_keys_of(kind))
        return {key_id: _read_name(self._unwrap(kek, key_id, key)) for key_id, key in wrapped.items()}

    def find_names(self, people: Iterable[str]) -> dict[str, str]:
        """Returns these people's names as the data spell them, by the keyed id of each spelling that has a key.

        The data may spell a name in forms that nobody can list, so the names are read that lie with the keys.

        Raises:
            InputError, AmunError: as `own_key`; or there is no workspace secret.
        """
        secret, asked = load_secret(self._workspace), {normalise(person) for person in people}
        kek, wrapped = self._open(self.store.read_all_keys)
        name_of = {
            subject: _read_name(self._unwrap(kek, subject, key))
            for subject, key in wrapped.items()
            if MARK not in subject
        }
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
        store has the keys until its KEK is destroyed (`rotate`).

        Args:
            people: by their names.
            pictures: digests of pictures that are not to come back either.
            others: ids of keys that are no person's, and go in the same moment.

        Raises:
            InputError, AmunError: as `find_names`.
        """
        maker = self._entry_maker
        entries = [*maker.enter_people(people), *map(maker.enter_picture, pictures), *map(_enter_key, others)]
        return self.store.remove_keys([*self.find_names(people), *others], entries)

    def suppress_people(self, names: Collection[str]) -> None:
        """Puts people on the suppression list whose keys are destroyed already, or who never had one here.

        Raises:
            InputError, AmunError: as `find_names`.
        """
        if names:
            self.store.add_entries(self._entry_maker.enter_people(names))

    def provide_named_key(self, name: str) -> bytes:
        """Returns the key (256 bits) of something that is no person's sample, made where there is none yet.

        Raises:
            InputError, AmunError: as `own_key`.
        """
        if (key := self.find_named_key(name)) is None:
            self.store.add_keys([name], lambda kek, subject: _wrap(self.kek.find(kek), subject, os.urandom(KEY_BYTES)))
            key = self.find_named_key(name)
        if key is None:
            raise AmunError(f"a key was destroyed in {self.store.name} as it was made; run this again")
        return key

    def find_named_key(self, name: str) -> bytes | None:
        """Returns the key of this name; None where there is none, or none any more.

        Raises:
            InputError, AmunError: as `own_key`.
        """
        kek, wrapped = self._open(lambda: self.store.read_keys([name]))
        return self._unwrap(kek, name, wrapped[name]) if name in wrapped else None

    def destroy_named_keys(self, names: Collection[str]) -> int:
        """Destroys the keys of these names; returns how many these were. As with people's, `rotate` belongs to it.

        Raises:
            InputError, AmunError: as `own_key`.
        """
        return self.store.remove_keys(list(names))

    def read_suppression(self) -> Suppression:
        """Returns the suppression list.

        Raises:
            InputError, AmunError: as `find_names`.
        """
        return Suppression(self._entry_maker, self.store.read_entries())

    @property
    def _entry_maker(self) -> EntryMaker:
        return EntryMaker(_derive(self.own_key, b"suppress"), fingerprint(load_secret(self._workspace)))

    @property
    def fingerprint_key(self) -> bytes:
        """The key of the hashes in fingerprints: one for all of them, so that they are looked for at once."""
        return _derive(self.own_key, b"fingerprint")

    def keep_fingerprint(self, person: str, content: bytes, until: datetime) -> None:
        """Keeps a person's fingerprint, sealed under a key of its own, in the place of the one that there may be.

        Args:
            person: by the name.
            content: the fingerprint.
            until: when it is destroyed.

        Raises:
            InputError, AmunError: as `find_names`.
        """
        self._write_fingerprint(self._name_fingerprint(person), content, until)

    def read_fingerprints(self, people: Iterable[str]) -> dict[str, bytes]:
        """Returns the fingerprints of those of these people, by their names, of whom one is kept.

        Raises:
            InputError, AmunError: as `find_names`.
        """
        name_of = {self._name_fingerprint(person): person for person in people}
        opened = self._open_fingerprints(lambda: self.store.read_fingerprints(list(name_of)))
        return {name_of[name]: content for name, content in opened.items()}

    def keep_erased_weights(self, content: bytes, until: datetime) -> None:
        """Keeps by what erased weights are known again, sealed as people's fingerprints are, and once.

        Args:
            content: what tells these weights from all others.
            until: when it is destroyed.

        Raises:
            InputError, AmunError: as `find_names`.
        """
        self._write_fingerprint(self._name_erased_weights(content), content, until)

    def read_erased_weights(self) -> list[bytes]:
        """Returns what is kept of erased weights of this workspace.

        Raises:
            InputError, AmunError: as `find_names`.
        """
        opened = self._open_fingerprints(lambda: self.store.read_fingerprints_of(ERASED_WEIGHTS))
        # another workspace may keep its own in the same key store
        return [content for name, content in opened.items() if self._name_erased_weights(content) == name]

    def _open_fingerprints(self, read: Callable[[], tuple[str, dict[str, tuple[bytes, bytes]]]]) -> dict[str, bytes]:
        """Returns what lies in fingerprints, by their names; `read` gives their wrapped keys and what these seal."""
        kek, found = self._open(read)
        return {
            name: self._unwrap(self._unwrap(kek, name, wrapped), name, sealed)
            for name, (wrapped, sealed) in found.items()
        }

    def count_fingerprints(self, now: datetime) -> int:
        """Returns how many fingerprints there are whose time is over, of people and of erased weights."""
        return self.store.count_fingerprints(now) if self.store.is_made() else 0

    def destroy_fingerprints(self, now: datetime) -> int:
        """Destroys the fingerprints whose time is over, of people and of erased weights; returns how many."""
        return self.store.remove_fingerprints(now) if self.store.is_made() else 0

    def _write_fingerprint(self, name: str, content: bytes, until: datetime) -> None:
        self.check()
        key = os.urandom(KEY_BYTES)
        sealed = _wrap(key, name, content)
        self.store.write_fingerprint(name, lambda kek: _wrap(self.kek.find(kek), name, key), sealed, until)

    def _name_erased_weights(self, content: bytes) -> str:
        return f"{ERASED_WEIGHTS}{MARK}{keyed_digest(load_secret(self._workspace), 'erased weights', content)}"

    def _name_fingerprint(self, person: str) -> str:
        return (
            f"fingerprint{MARK}{keyed_digest(load_secret(self._workspace), 'fingerprint', normalise(person).encode())}"
        )

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

    def check_rotation(self) -> None:
        """Sees that the keys are at hand and can be put under a new KEK.

        Raises:
            InputError, AmunError: as `own_key`; or the KEK's folder cannot be written to.
        """
        self.check()
        with self.hold():
            return

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Lets one process at a time change the KEK, of all machines that share it.

        Raises:
            InputError, AmunError: it cannot be changed.
        """
        with self.store.hold(), self.kek.hold():
            yield

    def rotate(self) -> None:
        """Puts all keys under a new KEK and destroys the old one; ends what a killed call has begun.

        Raises:
            InputError, AmunError: as `own_key`.
        """
        with self.hold():
            self._open(self.store.read_own)
            # a copy of the store from between may lie under the successor of a killed call: that one has to go, too
            self.kek.end_succession(self.store.read_own()[0])
            self._rewrap(self.kek)

    def move(self, before: Kek) -> None:
        """Puts all keys under a new KEK in another place, and destroys the old one; ends what a killed call has begun.

        Args:
            before: where the KEK lay until now.

        Raises:
            InputError: it is to lie there, too; it did not lie there; or another key store's KEK is in the new place.
            AmunError: as `own_key`.
        """
        if before.name == self.kek.name:
            raise InputError(f"the key-encryption key is to stay in {before.name}: name another place in AMUN_KEK")
        with self.hold(), before.hold():
            fingerprint, replaced = self.store.read_own()[0], self.store.read_replaced()
            self.kek.end_succession(fingerprint)
            if not _has(self.kek, fingerprint):
                self.kek.require_none()
                before.find(fingerprint)
                self._rewrap(before)
            elif not before.is_destroyed() and (replaced is None or not _has(before, replaced)):
                raise InputError(
                    f"the key-encryption key lies in {self.kek.name} already, and none that it has replaced in "
                    f"{before.name}; nothing was changed"
                )
            before.destroy()

    def _rewrap(self, before: Kek) -> None:
        """Puts all keys from the KEK before under a new one, which takes its place."""
        find, successor = cache(before.find), self.kek.draw_successor()
        self.store.rewrap(
            fingerprint_kek(successor),
            lambda old, subject, wrapped: _wrap(successor, subject, self._unwrap(find(old), subject, wrapped)),
        )
        self.kek.succeed()

    def _open(self, read: Callable[[], tuple[str, Read]]) -> tuple[bytes, Read]:
        """Returns the KEK, and what was read of the key store; both anew where the KEK was changed in between."""
        kek, content = read()
        try:
            return self.kek.find(kek), content
        except InputError:
            again, content = read()
            if again == kek:
                raise
            return self.kek.find(again), content

    def _unwrap(self, kek: bytes, subject: str, wrapped: bytes) -> bytes:
        try:
            return AESGCMSIV(kek).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], subject.encode())
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
            vault.store.create(fingerprint_kek(kek), _wrap(kek, "", os.urandom(KEY_BYTES)))
        vault.check()
        vault.kek.end_succession(vault.store.read_own()[0])
    return vault


def lend_vault(workspace: Path, folder: Path) -> None:
    """Makes a folder of the workspace's use its secret, key store and KEK where these lie in it."""
    for path in (SECRET, KEYS, KEK):
        if (workspace / path).exists():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).symlink_to((workspace / path).resolve())


def _has(kek: Kek, fingerprint: str) -> bool:
    """Tells whether the KEK of this fingerprint is in a place."""
    try:
        kek.find(fingerprint)
    except InputError:
        return False
    return True


def _wrap(kek: bytes, subject: str, key: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCMSIV(kek).encrypt(nonce, key, subject.encode())


def use_key(subject: str, key: bytes) -> SubjectKey:
    """Returns a key split in three, for no key does two things; what stands behind its first 32 bytes is its name."""
    drawn, name = key[:KEY_BYTES], _read_name(key)
    cipher = AESGCMSIV(_derive(drawn, b"payload"))
    return SubjectKey(subject, name, cipher, _derive(drawn, b"nonce"), _derive(drawn, b"sample id"))


def _enter_key(key_id: str) -> Entry:
    """Returns the entry by which a key that is no person's is not made again."""
    kind, _, digest = key_id.partition(MARK)
    return Entry(kind, bytes.fromhex(digest))


def _read_name(key: bytes) -> str:
    return key[KEY_BYTES:].decode()


def _derive(key: bytes, purpose: bytes) -> bytes:
    return hashlib.blake2b(key=key, digest_size=KEY_BYTES, person=purpose).digest()
