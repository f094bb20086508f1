"""The key store: subjects' keys, each wrapped, in a database of their own, apart from the ledger and its backups.

It knows under which key-encryption key (KEK) all of them lie. What wraps and unwraps is not here.
"""

import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import sleep
from typing import Any

from amun.core.counts import tell_count
from amun.core.databases import BUSY_SECONDS, split_chunks
from amun.core.errors import AmunError, InputError
from amun.core.locks import hold_lock
from amun.core.masking import mask_passwords
from amun.core.paths import KEYS
from amun.vault.suppression import Entry

KEYS_VARIABLE = "AMUN_KEYS_URL"
FORMAT = 1
_LOOK_SECONDS = 0.2  # between two looks whether another machine has ended its change of the KEK
_SQLITE, _POSTGRES = "sqlite:///", "postgresql+psycopg://"

_SCHEMA = (
    "CREATE TABLE vault (id INTEGER PRIMARY KEY CHECK (id = 1), format INTEGER NOT NULL, kek TEXT NOT NULL,"
    " own BLOB NOT NULL)",
    "CREATE TABLE subject_key (subject TEXT PRIMARY KEY, wrapped BLOB NOT NULL)",
)
# Between the kind of a key that is no person's and its digest. Keyed ids of people have none, and an earlier release
# on the same key store puts such keys under a new KEK as it does people's.
MARK = "/"
# made with its first entry: key stores of earlier releases have none, and these releases go on with one that has it
_LIST = "CREATE TABLE IF NOT EXISTS suppressed (digest BLOB PRIMARY KEY, kind TEXT NOT NULL)"
# likewise, with the first change of the KEK
_REPLACED = "CREATE TABLE IF NOT EXISTS replaced (kek TEXT PRIMARY KEY)"
# likewise; their keys lie with all others, so that an earlier release puts them under a new KEK, too
_FINGERPRINTS = (
    "CREATE TABLE IF NOT EXISTS fingerprint (name TEXT PRIMARY KEY, sealed BLOB NOT NULL, keep_until TEXT NOT NULL)"
)
_TIME = "%Y-%m-%dT%H:%M:%SZ"


