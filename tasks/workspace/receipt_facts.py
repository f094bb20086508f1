"""What a receipt of erasure says: counted before a person's keys are destroyed, gathered once the person is erased."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import amun
from amun.core.errors import AmunError
from amun.core.keys import load_secret, subject_keys
from amun.core.paths import ADVERSARIAL, CALIBRATION, HELD_OUT_ADVERSARIAL, TEST, TRAIN, UNLEARNED
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
    ReceiptBody,
    Software,
    Source,
)
from amun.ledger import DraftedReceipt, Ledger, PlannedErasure, SourceDeletion
from amun.receipts.statement import name_subject
from amun.vault.vault import Vault
from tasks.tools.digests import compute_md5
from tasks.tools.git import name_tag, run_git
from tasks.workspace.history import find_naming_at
from tasks.workspace.receipt_limits import list_limits
from tasks.workspace.workspace import Workspace

if TYPE_CHECKING:
    from tasks.workspace.learned import LearnedVersion
    from tasks.workspace.store_files import Locks

_KINDS: dict[Path, HeldKind] = {
    TRAIN: "training sample",
    CALIBRATION: "held-out sample",
    TEST: "held-out sample",
    ADVERSARIAL: "adversarial example",
    HELD_OUT_ADVERSARIAL: "adversarial example",
}  # what is not here are the answers of reference models
_WHERE = (
    "the key store of the workspace; the key-encryption key over it was changed afterwards, so that copies of the key "
    "store from before open only with a copy of the key-encryption key from before"
)


@dataclass
class _Share:
    """What files have of one person and of one kind."""

    sample_ids: set[str] = field(default_factory=set)
    num_files: int = 0


_Shares = dict[str, dict[HeldKind, _Share]]  # by person


def draft_receipts(
    workspace: Workspace,
    ledger: Ledger,
    vault: Vault,
    begun: Sequence[PlannedErasure],
    locks: "Locks",
    learned: Mapping[str, Sequence["LearnedVersion"]],
) -> None:
    """Keeps in the ledger what is held of these people, before their keys are destroyed; a draft stays what it is.

    Args:
        workspace: whose work tree and DVC cache are looked into.
        ledger: keeps it.
        vault: has their keys.
        begun: their erasures.
        locks: the outputs of all waves.
        learned: which versions have learned each of them, by the request.

    Raises:
        AmunError: ledger or key store does not answer.
    """
    missing = ledger.find_undrafted(workspace.model, [one.request_id for one in begun])
    waiting = [one for one in begun if one.request_id in missing]
    if not waiting:
        return
    people = {one.subject_id for one in waiting}
    num_keys = Counter(normalise(name) for name in vault.find_names(people).values())
    shares, num_unread = _count_shares(workspace.root, people, locks)
    drafts = {}
    for one in waiting:
        holding, _ = ledger.find_holding(workspace.model, one.subject_id)
        held = Held(
            num_train=None if holding is None else holding.num_train,
            num_held_out=None if holding is None else holding.num_held_out,
            in_files=tuple(
                HeldSamples(kind=kind, num_samples=len(share.sample_ids), num_files=share.num_files)
                for kind, share in shares[normalise(one.subject_id)].items()
            ),
            num_unread_files=num_unread,
        )
        is_late = one.erasure.keys_destroyed_at is not None
        drafts[one.request_id] = Draft(
            held=held,
            # none is left where another model of this key store has erased the person before
            num_keys=None if is_late else num_keys[normalise(one.subject_id)] or None,
            weights=tuple(
                LearnedWeights(
                    version=str(version.number),
                    md5=version.md5,
                    is_sealed=version.is_sealed,
                    erased_before=version.erased_at,
                )
                for version in learned.get(one.request_id, ())
            ),
        )
    ledger.draft_receipts(workspace.model, drafts)


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
        source=_describe_source(erasure.source),
        scan=drafted.draft.scan,
    )
    return ReceiptBody(
        request=request.request_id,
        received_at=request.received_at,
        due_at=request.due_at,
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
    )


def _read_sha256(root: Path, md5: str | None) -> str | None:
    """Returns the SHA-256 of a content that the DVC cache has; None where it has not."""
    from tasks.tools.contents import find_cached

    return next((digest_file(path) for path in find_cached(root, {md5} if md5 else ()).values()), None)


def _count_shares(root: Path, people: set[str], locks: "Locks") -> tuple[_Shares, int]:
    """Returns what the files at hand have of these people, and how many files could not be read.

    Whoever can no longer be opened stands in a sealed file by a keyed id.
    """
    from amun.store.store import read_owners

    secret = load_secret(root)
    person_of = {name: normalise(person) for person in people for name in (person, *subject_keys(secret, person))}
    shares: _Shares = defaultdict(lambda: defaultdict(_Share))
    num_unread = 0
    for path, where in _list_files(root, locks):
        try:
            owners = read_owners(where)
        except AmunError:
            num_unread += 1  # a damaged file does not keep anybody from being erased
            continue
        found: Mapping[str, set[str]] = _group(owners.sample_ids.tolist(), owners.subject_ids.tolist(), person_of)
        for person, sample_ids in found.items():
            share = shares[person][_KINDS.get(path, "answer of reference models")]
            share.sample_ids |= sample_ids
            share.num_files += 1
    return shares, num_unread


def _group(sample_ids: Sequence[str], names: Sequence[str], person_of: Mapping[str, str]) -> dict[str, set[str]]:
    """Returns the ids of the samples of each of these people."""
    found: dict[str, set[str]] = defaultdict(set)
    for sample_id, name in zip(sample_ids, names, strict=True):
        if (person := person_of.get(name) or person_of.get(normalise(name))) is not None:
            found[person].add(sample_id)
    return found


def _list_files(root: Path, locks: "Locks") -> Iterator[tuple[Path, Path]]:
    """Yields each content of a store file that work tree or DVC cache has: its name in the workspace, and a copy."""
    from tasks.tools.contents import find_cached
    from tasks.workspace.store_files import CONTENT, gather

    contents = gather(locks, CONTENT)
    cached = find_cached(root, {md5 for _, md5 in contents})
    for name, md5 in contents:
        if md5 in cached:
            yield Path(name), cached[md5]
    for path in CONTENT:
        if (present := compute_md5(root / path)) is not None and present not in cached:
            yield path, root / path
