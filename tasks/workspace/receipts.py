"""Receipts of erasure: issued once a person is erased, opened for whoever asks, emptied when their retention ends.

Each step can be killed and made again: what was issued stays as it is, what is missing is issued by the next call.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from amun.core.errors import AmunError, InputError
from amun.core.keys import keyed_digest, load_secret
from amun.core.locks import hold_lock
from amun.core.paths import RECEIPT_LOCK
from amun.evidence.receipt import ChainEntry
from amun.ledger import DraftedReceipt, IssuedReceipt, Ledger
from amun.receipts.chain import append_entry, commit_to, draw_nonce
from amun.receipts.sealing import open_body, seal_body
from amun.receipts.signing import (
    SigningKey,
    locate_signing_key,
    provide_signing_key,
    read_signing_key,
    replace_signing_key,
)
from amun.receipts.statement import dump_body, read_receipt, write_receipt
from amun.vault.database import MARK
from amun.vault.fingerprints import count_fingerprints, destroy_fingerprints
from amun.vault.named_keys import destroy_named_keys, find_named_key, provide_named_key
from amun.vault.rotation import check_rotation, rotate_kek
from amun.vault.vault import open_vault
from tasks.workspace.receipt_chain import record_chain, require_same_chain
from tasks.workspace.workspace import Workspace, open_ledger


@dataclass(frozen=True)
class Kept:
    """What a call has done about receipts.

    Attributes:
        num_destroyed: bodies whose retention was over.
        num_fingerprints: of people and of erased weights, which were kept as long, and are destroyed; where there was
            any of either the key-encryption key was changed.
        unsent: why the chain is not in git yet, though nothing has failed; empty where it is.
    """

    num_destroyed: int = 0
    num_fingerprints: int = 0
    unsent: str = ""


def keep_receipts(workspace: Workspace, now: datetime) -> Kept:
    """Issues what receipts are missing, destroys bodies whose retention is over, and brings the chain into git.

    Args:
        workspace: whose receipts they are.
        now: the present time.

    Raises:
        InputError: the signing key is not at hand, or git has another chain than the ledger.
        AmunError: ledger, key store or git remote does not answer.
    """
    # of one clone: its chain's file is one, and so is its git index
    with hold_lock(workspace.root / RECEIPT_LOCK), open_ledger() as ledger:
        issued = ledger.list_receipts(workspace.model)
        if drafted := [one for one in ledger.list_drafted(workspace.model) if not _is_in_source(one)]:
            # a chain that goes on elsewhere must not get a second end
            require_same_chain(workspace.root, issued)
            key = _provide_key(workspace, issued)
            for one in drafted:
                _issue(workspace, ledger, key, one, now)
        num_destroyed, num_fingerprints = _destroy_bodies(workspace, ledger, now)
        return Kept(num_destroyed, num_fingerprints, record_chain(workspace, ledger))


def find_receipt(workspace: Workspace, request_id: str) -> IssuedReceipt:
    """Returns the receipt of a request.

    Raises:
        InputError: there is no such request, or it has no receipt; the line says why.
    """
    model = workspace.model
    with open_ledger() as ledger:
        request = ledger.get_request(request_id)
        if (receipt := ledger.find_receipt(model, request_id)) is not None:
            return receipt
    erasure = next((outcome.erasure for outcome in request.outcomes if outcome.model == model), None)
    if erasure is None:
        raise InputError(f"{request_id} has no receipt: nobody is erased under it; `amun erase list` shows who is")
    if erasure.erased_at is None:
        raise InputError(f"{request_id} has no receipt yet: the person is not erased; `amun erase list` says why")
    raise InputError(
        f"{request_id} has no receipt: `amun erase run` issues it, unless the person was erased by a release that "
        "issued none"
    )


def open_receipt(workspace: Workspace, request_id: str) -> str:
    """Returns the receipt of a request as the person gets it, verified.

    Raises:
        InputError: as `find_receipt`; or its body is destroyed, or the keys are not at hand.
        AmunError: it is damaged.
    """
    receipt = find_receipt(workspace, request_id)
    with open_ledger() as ledger:
        return read_issued(workspace, ledger, receipt)


def read_issued(workspace: Workspace, ledger: Ledger, receipt: IssuedReceipt) -> str:
    """Returns a receipt that the ledger has, verified; raises as `open_receipt`."""
    where = f"the receipt of {receipt.request_id}"
    if receipt.destroyed_at is not None:
        since = f"{receipt.destroyed_at:%Y-%m-%d}"
        raise InputError(f"{where}: what it said was destroyed on {since}, as receipts.retention_days has it")
    if (sealed := ledger.read_sealed(workspace.model, receipt.request_id)) is None:
        raise AmunError(f"{where}: the ledger has lost what it said; bring the ledger back from your backup")
    name = _name_key(workspace, receipt.request_id)
    if (key := find_named_key(open_vault(workspace.root), name)) is None:
        raise AmunError(f"{where}: the key store has no key of it; bring the store back from your backup")
    body, nonce = open_body(key, name, sealed)
    text = write_receipt(body, nonce, receipt.entry)
    read_receipt(text, where)
    return text


def read_receipts(workspace: Workspace, request_ids: Collection[str]) -> dict[str, str]:
    """Returns those of these requests' receipts whose bodies are kept, as the person gets them, by request.

    Raises:
        InputError, AmunError: as `open_receipt`.
    """
    with open_ledger() as ledger:
        return {
            receipt.request_id: read_issued(workspace, ledger, receipt)
            for receipt in ledger.list_receipts(workspace.model)
            if receipt.request_id in request_ids and receipt.has_body
        }


def list_public_keys(workspace: Workspace) -> list[str]:
    """Returns the keys that have signed receipts, and the one that signs here, each after those that were used before.

    The chain keeps them: what an earlier key has signed can be verified for ever.

    Raises:
        InputError: the signing key cannot be read, or there is none and no receipt either.
    """
    path = locate_signing_key(workspace.root)
    with open_ledger() as ledger:
        receipts = ledger.list_receipts(workspace.model)
    used = [receipt.entry.public_key for receipt in receipts]
    if not receipts or path.exists():
        used.append(_provide_key(workspace, receipts).public_key)
    return list(dict.fromkeys(reversed(used)))[::-1]


def renew_signing_key(workspace: Workspace) -> None:
    """Puts a new signing key into the place of the one that is there; raises as `provide_signing_key`."""
    replace_signing_key(locate_signing_key(workspace.root))


def tell_retention(workspace: Workspace, receipt: IssuedReceipt) -> datetime:
    """Returns until when the body of a receipt is kept."""
    return receipt.entry.issued_at + timedelta(days=workspace.params.receipts.retention_days)


def _provide_key(workspace: Workspace, issued: Sequence[IssuedReceipt]) -> SigningKey:
    """Returns the signing key; one is made for the first receipt alone: later ones are signed by a key that is known.

    Raises:
        InputError: it is not at hand.
    """
    path = locate_signing_key(workspace.root)
    return read_signing_key(path) if issued else provide_signing_key(path)


def _is_in_source(drafted: DraftedReceipt) -> bool:
    """Tells whether the person's files are still being deleted in the source: the receipt waits for that."""
    return drafted.erasure.source is not None and drafted.erasure.source.deleted_at is None


