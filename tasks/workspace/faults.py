"""What is wrong with a workspace: each fault with its remedy, and what mends it where that can be done by itself."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from amun.core.commands import tell_command
from amun.core.errors import AmunError, InputError
from amun.core.keys import load_secret
from amun.core.temporary import open_temporary
from amun.ledger.holder import tell_holder
from tasks.tools import registry
from tasks.tools.git import find_tagged, name_tag
from tasks.tools.registered import find_champion
from tasks.tools.sound import find_damage, mend
from tasks.tools.versions import CONSTRAINTS, list_other_versions
from tasks.workspace.alert_finding import find_silence
from tasks.workspace.alert_kinds import advise
from tasks.workspace.backup_age import tell_outdated
from tasks.workspace.clock import find_wrong_clocks
from tasks.workspace.fault import Check, Fault
from tasks.workspace.held_locks import find_stale_locks
from tasks.workspace.permissions import find_wrong_permissions
from tasks.workspace.receipt_check import check_receipts
from tasks.workspace.rot import mend_rot
from tasks.workspace.scrubbing import find_rot
from tasks.workspace.strays import find_strays, remove_strays
from tasks.workspace.weights import mend_weights
from tasks.workspace.workspace import Workspace, open_ledger

NUM_NAMED = 5  # packages


def find_faults(workspace: Workspace, checks: Sequence[Check]) -> list[Fault]:
    """Returns what these checks find wrong with a workspace, in their order, each thing once."""
    return list(_find(workspace, checks))


def mend_faults(workspace: Workspace, checks: Sequence[Check]) -> tuple[list[Fault], list[Fault]]:
    """Mends what can be mended, check by check; returns that, and what is left, with what stood in the way of it.

    Raises:
        InputError: a run is at work on the wave.
    """
    _require_idle(workspace)
    mended, left = [], []
    for fault in _find(workspace, checks):
        try:
            if fault.mend is None:
                left.append(fault)
            else:
                fault.mend()
                mended.append(fault)
        except AmunError as error:
            left.append(replace(fault, remedy=str(error), mend=None))
        except OSError as error:
            left.append(replace(fault, remedy=f"that could not be done: {error}", mend=None))
    return mended, left


def _find(workspace: Workspace, checks: Sequence[Check]) -> Iterator[Fault]:
    told = set[str]()  # what is away is away for several checks
    for check in checks:
        for fault in list(_run(check, workspace)):
            if fault.what not in told:
                told.add(fault.what)
                yield replace(fault, about=check.about)


def _run(check: Check, workspace: Workspace) -> Iterator[Fault]:
    """Yields what a check finds; that it could not be made is a fault as well, and hinders no other check."""
    try:
        yield from check.find(workspace)
    except AmunError as error:
        yield Fault(str(error), "see to that, then ask again: a check could not be made")
    except OSError as error:
        yield Fault(f"the check of {check.about}: {error}", "see to that, then ask again: a check could not be made")


def _require_idle(workspace: Workspace) -> None:
    with open_ledger() as ledger:
        wave = ledger.peek_wave(workspace.model, datetime.now(UTC))
    if wave is not None and not wave.is_abandoned:
        raise InputError(f"wave {wave.number} is being run by {tell_holder(wave.holder)}; mend when it has ended")


def _check_branch(workspace: Workspace) -> Iterator[Fault]:
    """Looks for files and tags of waves in commits that the pipeline has not made."""
    with open_ledger() as ledger:
        strays = find_strays(workspace.root, workspace.model, ledger)
    if strays:
        yield Fault(
            strays.describe(),
            "bring back what was recorded, in a commit of its own; the next wave does so too",
            partial(remove_strays, workspace.root, strays),
        )


def _check_tags(workspace: Workspace) -> Iterator[Fault]:
    """Compares the tags of complete waves with the commits that the ledger has of them."""
    with open_ledger() as ledger:
        waves = [wave for wave in ledger.list_waves(workspace.model) if wave.state == "complete"]
    for wave in waves:
        tag = name_tag(wave.number)
        if (tagged := find_tagged(workspace.root, tag)) is not None and tagged != wave.commit:
            recorded = str(wave.commit)
            yield Fault(
                f"the tag {tag} is on commit {tagged[:12]}, and wave {wave.number} is recorded in {recorded[:12]}",
                f"see who has moved it, then type {tell_command('git', 'tag', '--force', tag, recorded)}",
            )


def _check_data(workspace: Workspace) -> Iterator[Fault]:
    """Compares the files that DVC keeps, and the cache's copies of them, with their digests."""
    root = workspace.root
    for damage in find_damage(root, in_cache=True):
        yield Fault(
            damage.describe(root),
            "take a sound copy from the cache, the work tree or the DVC remote; the next wave does so too",
            partial(mend, root, damage),
        )


