"""Weights that are erased: copies of them in clear are known by size and MD5, as people's by their fingerprints."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from amun.evidence.wave import parse_record
from amun.scan.matcher import WholeFile
from amun.vault import fingerprints
from amun.vault.sealed_weights import PlainFile, list_weights_keys
from amun.vault.vault import Vault, open_vault
from tasks.workspace.workspace import Workspace

LABEL = "weights of an erased model"


def list_plain(vault: Vault, model: str, key_ids: Collection[str]) -> list[PlainFile]:
    """Returns what these keys' weights were before they were sealed, as far as it was noted.

    Raises:
        InputError, AmunError: the key store does not answer.
    """
    notes = list_weights_keys(vault, model)
    return [note.plain for key_id, note in notes.items() if key_id in key_ids and note.plain is not None]


def keep_erased_weights(workspace: Workspace, vault: Vault, files: Iterable[PlainFile], now: datetime) -> None:
    """Keeps in the key store by what copies of these files are found, for as long as people's fingerprints are kept.

    What is kept already stays; said again it adds what is new.

    Raises:
        InputError, AmunError: the key store does not answer.
    """
    until = now + timedelta(days=workspace.params.receipts.retention_days)
    for file in files:
        fingerprints.keep_erased_weights(vault, file.model_dump_json().encode(), until)


def read_erased_weights(workspace: Workspace) -> list[WholeFile]:
    """Returns the files that a scan is to look for; none where nothing was ever sealed.

    Raises:
        InputError, AmunError: the key store does not answer.
    """
    vault = open_vault(workspace.root)
    if not vault.store.is_made():
        return []
    where = f"a fingerprint of weights in {vault.store.name}"
    files = [parse_record(PlainFile, content.decode(), where) for content in fingerprints.read_erased_weights(vault)]
    return [WholeFile(LABEL, file.size, file.md5) for file in files]