def _issue(workspace: Workspace, ledger: Ledger, key: SigningKey, drafted: DraftedReceipt, now: datetime) -> None:
    """Issues one receipt. Its key is there before its body is: killed in between, the key is used the next time."""
    # only here: what it reads takes long to import, and most commands only look at receipts
    from tasks.workspace.receipt_facts import compose_body

    model, nonce = workspace.model, draw_nonce()
    body = dump_body(compose_body(workspace, ledger, drafted, nonce))
    name = _name_key(workspace, drafted.request_id)
    sealed = seal_body(provide_named_key(open_vault(workspace.root), name), name, body, nonce)
    append = partial(_append, key, model, commit_to(body, nonce), now)
    ledger.add_receipt(model, drafted.request_id, sealed, append)


def _append(key: SigningKey, model: str, commitment: str, now: datetime, before: ChainEntry | None) -> ChainEntry:
    return append_entry(key, model, before, commitment, now)


def _destroy_bodies(workspace: Workspace, ledger: Ledger, now: datetime) -> tuple[int, int]:
    """Destroys what receipts say whose retention is over, and fingerprints likewise; returns how many of each.

    Keys go first, then what lay under them.
    """
    over = [
        receipt.request_id
        for receipt in ledger.list_receipts(workspace.model)
        if receipt.has_body and tell_retention(workspace, receipt) <= now
    ]
    vault = open_vault(workspace.root)
    if not over and not count_fingerprints(vault, now):
        return 0, 0
    check_rotation(vault)
    destroy_named_keys(vault, [_name_key(workspace, request_id) for request_id in over])
    num_fingerprints = destroy_fingerprints(vault, now)
    # else a backup of the key store would still have them
    rotate_kek(vault)
    ledger.empty_receipts(workspace.model, over, now)
    return len(over), num_fingerprints


def _name_key(workspace: Workspace, request_id: str) -> str:
    """Returns the name of a receipt's key: workspaces that share a key store may have requests of one number."""
    secret = load_secret(workspace.root)
    return f"receipt{MARK}{keyed_digest(secret, 'receipt', workspace.model.encode(), request_id.encode())}"
