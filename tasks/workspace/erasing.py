"""Erases people whom a wave has forgotten: their keys are destroyed, and nothing sealed under them opens again.

In the same moment the keys go under which the weights lie of all models that have learned them and not forgotten, and
they are put on the suppression list, so that the next load of the data does not bring them back. Then their files go
in the source, where that is wanted, and they get a receipt.

The ledger records each step; each can be repeated, and whatever was begun is ended by the next call. Who is erased is
told by ids of requests: a night's log names nobody.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from amun.core.counts import tell_count
from amun.core.errors import AmunError, InputError, join_lines, withhold_names
from amun.core.log import tell_event
from amun.core.subject_ids import normalise
from amun.evidence.receipt import LeftFiles
from amun.ledger import Ledger, PlannedErasure
from amun.ledger.consumers import tell_holding, tell_remembering
from amun.ledger.erasures import tell_erased
from amun.vault.rotation import check_rotation, rotate_kek
from amun.vault.vault import Vault, open_vault
from tasks.workspace.receipt_facts import draft_receipts
from tasks.workspace.receipts import Kept, keep_receipts
from tasks.workspace.source_deletion import NOTHING_DELETED, Deletion, delete_from_source, tell_deletion
from tasks.workspace.workspace import Workspace, hold_stages, open_ledger

if TYPE_CHECKING:
    from amun.evidence.scan import ScanRecord
    from amun.vault.sealed_weights import PlainFile
    from tasks.tools.registry_left import LeftFile
    from tasks.workspace.learned import Learned
    from tasks.workspace.left_weights import LeftWeights
    from tasks.workspace.store_files import Locks


@dataclass(frozen=True)
class Erased:
    """What a call has done.

    Attributes:
        erased: whom it has erased.
        held_up: whom something else holds up.
        unfinished: whose keys are destroyed, and who are not erased yet; each with the places in which they can be
            read, none where a place could not be read whole.
        versions: numbers of the versions whose weights went from MLflow.
        copies: versions of other models there that were copies of these, and went with them.
        num_left: files of weights there that belonged to no version any more, and went.
        unknown: what there is to tell of weights there of which nobody knows whom they have learned; else empty.
        in_clear: places in which files of erased weights lie in clear, with how many; that holds nobody up.
        unread: places that could not be read whole, so that nobody is erased yet of those whose keys are destroyed.
        scans: what was found of whom, by request, once the keys were destroyed; empty where `erasure.scan` says not to.
        unlisted: why it is not known whether the suppression list has their pictures, all and no others; else empty.
        deletion: what was done in the source of the data.
        undeleted: why nothing could be done there, if so.
        receipts: what was done about receipts of erasure.
        unissued: why receipts are not issued, or their chain could not be brought into git; else empty.
    """

    erased: list[PlannedErasure]
    held_up: list[PlannedErasure]
    unfinished: list[tuple[PlannedErasure, list[str]]]
    versions: tuple[int, ...] = ()
    copies: tuple[str, ...] = ()
    num_left: int = 0
    unknown: str = ""
    in_clear: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    scans: Mapping[str, "ScanRecord"] = field(default_factory=dict)
    unlisted: str = ""
    deletion: Deletion = NOTHING_DELETED
    undeleted: AmunError | None = None
    receipts: Kept = field(default_factory=Kept)
    unissued: str = ""


def erase(workspace: Workspace, *, at_once: bool = False, subjects: Collection[str] | None = None) -> Erased:
    """Erases everybody who is due and whom nothing holds up, and ends what an earlier call has begun.

    Each gets a receipt. What keeps it from being issued keeps nobody from being erased: the next call issues it.

    Args:
        workspace: whose model has forgotten them.
        at_once: does not wait for the end of the waiting days.
        subjects: nobody else is begun with.

    Raises:
        InputError: a subject is none of those who are to be erased; the keys are not at hand, or cannot be changed.
        AmunError: ledger or key store does not answer, or a file cannot be looked into.
    """
    done = _erase_people(workspace, at_once, subjects)
    for one in done.erased:
        tell_event("erased", model=one.model, request=one.request_id)
    try:
        with withhold_names():
            done = replace(done, deletion=delete_from_source(workspace))
    except AmunError as error:
        done = replace(done, undeleted=error)
    # last, for a receipt tells of all that was destroyed
    try:
        return replace(done, receipts=keep_receipts(workspace, datetime.now(UTC)))
    except AmunError as error:
        return replace(done, unissued=str(error))


def _erase_people(workspace: Workspace, at_once: bool, subjects: Collection[str] | None) -> Erased:
    model = workspace.model
    with hold_stages(workspace), open_ledger() as ledger:
        planned = ledger.plan_erasures(model, now=datetime.now(UTC), at_once=at_once, subjects=subjects)
        if all(one.held_up_by for one in planned):
            return Erased([], planned, [])
        # only here: MLflow takes a second to import, and most nights erase nobody
        from tasks.workspace.left_weights import tell_unknown
        from tasks.workspace.traces import erase_traces

        vault = open_vault(workspace.root)
        # before anything is begun that nothing can stop
        check_rotation(vault)
        # whoever was erased before there was a list, or by another workspace of this ledger, is on it, too
        vault.suppress_people(ledger.list_erased())
        commits = {wave.number: wave.commit for wave in ledger.list_waves(model) if wave.commit is not None}
        locks = _read_locks(workspace, commits)
        # while it can still be refused: the registry does not answer, or has another champion than the last wave's
        due = [one for one in planned if not one.held_up_by]
        learned, left = _find_weights(workspace, vault, due, commits)
        found = ledger.start_erasures(model, now=datetime.now(UTC), at_once=at_once, subjects=subjects)
        begun = [one for one in found if one.erasure.started_at is not None]
        pictures, unlisted = _list_pictures(workspace, {one.subject_id for one in begun}, commits, locks)
        # somebody was put on hold, or came to be due, in between
        if {one.request_id for one in begun} != {one.request_id for one in due}:
            learned, left = _find_weights(workspace, vault, begun, commits)
        left_files = LeftFiles(num_erased=len(left.learned), num_unknown=len(left.unknown))
        draft_receipts(workspace, ledger, vault, begun, locks, learned.by_request, left_files)
        _keep_fingerprints(workspace, vault, {one.subject_id for one in begun}, locks)
        _keep_weights(workspace, vault, learned.key_ids)
        is_unfinished = bool(learned.versions or left.learned)
        _destroy_keys(ledger, vault, model, begun, pictures, learned.key_ids, is_unfinished=is_unfinished)
        copies = _erase_versions(workspace, vault, learned.versions, left.learned)
        erase_traces(workspace.root)
        readable = _find_places(workspace, vault, {one.subject_id for one in begun}, locks)
        unread, in_clear, scans = _scan(workspace, begun, readable)
        ledger.note_scans(model, {one.request_id: scans.get(one.request_id) for one in begun})
        erased = [one for one in begun if one.subject_id not in readable and not unread]
        ledger.finish_erasures(model, [one.request_id for one in erased], datetime.now(UTC))
    return Erased(
        erased,
        [one for one in found if one.erasure.started_at is None],
        [(one, readable.get(one.subject_id, [])) for one in begun if one not in erased],
        learned.versions,
        copies,
        len(left.learned),
        tell_unknown(left.unknown),
        in_clear,
        unread,
        scans,
        unlisted,
    )


def _find_weights(
    workspace: Workspace, vault: Vault, people: Sequence[PlannedErasure], commits: Mapping[int, str]
) -> tuple["Learned", "LeftWeights"]:
    """Returns what has learned these people: versions and keys of weights, and MLflow's files of no version."""
    from tasks.workspace.learned import find_learned
    from tasks.workspace.left_weights import find_left_weights

    return find_learned(workspace, vault, people, commits), find_left_weights(workspace, vault, people, commits)


