"""A backup of all that git and DVC do not have of a workspace: one file, sealed under the key-encryption key (KEK).

The KEK is not in it. Each erasure destroys the KEK, and the next backup the copy of it: after that none from before
is readable. What these have of whoever is erased, keys and models in clear among it, goes so wherever the file lies.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from amun import __version__
from amun.core.commands import tell_command
from amun.core.counts import tell_count
from amun.core.errors import AmunError, InputError
from amun.core.keys import load_secret
from amun.core.masking import mask_passwords
from amun.core.paths import REGISTRY, REGISTRY_FILES, SECRET, STATE
from amun.core.temporary import open_temporary
from amun.ledger import Ledger, PlannedErasure
from amun.receipts.signing import locate_signing_key
from amun.vault.database import SQLITE
from amun.vault.kek import KekFile, fingerprint_kek, read_kek, write_kek
from amun.vault.key_store import locate_key_store
from amun.vault.vault import Vault, open_vault
from tasks.tools.addresses import find_addresses
from tasks.tools.environment import LEDGER_VARIABLE, MLFLOW_VARIABLE, name_database
from tasks.tools.git import run_git
from tasks.tools.new_file import require_free
from tasks.tools.sqlite_files import copy_database, require_sound
from tasks.workspace.backup_age import note_taken
from tasks.workspace.backup_archive import DATABASES, FILES, PARTS, About, write_archive
from tasks.workspace.workspace import Workspace, open_ledger

TO, KEK_TO = "--to", "--kek-to"


@dataclass(frozen=True)
class Taken:
    """What a backup has.

    Attributes:
        names: of what is in it.
        left_out: what lies elsewhere, each with what copies it.
        fingerprint: of the KEK under which it is sealed.
        next_erasure: when somebody's keys are to be destroyed next, and the backup will open no more; None where
            nobody waits for it.
    """

    names: tuple[str, ...]
    left_out: tuple[str, ...]
    fingerprint: str
    next_erasure: datetime | None


def locate_parts(root: Path) -> dict[str, Path | None]:
    """Returns where each part of a backup lies, in the order of `PARTS`; None where that is no file of this machine.

    Raises:
        InputError: the environment names what is none.
    """
    ledger = os.environ[LEDGER_VARIABLE].partition("?")[0]  # what follows is no part of the path
    is_own_registry = os.environ[MLFLOW_VARIABLE] == name_database(root) or (
        (served := find_addresses(root)) is not None and served.mlflow == os.environ[MLFLOW_VARIABLE]
    )
    places = {
        FILES: root / REGISTRY_FILES if is_own_registry else None,
        "mlflow.db": root / REGISTRY if is_own_registry else None,
        "ledger.db": Path(ledger.removeprefix(SQLITE)) if ledger.startswith(SQLITE) else None,
        "keys.db": locate_key_store(root).path,
        "receipt-key": locate_signing_key(root),
        "secret": root / SECRET,
    }
    return {name: places[name] for name in PARTS}


def take_backup(workspace: Workspace, path: Path, kek_path: Path | None) -> Taken:
    """Writes a backup, its owner's alone, also while a wave runs.

    Args:
        workspace: of which.
        path: a new file, which git does not keep.
        kek_path: takes a copy of the KEK; the copy of an earlier one that is there is destroyed, once the backup is on
            the disk.

    Raises:
        InputError: a file cannot be there; no wave is complete; there is no key store, or its KEK is not at hand.
        AmunError: a database is damaged or does not answer; or the KEK was changed meanwhile.
    """
    root, vault, model = workspace.root, open_vault(workspace.root), workspace.model
    require_free(TO, path, root, "holds keys")
    # what a link leads to: the copy is to lie there, and not in the link's place
    copy = None if kek_path is None else kek_path.resolve()
    if copy is not None:
        _require_copy_place(vault, copy, path, root)
    parts = locate_parts(root)
    with open_temporary() as folder:
        with vault.hold():
            kek, _ = vault.open(vault.store.read_own)
            with open_ledger() as ledger, ledger.hold_writers():
                erasures = ledger.list_erasures(model, datetime.now(UTC))
                about = _describe(workspace, ledger, erasures)
                sources = _copy_databases(parts, folder)
        for name in DATABASES:
            if name in sources:
                require_sound(sources[name], cast(Path, parts[name]))
        # the workspace may have it from its environment alone
        sources["secret"] = folder / "secret"
        sources["secret"].write_text(load_secret(root).hex(), encoding="ascii")
        write_archive(TO, path, kek, about, sources)
    with vault.hold():
        if vault.store.read_own()[0] != fingerprint_kek(kek):
            path.unlink()
            raise AmunError(f"{path}: the key-encryption key was changed while it was written; type this again")
        if copy is not None and not (copy.exists() and read_kek(copy) == kek):
            write_kek(copy, kek)
        note_taken(root, kek, about.taken_at, copy)
    waiting = [one.erasure.erase_after for one in erasures if one.erasure.erased_at is None]
    left_out = [_tell_left_out(name) for name in parts if parts[name] is None and name != FILES]
    return Taken(
        tuple(sources),
        (*left_out, *_tell_unsent(root), *_tell_key(vault, copy)),
        fingerprint_kek(kek),
        min(waiting, default=None),
    )


def _require_copy_place(vault: Vault, copy: Path, archive: Path, root: Path) -> None:
    """Refuses a place for a copy of the KEK before anything is written.

    Raises:
        InputError: the KEK never leaves its token; the place is the key's own or the backup's; the file is there and no
            copy of a KEK; git would keep it.
    """
    if not isinstance(vault.kek, KekFile):
        raise InputError(f"{KEK_TO}: {vault.kek.name} never gives its key away; back it up by its maker's means")
    own = [path for path in (vault.kek.path, vault.kek.successor) if path.exists() and copy.exists()]
    is_own = copy == vault.kek.successor or any(map(copy.samefile, own))  # by a hard link as well
    # a workspace that is lost takes with it what is in it, and among its files are others that look like a key
    if is_own or copy.is_relative_to((root / STATE).resolve()):
        raise InputError(f"{KEK_TO} {copy}: that is the key's own place; name one outside {root / STATE}")
    if copy == archive.resolve():
        raise InputError(f"{KEK_TO} {copy}: that is the backup itself; keep the two apart")
    if copy.exists():
        read_kek(copy)  # nothing but the copy of an earlier one is replaced
    else:
        require_free(KEK_TO, copy, root, "holds a key")


def _describe(workspace: Workspace, ledger: Ledger, erasures: list[PlannedErasure]) -> About:
    """Returns what a backup says of itself: what is recorded, and not what is under way.

    A wave that is open goes on from what the backup has of it as long as nobody has recorded it; where git has it, its
    keys are from after the backup. Receipts that are drafted and wait are known: their people's keys are gone.

    Raises:
        InputError: no wave is complete yet.
    """
    model, waves = workspace.model, ledger.list_waves(workspace.model)
    complete = [wave for wave in waves if wave.state == "complete"]
    if not complete:
        raise InputError("no wave is complete yet: `amun init` ends what it has begun, and then there is a workspace")
    destroyed = {one.request_id for one in erasures if one.erasure.keys_destroyed_at is not None}
    issued = {receipt.request_id for receipt in ledger.list_receipts(model)}
    return About(
        release=__version__,
        model=model,
        root=str(workspace.root),
        commit=str(complete[-1].commit),
        taken_at=f"{datetime.now(UTC):%FT%TZ}",
        wave=max(wave.number for wave in waves if wave.state != "open"),
        num_receipts=len(issued | (destroyed - ledger.find_undrafted(model, destroyed))),
        num_destroyed=ledger.count_destroyed(),
    )


def _copy_databases(parts: dict[str, Path | None], folder: Path) -> dict[str, Path]:
    """Returns what goes into the archive, the databases as copies of one moment.

    Nobody writes to the ledger meanwhile, so no wave gets any further: what the others have more than the ledger is
    what a run that was killed at that moment would have left, and the next one takes it up.
    """
    sources: dict[str, Path] = {}
    for name, path in parts.items():
        if path is None:
            continue
        if name in DATABASES:
            sources[name] = folder / name
            copy_database(path, sources[name])
        elif path.exists():  # nobody may have needed it yet
            sources[name] = path
    return sources


def _tell_unsent(root: Path) -> list[str]:
    """Returns what of git's own no remote of it has, as far as this clone knows."""
    num_unsent = int(run_git(root, "rev-list", "--count", "HEAD", "--not", "--remotes"))
    commits = tell_count(num_unsent, "commit")
    return [f"{commits} that no remote of git has: `git push --follow-tags`"] if num_unsent else []


def _tell_key(vault: Vault, copy: Path | None) -> list[str]:
    """Returns that no copy of the KEK was written, where one can be."""
    if copy is not None or not isinstance(vault.kek, KekFile):
        return []
    return [f"the key-encryption key: a copy from before its last change does not open this file; {KEK_TO} writes one"]


def _tell_left_out(name: str) -> str:
    """Returns what of a workspace lies elsewhere, and what copies it."""
    if name == "mlflow.db":
        return f"MLflow at {mask_passwords(os.environ[MLFLOW_VARIABLE])}: back up its database and its files there"
    what, url = {
        "ledger.db": ("ledger", os.environ[LEDGER_VARIABLE]),
        "keys.db": ("key store", locate_key_store(Path()).name),
    }[name]
    address = mask_passwords(url).replace("postgresql+psycopg", "postgresql")
    return f"the {what} on Postgres: {tell_command('pg_dump', '--format=custom', f'--file={what[:3]}.dump', address)}"
