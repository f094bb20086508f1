"""The key store: subjects' keys, each wrapped, in a database of their own, apart from the ledger and its backups.

It knows under which key-encryption key (KEK) all of them lie. What wraps and unwraps is not here.
"""

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from amun.core.counts import tell_count
from amun.core.databases import split_chunks
from amun.core.errors import InputError
from amun.core.paths import KEYS
from amun.vault.database import FORMAT, KEYS_VARIABLE, MARK, SQLITE, KeyDatabase, Run, write_marks
from amun.vault.suppression import Entry

_SCHEMA = (
    "CREATE TABLE vault (id INTEGER PRIMARY KEY CHECK (id = 1), format INTEGER NOT NULL, kek TEXT NOT NULL,"
    " own BLOB NOT NULL)",
    "CREATE TABLE subject_key (subject TEXT PRIMARY KEY, wrapped BLOB NOT NULL)",
)
# made with its first entry: key stores of earlier releases have none, and these releases go on with one that has it
_LIST = "CREATE TABLE IF NOT EXISTS suppressed (digest BLOB PRIMARY KEY, kind TEXT NOT NULL)"
# likewise, with the first change of the KEK
_REPLACED = "CREATE TABLE IF NOT EXISTS replaced (kek TEXT PRIMARY KEY)"