def _list_pictures(
    workspace: Workspace, people: Collection[str], commits: Mapping[int, str], locks: "Locks"
) -> tuple[set[bytes], str]:
    """Returns the digests of what these people's pictures show, and why that may not be right, if there is a reason.

    Damaged files do not keep anybody from being erased: the list is against mishaps, the keys are what is asked for.
    """
    from tasks.workspace.suppressing import find_own_pictures

    try:
        return find_own_pictures(workspace, people, commits, locks)
    except AmunError as error:
        return set(), str(error)


def _keep_fingerprints(workspace: Workspace, vault: Vault, people: Collection[str], locks: "Locks") -> None:
    """Keeps by what copies of these people's samples can be looked for, once nobody can read the samples any more."""
    from tasks.workspace.fingerprinting import keep_fingerprints

    keep_fingerprints(workspace, vault, {normalise(person) for person in people}, locks, datetime.now(UTC))


def _keep_weights(workspace: Workspace, vault: Vault, key_ids: Collection[str]) -> None:
    """Keeps by what copies in clear of these keys' weights are looked for, once the keys and their notes are gone."""
    from tasks.workspace.erased_weights import keep_erased_weights, list_plain

    keep_erased_weights(workspace, vault, list_plain(vault, workspace.model, key_ids), datetime.now(UTC))