def _check_champion(workspace: Workspace) -> Iterator[Fault]:
    """Compares the champion's weights in the registry with what was registered."""
    root, secret, champion = workspace.root, load_secret(workspace.root), find_champion(workspace.model)
    if champion is None:
        return
    with open_temporary() as folder:
        try:
            registry.fetch_weights(champion, Path(folder) / registry.WEIGHTS, secret)
        except registry.DamagedWeightsError as error:
            yield Fault(
                str(error),
                "give them back from DVC; the next wave does so too",
                partial(mend_weights, root, champion, secret, error),
            )


def _check_receipts(workspace: Workspace) -> Iterator[Fault]:
    """Looks whether all receipts of erasure are there, as they were issued."""
    for fault in check_receipts(workspace).faults:
        yield Fault(fault.what, fault.remedy)


def _check_backup(workspace: Workspace) -> Iterator[Fault]:
    """Looks whether the last backup, where one was taken, can still be opened, and no old copy of its key is left."""
    if told := tell_outdated(workspace.root):
        yield Fault(told, "type `amun backup` with the same --kek-to, and so after each night that changes that key")


def _check_copies(workspace: Workspace) -> Iterator[Fault]:
    """Reads the part of cache and remotes that the next night reads again."""
    found, unread = find_rot(workspace, datetime.now(UTC).date())
    for rot in found:
        yield Fault(
            rot.describe(),
            "take a sound copy from the cache, a DVC remote or the work tree; the night that comes to it does so too",
            partial(mend_rot, workspace, rot),
        )
    for line in unread:
        yield Fault(line, "see that it can be read, then ask again")


def _check_versions(workspace: Workspace) -> Iterator[Fault]:
    """Compares the packages with those that were tested together."""
    constraints = workspace.root / CONSTRAINTS
    others = list_other_versions(constraints) if constraints.exists() else []
    if others:
        more = f" and {len(others) - NUM_NAMED} more" if len(others) > NUM_NAMED else ""
        yield Fault(
            f"packages are not of the versions that were tested together ({CONSTRAINTS} has those in brackets): "
            f"{', '.join(others[:NUM_NAMED])}{more}",
            "type `make setup`, or change the pins and run the tests",
        )


def _check_nights(workspace: Workspace) -> Iterator[Fault]:
    """Looks whether nights come."""
    with open_ledger() as ledger:
        for alert in find_silence(workspace, ledger, datetime.now(UTC)):
            yield Fault(alert.line, advise(alert.kind, alert.object))


# first what looks at locks: whoever opens DVC removes what is torn
OF_MACHINE: tuple[Check, ...] = (
    Check("locks", find_stale_locks),
    Check("versions", _check_versions),
    Check("clock", find_wrong_clocks),
    Check("permissions", find_wrong_permissions),
    Check("schedule", _check_nights),
)
OF_CONTENT: tuple[Check, ...] = (
    Check("branch", _check_branch),
    Check("branch", _check_tags),
    Check("copies", _check_data),
    Check("copies", _check_copies),
    Check("champion", _check_champion),
    Check("receipts", _check_receipts),
    Check("backup", _check_backup),
)