class KeyStore(KeyDatabase):
    """A key store: keys, and the suppression list."""

    def is_made(self) -> bool:
        """Tells whether there is one."""
        if self.path is not None and not self.path.exists():
            return False
        with self.open("BEGIN") as run:
            return self.has_table(run, "vault")

    def create(self, kek: str, own: bytes) -> None:
        """Makes the key store where there is none yet.

        Args:
            kek: the fingerprint of the KEK.
            own: the store's own key, wrapped.
        """
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(mode=0o600)
        with self.write() as run:
            if self.has_table(run, "vault"):
                return
            for statement in _SCHEMA:
                run(self.translate(statement))
            run("INSERT INTO vault (id, format, kek, own) VALUES (1, ?, ?, ?)", FORMAT, kek, own)

    def read_own(self) -> tuple[str, bytes]:
        """Returns the fingerprint of the KEK under which all keys lie, and the store's own key, wrapped.

        Raises:
            InputError: there is no key store, or a later release has made it.
        """
        with self.read() as run:
            return self.read_vault(run)

    def read_keys(self, subjects: Sequence[str]) -> tuple[str, dict[str, bytes]]:
        """Returns the fingerprint of the KEK, and the wrapped keys of those of the subjects who have one."""
        with self.read() as run:
            kek, _ = self.read_vault(run)
            return kek, self._select(run, subjects)

    def read_all_keys(self) -> tuple[str, dict[str, bytes]]:
        """Returns the fingerprint of the KEK, and every wrapped key by its subject or, where it is nobody's, its id."""
        with self.read() as run:
            kek, _ = self.read_vault(run)
            return kek, _collect(run("SELECT subject, wrapped FROM subject_key"))

    def read_keys_of(self, kind: str) -> tuple[str, dict[str, bytes]]:
        """Returns the fingerprint of the KEK, and the wrapped keys of a kind that is no person's, by their ids."""
        with self.read() as run:
            kek, _ = self.read_vault(run)
            return kek, _collect(run("SELECT subject, wrapped FROM subject_key WHERE subject LIKE ?", f"{kind}{MARK}%"))

    def count_keys(self, kind: str | None = None) -> int:
        """Returns how many subjects have a key, or how many keys of a kind there are that are no person's."""
        meant, pattern = ("NOT LIKE", f"%{MARK}%") if kind is None else ("LIKE", f"{kind}{MARK}%")
        with self.read() as run:
            self.read_vault(run)
            return int(run(f"SELECT count(*) FROM subject_key WHERE subject {meant} ?", pattern)[0][0])  # noqa: S608

    def add_keys(
        self,
        subjects: Sequence[str],
        wrap: Callable[[str, str], bytes],
        unless: Collection[Entry] = (),
        refusal: InputError | None = None,
    ) -> None:
        """Writes a new key for each of the subjects who has none.

        Args:
            subjects: their keyed ids.
            wrap: makes the wrapped key of a subject, given the KEK's fingerprint, which stays what it is until then.
            unless: one of these entries is on the suppression list.
            refusal: what to say then; None says it of people.

        Raises:
            InputError: one of the entries is on the suppression list; no key was made.
        """
        with self.write() as run:
            kek, _ = self.read_vault(run)
            if known_entries := self._find_entries(run, unless):
                raise refusal or self.refuse_keys(len(known_entries))
            known = self._select(run, subjects)
            for subject in subjects:
                if subject not in known:
                    run("INSERT INTO subject_key (subject, wrapped) VALUES (?, ?)", subject, wrap(kek, subject))

    def refuse_keys(self, num_people: int) -> InputError:
        """Returns the error of whoever asks for keys of people who are erased."""
        people = tell_count(num_people, "person is erased, and gets", "people are erased, and get")
        return InputError(
            f"{people} no key anew from {self.name}: leave their samples out; whoever comes back is entered under "
            "another id"
        )

    def remove_keys(self, subjects: Sequence[str], entries: Collection[Entry] = ()) -> int:
        """Removes the keys of the subjects, all or none, and all that is left of them in the database's files.

        Args:
            subjects: their keyed ids.
            entries: entries of the suppression list, which is never without them once the keys are gone.

        Returns:
            how many keys there were; removed again, none.
        """
        with self.write() as run:
            self.read_vault(run)
            known = self._select(run, subjects)
            self._insert_entries(run, entries)
            self._delete_keys(run, known)
        self.overwrite("subject_key")
        return len(known)

    def add_entries(self, entries: Collection[Entry]) -> None:
        """Puts entries on the suppression list; those that it has stay."""
        with self.write() as run:
            self.read_vault(run)
            self._insert_entries(run, entries)

    def read_entries(self) -> frozenset[Entry]:
        """Returns the suppression list."""
        with self.read() as run:
            self.read_vault(run)
            if not self.has_table(run, "suppressed"):
                return frozenset()
            rows = run("SELECT kind, digest FROM suppressed")
            return frozenset(Entry(kind, bytes(digest)) for kind, digest in rows)

    def count_entries(self) -> dict[str, int]:
        """Returns how many entries of each kind the suppression list has; a kind without any is left out."""
        with self.read() as run:
            self.read_vault(run)
            if not self.has_table(run, "suppressed"):
                return {}
            return dict(run("SELECT kind, count(*) FROM suppressed GROUP BY kind"))

    def rewrap(self, kek: str, change: Callable[[str, str, bytes], bytes]) -> None:
        """Puts all keys under another KEK, all or none; where they lie under it already nothing changes.

        Args:
            kek: the fingerprint of the other one.
            change: rewraps a key, given the fingerprint of the KEK until now, the subject or the key's name, empty for
                the store itself, and the wrapped key.
        """
        with self.write() as run:
            before, own = self.read_vault(run)
            if before == kek:
                return
            for subject, wrapped in run("SELECT subject, wrapped FROM subject_key"):
                run("UPDATE subject_key SET wrapped = ? WHERE subject = ?", change(before, subject, wrapped), subject)
            run("UPDATE vault SET kek = ?, own = ?", kek, change(before, "", own))
            run(_REPLACED)
            run("DELETE FROM replaced")
            run("INSERT INTO replaced (kek) VALUES (?)", before)

    def read_replaced(self) -> str | None:
        """Returns the fingerprint of the KEK before this one; None where none is written down."""
        with self.read() as run:
            self.read_vault(run)
            rows = run("SELECT kek FROM replaced") if self.has_table(run, "replaced") else []
            return rows[0][0] if rows else None

    def _select(self, run: Run, subjects: Sequence[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for chunk in split_chunks(subjects):
            marks = write_marks(chunk)
            rows = run(f"SELECT subject, wrapped FROM subject_key WHERE subject IN ({marks})", *chunk)  # noqa: S608
            found |= _collect(rows)
        return found

    def _delete_keys(self, run: Run, subjects: Collection[str]) -> None:
        for subject in subjects:
            run("DELETE FROM subject_key WHERE subject = ?", subject)

    def _insert_entries(self, run: Run, entries: Collection[Entry]) -> None:
        known = self._find_entries(run, entries)
        new = [entry for entry in dict.fromkeys(entries) if entry not in known]
        if new:
            run(self.translate(_LIST))
        for entry in new:
            run("INSERT INTO suppressed (digest, kind) VALUES (?, ?)", entry.digest, entry.kind)

    def _find_entries(self, run: Run, entries: Collection[Entry]) -> set[Entry]:
        """Returns those of the entries that the suppression list has."""
        found = set[Entry]()
        asked = [entry.digest for entry in entries] if self.has_table(run, "suppressed") else []
        for chunk in split_chunks(asked):
            marks = write_marks(chunk)
            rows = run(f"SELECT kind, digest FROM suppressed WHERE digest IN ({marks})", *chunk)  # noqa: S608
            found |= {Entry(kind, bytes(digest)) for kind, digest in rows}
        return found


def _collect(rows: Iterable[tuple[str, bytes]]) -> dict[str, bytes]:
    return {subject: bytes(wrapped) for subject, wrapped in rows}


def locate_key_store(workspace: Path) -> KeyStore:
    """Returns the key store that the environment names, or else the workspace's own."""
    named = os.environ.get(KEYS_VARIABLE)
    if named and named != SQLITE and named.startswith(SQLITE) and not named.startswith(f"{SQLITE}/"):
        # it would be another file in every folder
        raise InputError(f"{KEYS_VARIABLE}: {named!r} is no full path; write {SQLITE}/PATH")
    return KeyStore(named or f"{SQLITE}{workspace / KEYS}")