def _destroy_keys(
    ledger: Ledger,
    vault: Vault,
    model: str,
    begun: Sequence[PlannedErasure],
    pictures: Collection[bytes],
    of_weights: Collection[str],
    *,
    is_unfinished: bool,
) -> None:
    """Destroys the keys of these people and of the weights, and the key-encryption key that a backup may have.

    A call before may have been killed between the two: then it is unfinished, MLflow still has what lay in clear.
    """
    num_keys = vault.destroy_keys([one.subject_id for one in begun], pictures, of_weights)
    # not again and again for somebody of whom a copy in clear is left
    if num_keys or is_unfinished or any(one.erasure.keys_destroyed_at is None for one in begun):
        rotate_kek(vault)
    ledger.record_destroyed(model, [one.request_id for one in begun], datetime.now(UTC))


def _erase_versions(
    workspace: Workspace, vault: Vault, versions: Sequence[int], left: Sequence["LeftFile"]
) -> tuple[str, ...]:
    """Removes the weights of these versions from MLflow, where the model that serves lies in clear, and what is left.

    By what its copies can be looked for is kept before. Returns which versions of other models were copies of them.
    """
    if not (versions or left):
        return ()
    # only here: MLflow takes a second to import
    from tasks.workspace.erased_weights import keep_erased_weights
    from tasks.workspace.left_weights import erase_registered

    def keep(served: "PlainFile") -> None:
        keep_erased_weights(workspace, vault, [served], datetime.now(UTC))

    return erase_registered(workspace.model, versions, left, keep)


def _find_places(workspace: Workspace, vault: Vault, people: Collection[str], locks: "Locks") -> dict[str, list[str]]:
    """Returns where samples of these people can still be opened: by person, the places in words.

    The key store, the work tree's files and what the DVC cache of this clone has in clear are looked into. What is
    sealed there opens with no key that is not in the key store.
    """
    # only here: PyTorch takes seconds to import, and most nights erase nobody
    from amun.store.store import find_readable
    from tasks.workspace.store_files import CONTENT, find_in_clear

    found: dict[str, list[str]] = defaultdict(list)
    for name in vault.find_names(people).values():
        found[normalise(name)].append(f"a key in {vault.store.name}")
    checked_out = {str(path): workspace.root / path for path in CONTENT if (workspace.root / path).exists()}
    for place, path in (checked_out | find_in_clear(workspace.root, locks)).items():
        for person in find_readable(path, people):
            found[person].append(place)
    return dict(found)


def _scan(
    workspace: Workspace, begun: Sequence[PlannedErasure], readable: dict[str, list[str]]
) -> tuple[tuple[str, ...], tuple[str, ...], dict[str, "ScanRecord"]]:
    """Looks for copies where this software alone writes on this machine: the last step before somebody is erased.

    Args:
        workspace: whose places.
        begun: whose keys are destroyed.
        readable: takes the places in which somebody's copies lie, by person.

    Returns:
        The places that could not be read whole, those in which erased weights lie in clear, and what was found of
        whom, by request.

    Raises:
        AmunError: the places could not be listed.
    """
    if not begun or not workspace.params.erasure.scan:
        return (), (), {}
    # only here: most nights erase nobody
    from tasks.workspace.erased_weights import read_erased_weights
    from tasks.workspace.scanning import choose_targets, record_scan, scan

    people = {normalise(one.subject_id): one for one in begun}
    targets = choose_targets(workspace, list(people), before=False)
    found = scan(workspace, targets, only_own=True, files=read_erased_weights(workspace))
    for target in targets:
        person = people[normalise(target.subject_id)].subject_id
        places = [
            f"{place.place} ({place.readable[target.label]})" for place in found.places if place.readable[target.label]
        ]
        if places:
            readable[person] = [*readable.get(person, []), *places]
    records = {target.label: record_scan(found, target, datetime.now(UTC)) for target in targets}
    # an earlier release wrote weights in clear: whoever they remember would else be held up by what nothing removes
    in_clear = tuple(f"{place.place} ({place.files.total()})" for place in found.places if place.files)
    return tuple(place.place for place in found.places if place.problems), in_clear, records