class KeyStore:
    """A SQLite file, or a Postgres database that several machines share."""

    def __init__(self, url: str) -> None:
        """Names the key store; nothing is opened yet.

        Raises:
            InputError: the url is none of a SQLite file or a Postgres database.
        """
        self.name = mask_passwords(url)
        self._url = url
        self.path = Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None
        if not url.startswith((_SQLITE, _POSTGRES)) or url == _SQLITE:
            raise InputError(f"{KEYS_VARIABLE}: {self.name!r} is no key store; write {_SQLITE}/PATH or {_POSTGRES}...")

    def is_made(self) -> bool:
        """Tells whether there is one."""
        if self.path is not None and not self.path.exists():
            return False
        with self._open("BEGIN") as run:
            return self._has_table(run, "vault")

    def create(self, kek: str, own: bytes) -> None:
        """Makes the key store where there is none yet.

        Args:
            kek: the fingerprint of the KEK.
            own: the store's own key, wrapped.
        """
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(mode=0o600)
        with self._write() as run:
            if self._has_table(run, "vault"):
                return
            for statement in _SCHEMA:
                run(self._translate(statement))
            run("INSERT INTO vault (id, format, kek, own) VALUES (1, ?, ?, ?)", FORMAT, kek, own)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Lets one process at a time change the KEK, of all machines that share the key store.

        Raises:
            AmunError: the key store cannot be locked.
        """
        if self.path is None:
            with self._open() as run:
                while not run("SELECT pg_try_advisory_lock(hashtext('amun key-encryption key'))")[0][0]:
                    sleep(_LOOK_SECONDS)
                yield
            return
        with ExitStack() as held:
            try:
                held.enter_context(hold_lock(self.path.with_name(f"{self.path.name}.lock")))
            except OSError as error:
                raise AmunError(f"the key store {self.name} cannot be locked: {error.strerror}") from None
            yield

    def read_own(self) -> tuple[str, bytes]:
        """Returns the fingerprint of the KEK under which all keys lie, and the store's own key, wrapped.

        Raises:
            InputError: there is no key store, or a later release has made it.
        """
        with self._read() as run:
            return self._read_vault(run)

    def read_keys(self, subjects: Sequence[str]) -> tuple[str, dict[str, bytes]]:
        """Returns the fingerprint of the KEK, and the wrapped keys of those of the subjects who have one."""
        with self._read() as run:
            kek, _ = self._read_vault(run)
            return kek, self._select(run, subjects)

    def read_all_keys(self) -> tuple[str, dict[str, bytes]]:
        """Returns the fingerprint of the KEK, and every wrapped key by its subject or, where it is nobody's, its id."""
        with self._read() as run:
            kek, _ = self._read_vault(run)
            return kek, _collect(run("SELECT subject, wrapped FROM subject_key"))

    def read_keys_of(self, kind: str) -> tuple[str, dict[str, bytes]]:
        """Returns the fingerprint of the KEK, and the wrapped keys of a kind that is no person's, by their ids."""
        with self._read() as run:
            kek, _ = self._read_vault(run)
            return kek, _collect(run("SELECT subject, wrapped FROM subject_key WHERE subject LIKE ?", f"{kind}{MARK}%"))

    def count_keys(self, kind: str | None = None) -> int:
        """Returns how many subjects have a key, or how many keys of a kind there are that are no person's."""
        meant, pattern = ("NOT LIKE", f"%{MARK}%") if kind is None else ("LIKE", f"{kind}{MARK}%")
        with self._read() as run:
            self._read_vault(run)
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
        with self._write() as run:
            kek, _ = self._read_vault(run)
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
        with self._write() as run:
            self._read_vault(run)
            known = self._select(run, subjects)
            self._insert_entries(run, entries)
            self._delete_keys(run, known)
        self._overwrite("subject_key")
        return len(known)

    def add_entries(self, entries: Collection[Entry]) -> None:
        """Puts entries on the suppression list; those that it has stay."""
        with self._write() as run:
            self._read_vault(run)
            self._insert_entries(run, entries)

    def read_entries(self) -> frozenset[Entry]:
        """Returns the suppression list."""
        with self._read() as run:
            self._read_vault(run)
            if not self._has_table(run, "suppressed"):
                return frozenset()
            rows = run("SELECT kind, digest FROM suppressed")
            return frozenset(Entry(kind, bytes(digest)) for kind, digest in rows)

    def count_entries(self) -> dict[str, int]:
        """Returns how many entries of each kind the suppression list has; a kind without any is left out."""
        with self._read() as run:
            self._read_vault(run)
            if not self._has_table(run, "suppressed"):
                return {}
            return dict(run("SELECT kind, count(*) FROM suppressed GROUP BY kind"))

    def write_fingerprint(self, name: str, wrap: Callable[[str], bytes], sealed: bytes, until: datetime) -> None:
        """Writes somebody's fingerprint in the place of the one that there may be.

        Args:
            name: of its key.
            wrap: makes the wrapped key, given the KEK's fingerprint, which stays what it is until then.
            sealed: the fingerprint under that key.
            until: when it is to be removed.
        """
        with self._write() as run:
            kek, _ = self._read_vault(run)
            run(self._translate(_FINGERPRINTS))
            for table, key in (("fingerprint", "name"), ("subject_key", "subject")):
                run(f"DELETE FROM {table} WHERE {key} = ?", name)  # noqa: S608
            run("INSERT INTO subject_key (subject, wrapped) VALUES (?, ?)", name, wrap(kek))
            statement = "INSERT INTO fingerprint (name, sealed, keep_until) VALUES (?, ?, ?)"
            run(statement, name, sealed, until.astimezone(UTC).strftime(_TIME))

    def read_fingerprints(self, names: Sequence[str]) -> tuple[str, dict[str, tuple[bytes, bytes]]]:
        """Returns the fingerprint of the KEK, and the wrapped keys and sealed fingerprints of those who have one."""
        found: dict[str, tuple[bytes, bytes]] = {}
        with self._read() as run:
            kek, _ = self._read_vault(run)
            for chunk in split_chunks(names):
                found |= self._select_fingerprints(run, f"IN ({_write_marks(chunk)})", *chunk)
        return kek, found

    def read_fingerprints_of(self, kind: str) -> tuple[str, dict[str, tuple[bytes, bytes]]]:
        """Returns the fingerprint of the KEK, and the wrapped keys and sealed fingerprints of a kind, by name."""
        with self._read() as run:
            kek, _ = self._read_vault(run)
            return kek, self._select_fingerprints(run, "LIKE ?", f"{kind}{MARK}%")

    def count_fingerprints(self, now: datetime) -> int:
        """Returns how many fingerprints there are whose time is over."""
        with self._read() as run:
            return len(self._find_over(run, now))

    def remove_fingerprints(self, now: datetime) -> int:
        """Removes the fingerprints whose time is over, with their keys; returns how many there were."""
        with self._write() as run:
            names = self._find_over(run, now)
            self._delete_keys(run, names)
            for name in names:
                run("DELETE FROM fingerprint WHERE name = ?", name)
            is_made = self._has_table(run, "fingerprint")
        for table in ("fingerprint", "subject_key") if is_made else ():
            self._overwrite(table)
        return len(names)

    def _select_fingerprints(self, run: "Run", condition: str, *values: str) -> dict[str, tuple[bytes, bytes]]:
        if not self._has_table(run, "fingerprint"):
            return {}
        query = (
            "SELECT name, wrapped, sealed FROM fingerprint JOIN subject_key ON subject = name "  # noqa: S608
            f"WHERE name {condition}"
        )
        return {name: (bytes(wrapped), bytes(sealed)) for name, wrapped, sealed in run(query, *values)}

    def _find_over(self, run: "Run", now: datetime) -> list[str]:
        """Returns the names of the fingerprints whose time is over."""
        if not self._has_table(run, "fingerprint"):
            return []
        at = now.astimezone(UTC).strftime(_TIME)
        return [name for (name,) in run("SELECT name FROM fingerprint WHERE keep_until <= ?", at)]

    def rewrap(self, kek: str, change: Callable[[str, str, bytes], bytes]) -> None:
        """Puts all keys under another KEK, all or none; where they lie under it already nothing changes.

        Args:
            kek: the fingerprint of the other one.
            change: rewraps a key, given the fingerprint of the KEK until now, the subject or the key's name, empty for
                the store itself, and the wrapped key.
        """
        with self._write() as run:
            before, own = self._read_vault(run)
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
        with self._read() as run:
            self._read_vault(run)
            rows = run("SELECT kek FROM replaced") if self._has_table(run, "replaced") else []
            return rows[0][0] if rows else None

    def _select(self, run: "Run", subjects: Sequence[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for chunk in split_chunks(subjects):
            marks = _write_marks(chunk)
            rows = run(f"SELECT subject, wrapped FROM subject_key WHERE subject IN ({marks})", *chunk)  # noqa: S608
            found |= _collect(rows)
        return found

    def _overwrite(self, table: str) -> None:
        """Leaves nothing of a table's removed rows in the files of a Postgres database; SQLite does so by itself."""
        if self.path is None:
            # Postgres keeps old versions of a row, and rewrites a table outside transactions alone. A killed call may
            # have got no further than this, so it is done where nothing was removed, too.
            with self._open() as run:
                run(f"VACUUM FULL {table}")

    def _delete_keys(self, run: "Run", subjects: Collection[str]) -> None:
        for subject in subjects:
            run("DELETE FROM subject_key WHERE subject = ?", subject)

    def _insert_entries(self, run: "Run", entries: Collection[Entry]) -> None:
        known = self._find_entries(run, entries)
        new = [entry for entry in dict.fromkeys(entries) if entry not in known]
        if new:
            run(self._translate(_LIST))
        for entry in new:
            run("INSERT INTO suppressed (digest, kind) VALUES (?, ?)", entry.digest, entry.kind)

    def _find_entries(self, run: "Run", entries: Collection[Entry]) -> set[Entry]:
        """Returns those of the entries that the suppression list has."""
        found = set[Entry]()
        asked = [entry.digest for entry in entries] if self._has_table(run, "suppressed") else []
        for chunk in split_chunks(asked):
            marks = _write_marks(chunk)
            rows = run(f"SELECT kind, digest FROM suppressed WHERE digest IN ({marks})", *chunk)  # noqa: S608
            found |= {Entry(kind, bytes(digest)) for kind, digest in rows}
        return found

    def _read_vault(self, run: "Run") -> tuple[str, bytes]:
        if not self._has_table(run, "vault"):
            raise InputError(self._tell_missing())
        ((found, kek, own),) = run("SELECT format, kek, own FROM vault")
        if found != FORMAT:
            raise InputError(f"the key store {self.name} has format {found}, this release needs {FORMAT}")
        return kek, bytes(own)

    def _has_table(self, run: "Run", name: str) -> bool:
        if self.path is not None:
            return bool(run("SELECT 1 FROM sqlite_master WHERE name = ?", name))
        return run("SELECT to_regclass(?)", name)[0][0] is not None

    def _translate(self, statement: str) -> str:
        """Returns a statement with the names that the database gives to types."""
        return statement if self.path is not None else statement.replace("BLOB", "BYTEA")

    def _tell_missing(self) -> str:
        return (
            f"no key store at {self.name}: bring it from your backup, or name it in {KEYS_VARIABLE}; "
            "`amun keys create` makes one in a workspace that never had any"
        )

    @contextmanager
    def _read(self) -> "Iterator[Run]":
        """Gives what runs a statement; all that it reads is of one state of the store."""
        if self.path is not None and not self.path.exists():
            raise InputError(self._tell_missing())
        begin = "BEGIN" if self.path is not None else "BEGIN ISOLATION LEVEL REPEATABLE READ"
        with self._open(begin) as run:
            yield run

    @contextmanager
    def _write(self) -> "Iterator[Run]":
        """Gives what runs a statement, to one process at a time; it is kept only if the block succeeds."""
        with self._open("BEGIN IMMEDIATE" if self.path is not None else "BEGIN") as run:
            if self.path is None:
                run(f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'")
                run("SELECT pg_advisory_xact_lock(hashtext('amun vault'))")
            yield run

    @contextmanager
    def _open(self, begin: str | None = None) -> "Iterator[Run]":
        """Gives what runs a statement, in a transaction if one is begun."""
        try:
            connection = self._connect()
            try:
                run = partial(_run, connection, self.path is not None)
                if begin is not None:
                    run(begin)
                yield run
                if begin is not None:
                    run("COMMIT")
            finally:
                connection.close()
        except InputError:
            raise
        except Exception as error:
            if not isinstance(error, sqlite3.Error) and type(error).__module__.partition(".")[0] != "psycopg":
                raise
            primary = getattr(getattr(error, "diag", None), "message_primary", None)
            reason = " ".join(str(primary or error).split())
            raise AmunError(f"the key store {self.name} does not answer or refuses: {reason}") from None

    def _connect(self) -> Any:
        if self.path is None:
            # only here: SQLAlchemy and Postgres' driver take half a second to import
            from sqlalchemy import make_url

            from amun.core.postgres import bound_waits, connect_bounded

            url = make_url(self._url)
            named = url.translate_connect_args(username="user", database="dbname") | dict(url.query)
            return connect_bounded(BUSY_SECONDS, None, None, [], {**named, **bound_waits(), "autocommit": True})
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        # What is deleted is overwritten, and no second file holds older pages. A rotation destroys the old KEK at once:
        # not even a power cut may bring back what it has replaced (EXTRA flushes the folder, too).
        for pragma in ("secure_delete = ON", "journal_mode = DELETE", "synchronous = EXTRA"):
            connection.execute(f"PRAGMA {pragma}")
        return connection


Run = Callable[..., list[Any]]


def _write_marks(values: Sequence[object]) -> str:
    """Returns what stands for the values in a statement."""
    return ", ".join("?" * len(values))


def _collect(rows: Iterable[tuple[str, bytes]]) -> dict[str, bytes]:
    return {subject: bytes(wrapped) for subject, wrapped in rows}


def _run(connection: Any, is_sqlite: bool, statement: str, *values: object) -> list[Any]:
    cursor = connection.execute(statement if is_sqlite else statement.replace("?", "%s"), values)
    return [] if cursor.description is None else list(cursor.fetchall())


def locate_key_store(workspace: Path) -> KeyStore:
    """Returns the key store that the environment names, or else the workspace's own."""
    named = os.environ.get(KEYS_VARIABLE)
    if named and named != _SQLITE and named.startswith(_SQLITE) and not named.startswith(f"{_SQLITE}/"):
        # it would be another file in every folder
        raise InputError(f"{KEYS_VARIABLE}: {named!r} is no full path; write {_SQLITE}/PATH")
    return KeyStore(named or f"{_SQLITE}{workspace / KEYS}")
