"""What is wrong with a workspace: each fault with its remedy, and what mends it where that can be done by itself.

A check is a function that looks at one thing and changes nothing; `CHECKS` lists them all.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
from tasks.workspace.backup_age import tell_outdated
from tasks.workspace.receipt_check import check_receipts
from tasks.workspace.strays import find_strays, remove_strays
from tasks.workspace.weights import mend_weights
from tasks.workspace.workspace import Workspace, open_ledger

Check = Callable[[Workspace], "Iterator[Fault]"]


@dataclass(frozen=True)
class Fault:
    """Something that is wrong.

    Attributes:
        what: in one line.
        remedy: what mends it, in words that follow "to mend it".
        mend: does that; None where a person has to.
    """

    what: str
    remedy: str
    mend: Callable[[], object] | None = None


def find_faults(workspace: Workspace) -> list[Fault]:
    """Returns what is wrong with a workspace, checked in the order of `CHECKS`."""
    return [fault for check in CHECKS for fault in _run(check, workspace)]


def mend_faults(workspace: Workspace) -> tuple[list[Fault], list[Fault]]:
    """Mends what can be mended, check by check; returns that, and what is left, with what stood in the way of it.

    Raises:
        InputError: a run is at work on the wave.
    """
    _require_idle(workspace)
    mended, left = [], []
    for check in CHECKS:
        for fault in list(_run(check, workspace)):
            try:
                if fault.mend is None:
                    left.append(fault)
                else:
                    fault.mend()
                    mended.append(fault)
            except AmunError as error:
                left.append(Fault(fault.what, str(error)))
    return mended, left


def _run(check: Check, workspace: Workspace) -> Iterator[Fault]:
    """Yields what a check finds; that it could not be made is a fault as well, and hinders no other check."""
    try:
        yield from check(workspace)
    except AmunError as error:
        yield Fault(str(error), "see to that, then ask again: a check could not be made")


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


CHECKS: tuple[Check, ...] = (_check_branch, _check_tags, _check_data, _check_champion, _check_receipts, _check_backup)