def _read_locks(workspace: Workspace, commits: Mapping[int, str]) -> "Locks":
    """Returns the outputs of all waves, whose copies are to be looked for.

    Raises:
        InputError: waves or samples are not at hand: where nothing is looked at nothing is found.
    """
    from tasks.workspace.store_files import explain_missing, require_locks

    locks = require_locks(workspace.root, commits)
    if missing := explain_missing(workspace.root):
        raise InputError(missing)
    return locks


def erase_due(workspace: Workspace) -> list[str]:
    """Erases whoever is due, as the last part of a night, and returns what there is to tell; a failure is told, too.

    However the wave has ended, it stays so. What failed is tried again the next night.
    """
    try:
        done = erase(workspace)
        with open_ledger() as ledger:
            consumers = ledger.list_consumers(workspace.model, datetime.now(UTC))
    except Exception as error:  # whatever it is, the night has its own outcome to tell
        reason = join_lines(error) or type(error).__name__
        return [f"warning: erasure is not finished: {reason}; the next night goes on with it"]
    lines = []
    if done.erased:
        lines.append(f"erased: {tell_count(len(done.erased), 'request')}, and the key-encryption key was changed")
    lines += tell_versions(done)
    if done.unknown:
        lines.append(f"warning: {done.unknown}")
    if done.in_clear:
        lines.append(f"warning: {tell_in_clear(done)}")
    if with_copies := [one for one, places in done.unfinished if places]:
        people = tell_count(len(with_copies), "request")
        lines.append(f"warning: the people of {people} can still be read; `amun erase run` says where")
    if done.unread:
        people = tell_count(len(done.unfinished), "request is", "requests are")
        lines.append(
            f"warning: the people of {people} not erased yet, for {', '.join(done.unread)} could not be read whole; "
            "`amun erase verify` says what"
        )
    if done.unlisted:
        lines.append(f"warning: {tell_unlisted(done)}")
    lines += tell_deletion(done.deletion)
    if done.undeleted:
        lines.append(f"warning: files of erased people are not deleted in the source yet: {done.undeleted}")
    if done.unissued:
        lines.append(f"warning: receipts are not finished: {done.unissued}; the next night goes on with them")
    lines += tell_kept(done.receipts)
    return lines + [f"warning: {line}" for line in [*tell_holding(consumers), *tell_remembering(consumers)]]


def tell_versions(done: Erased) -> list[str]:
    """Returns the weights of which versions a call has erased, in a line; none where there are none."""
    numbers = ", ".join(map(str, done.versions))
    versions = f"the weights of version{'s' if len(done.versions) > 1 else ''} {numbers}" if done.versions else ""
    left = f"{tell_count(done.num_left, 'file')} of weights of no version any more" if done.num_left else ""
    copies = f", and with them their copies {', '.join(done.copies)}" if done.copies else ""
    erased = " and ".join(filter(None, [versions, left]))
    return [f"erased: {erased}, which had learned people{copies}"] if erased else []


def tell_in_clear(done: Erased) -> str:
    """Returns where files of erased weights were found that anybody can read."""
    places = ", ".join(done.in_clear)
    return f"weights of an erased model lie in clear: {places}; `amun erase verify` names the files to remove"


def tell_unlisted(done: Erased) -> str:
    """Returns what a call could not look into for the suppression list."""
    return (
        "the suppression list has the names of these people; some of their pictures may be missing on it, or be "
        f"others' too: {done.unlisted}"
    )


def tell_kept(kept: Kept) -> list[str]:
    """Returns what there is to tell of receipts, besides that they were issued."""
    receipts = f"what {tell_count(kept.num_destroyed, 'receipt')} said" if kept.num_destroyed else ""
    fingerprints = tell_count(kept.num_fingerprints, "fingerprint") if kept.num_fingerprints else ""
    destroyed = [what for what in (receipts, fingerprints) if what]
    told = f"destroyed: {', '.join(destroyed)}, and the key-encryption key was changed"
    return [*([told] if destroyed else []), *([kept.unsent] if kept.unsent else [])]


def describe_erased(model: str, first_wave: int) -> str:
    """Returns since when people are erased whom this wave or a later one has forgotten, in words that name nobody."""
    with open_ledger() as ledger:
        waves = [wave.number for wave in ledger.list_waves(model) if wave.number >= first_wave]
        erased = ledger.find_erased(model, waves, datetime.now(UTC))
    return tell_erased(erased) if erased else "erased: the key store has no key of theirs"
