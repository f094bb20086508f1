"""What a receipt of erasure says: counted before a person's keys are destroyed, gathered once the person is erased."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import amun
from amun.core.errors import AmunError
from amun.core.paths import UNLEARNED
from amun.core.subject_ids import normalise
from amun.evidence.adoption import digest_file, read_adopted
from amun.evidence.attempts import Summary
from amun.evidence.receipt import (
    Destruction,
    Draft,
    Forgetting,
    Held,
    HeldKind,
    HeldSamples,
    LearnedWeights,
    LeftFiles,
    ReceiptBody,
    Software,
    Source,
    Term,
)
from amun.ledger import DraftedReceipt, Holding, Ledger, PlannedErasure, Request, SourceDeletion
from amun.receipts.statement import name_subject
from amun.vault.vault import Vault
from amun.vault.wrapping import SubjectKey
from tasks.tools.git import name_tag, run_git
from tasks.workspace.held_shares import Share, count_shares
from tasks.workspace.history import find_naming_at
from tasks.workspace.receipt_limits import list_limits
from tasks.workspace.workspace import Workspace

if TYPE_CHECKING:
    from tasks.workspace.learned import LearnedVersion
    from tasks.workspace.store_files import Locks

_WHERE = (
    "the key store of the workspace; the key-encryption key over it was changed afterwards, so that copies of the key "
    "store from before open only with a copy of the key-encryption key from before"
)


def draft_receipts(
    workspace: Workspace,
    ledger: Ledger,
    vault: Vault,
    begun: Sequence[PlannedErasure],
    locks: "Locks",
    learned: Mapping[str, Sequence["LearnedVersion"]],
    left_files: LeftFiles,
) -> None:
    """Keeps in the ledger what is held of these people, before their keys are destroyed; a draft stays what it is.

    Args:
        workspace: whose work tree and DVC cache are looked into.
        ledger: keeps it.
        vault: has their keys.
        begun: their erasures.
        locks: the outputs of all waves.
        learned: which versions have learned each of them, by the request.
        left_files: of weights of no version that have learned some of them, or of which that is not known.

    Raises:
        AmunError: ledger or key store does not answer.
    """
    missing = ledger.find_undrafted(workspace.model, [one.request_id for one in begun])
    waiting = [one for one in begun if one.request_id in missing]
    if not waiting:
        return
    people = {one.subject_id for one in waiting}
    names = vault.find_names(people)
    keys: dict[str, list[SubjectKey]] = defaultdict(list)
    for subject, key in vault.find_keys(names).items():
        keys[normalise(names[subject])].append(key)
    shares, num_unread = count_shares(workspace.root, people, locks, keys)
    drafts = {}
    for one in waiting:
        person = normalise(one.subject_id)
        holding, _ = ledger.find_holding(workspace.model, one.subject_id)
        is_late = one.erasure.keys_destroyed_at is not None
        drafts[one.request_id] = Draft(
            held=_describe_held(holding, shares[person], num_unread),
            # none is left where another model of this key store has erased the person before
            num_keys=None if is_late else len(keys[person]) or None,
            weights=tuple(map(_describe_learned, learned.get(one.request_id, ()))),
            left_files=left_files,
        )
    ledger.draft_receipts(workspace.model, drafts)


def _describe_held(holding: Holding | None, shares: Mapping[HeldKind, Share], num_unread: int) -> Held:
    return Held(
        num_train=None if holding is None else holding.num_train,
        num_held_out=None if holding is None else holding.num_held_out,
        in_files=tuple(
            HeldSamples(kind=kind, num_samples=len(share.sample_ids), num_files=share.num_files)
            for kind, share in shares.items()
        ),
        num_unread_files=num_unread,
    )


def _describe_learned(version: "LearnedVersion") -> LearnedWeights:
    return LearnedWeights(
        version=str(version.number), md5=version.md5, is_sealed=version.is_sealed, erased_before=version.erased_at
    )


def compose_body(workspace: Workspace, ledger: Ledger, drafted: DraftedReceipt, nonce: str) -> ReceiptBody:
    """Returns what the receipt of somebody who is erased says.

    Args:
        workspace: whose model has forgotten the person.
        ledger: has the request and the wave.
        drafted: what was known before.
        nonce: of the receipt, under which it names the person.

    Raises:
        AmunError: the ledger does not answer, or git cannot be read.
    """
    root, model = workspace.root, workspace.model
    request = ledger.get_request(drafted.request_id)
    erasure, forgetting = drafted.erasure, _describe_wave(root, ledger, model, drafted.wave_number)
    if erasure.started_at is None or erasure.keys_destroyed_at is None or erasure.erased_at is None:
        raise AmunError(f"{drafted.request_id} is not erased, and gets no receipt yet")
    drawn = ledger.find_drawn(model)
    destroyed = Destruction(
        begun_at=erasure.started_at,
        keys_destroyed_at=erasure.keys_destroyed_at,
        erased_at=erasure.erased_at,
        num_keys=drafted.draft.num_keys,
        where=_WHERE,
        weights=drafted.draft.weights,
        left_files=drafted.draft.left_files,
        source=_describe_source(erasure.source),
        scan=drafted.draft.scan,
    )
    return ReceiptBody(
        request=request.request_id,
        received_at=request.received_at,
        due_at=request.due_at,
        term=_describe_term(request),
        model=model,
        subject=name_subject(nonce, request.subject_id),
        held=drafted.draft.held,
        forgotten=forgetting,
        destroyed=destroyed,
        reproduction=ledger.find_reproduction(model, drafted.wave_number),
        drawn=drawn,
        software=Software(version=amun.__version__, commit=run_git(root, "rev-parse", "HEAD")),
        limits=tuple(list_limits(forgetting, destroyed, _name_adopted(root), drawn)),
    )


def _describe_term(request: Request) -> Term:
    if (put_off := request.extension) is None:
        return Term(law=request.law)
    # the reason stays here: it may name others
    return Term(law=request.law, extended_at=put_off.extended_at, due_before=put_off.due_before)


def _name_adopted(root: Path) -> str:
    """Returns where the base was adopted from; empty for one that was trained here."""
    adopted = read_adopted(root)
    return "" if adopted is None else adopted.source


def _describe_source(source: SourceDeletion | None) -> Source | None:
    if source is None or source.deleted_at is None:
        return None
    return Source(deleted_at=source.deleted_at, left=source.left)


def _describe_wave(root: Path, ledger: Ledger, model: str, number: int) -> Forgetting:
    from tasks.workspace.store_files import read_lock

    wave = ledger.get_wave(model, number)
    if wave.closed_at is None or wave.commit is None or wave.version is None:
        raise AmunError(f"wave {number} of {model} is not complete in the ledger; `amun wave show {number}` shows it")
    summary = wave.summary or Summary()
    data = dict(read_lock(root, wave.commit))
    weights = data.pop(str(UNLEARNED), None)
    return Forgetting(
        wave=number,
        closed_at=wave.closed_at,
        tag=name_tag(number),
        commit=wave.commit,
        version=wave.version,
        weights_md5=weights,
        weights_sha256=_read_sha256(root, weights),
        data_md5=data,
        samples_named_by=find_naming_at(root, wave.commit),
        method=summary.method,
        attempt=summary.attempt,
        reason=next((made.reason for made in summary.decisions if made.passed), ""),
        calibration=summary.calibration,
        test=summary.test,
        num_canaries=summary.num_canaries,
    )


def _read_sha256(root: Path, md5: str | None) -> str | None:
    """Returns the SHA-256 of a content that the DVC cache has; None where it has not."""
    from tasks.tools.contents import find_cached

    return next((digest_file(path) for path in find_cached(root, {md5} if md5 else ()).values()), None)
