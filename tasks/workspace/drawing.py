"""A wave is drawn and run again: by a value that its operator does not choose, and by what git has.

Ledger and key store have no part in which wave it is, so that whoever has the repository comes to the same one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from amun.core.counts import tell_count
from amun.core.errors import AmunError, InputError
from amun.core.paths import RECEIPT_CHAIN, WAVE
from amun.evidence.receipt import Draw
from amun.receipts.chain import parse_chain
from amun.receipts.drawing import find_false, list_heads, rank_waves
from tasks.tools.git import has_commit, is_ancestor, name_tag, read_committed, run_git
from tasks.workspace.clear_waves import ClearedWaveError, refuse_cleared
from tasks.workspace.history import is_cut, require_history
from tasks.workspace.recorded import find_untagged, list_recorded
from tasks.workspace.workspace import Workspace


@dataclass(frozen=True)
class Lot:
    """What is drawn from: the state of a branch.

    Attributes:
        commit: of the branch.
        head: of the chain of receipts there.
        commits: of each wave that has forgotten people, by its number.
    """

    commit: str
    head: str
    commits: Mapping[int, str]


def read_lot(workspace: Workspace, revision: str) -> Lot:
    """Returns what is drawn from at a revision.

    Raises:
        InputError: the revision is not in this clone or not in the branch, older commits or tags are not, or there is
            no wave yet.
        AmunError: git cannot be read, or the chain there is damaged.
    """
    root = workspace.root
    require_history(root)
    if revision.startswith("-") or not has_commit(root, revision):
        raise InputError(f"--at {revision}: no such commit in {root}; `git fetch` brings what others have recorded")
    commit = run_git(root, "rev-parse", f"{revision}^{{commit}}")
    # else no receipt that tells of the draw could be compared with the branch
    if not is_ancestor(root, commit):
        raise InputError(
            f"--at {revision}: commit {commit[:12]} is not in the branch, and no receipt of it could be checked; name "
            "one that is, or `git pull`"
        )
    lot = _read_at(workspace, commit)
    if not lot.commits:
        raise InputError(f"no wave has forgotten anybody up to commit {commit[:12]}: there is none to draw")
    return lot


def find_draw_fault(workspace: Workspace, draw: Draw) -> str:
    """Returns what is wrong with a draw, by what git has, in words; empty where git gives the same.

    Raises:
        InputError: a tag that tells a wave of an earlier release is not in this clone.
        AmunError: git cannot be read, or the chain there is damaged.
    """
    root, where = workspace.root, f"commit {draw.commit[:12]}"
    if fault := find_false(draw, workspace.model):
        return fault
    if not has_commit(root, draw.commit) or not is_ancestor(root, draw.commit):
        return "" if is_cut(root) else f"{where}, from whose waves it says it was drawn, is not in the branch"
    lot = _read_at(workspace, draw.commit)
    if lot.head != draw.head:
        return f"the chain of receipts at {where} has another head than the draw says"
    return "" if sorted(lot.commits) == sorted(draw.waves) else f"{where} has other waves than the draw says"


def draw_and_run(workspace: Workspace, value: str, lot: Lot) -> tuple[Draw, list[str]]:
    """Runs the drawn wave again, or the next one that can be; returns the draw, and what differs.

    Raises:
        InputError, AmunError: a wave cannot be run again for another reason than that what it needs is destroyed, or
            none can be.
    """
    from tasks.workspace.worktree import ErasedWaveError, find_other_figures, reproduce_wave

    skipped: list[int] = []
    for number in rank_waves(value, lot.head, workspace.model, lot.commits):
        commit = lot.commits[number]
        print(f"drawn: wave {number}", flush=True)
        try:
            refuse_cleared(workspace, number)
            differing = reproduce_wave(workspace.root, commit)
        except (ClearedWaveError, ErasedWaveError) as error:
            print(f"  {error}", flush=True)
            skipped.append(number)
            continue
        draw = Draw(
            value=value,
            head=lot.head,
            commit=lot.commit,
            waves=tuple(sorted(lot.commits)),
            skipped=tuple(skipped),
            wave=number,
        )
        return draw, [*differing, *find_other_figures(workspace, number, commit)]
    raise AmunError(
        f"of {tell_count(len(skipped), 'wave')} none can be run again any more: what they need is destroyed; draw "
        "within `erasure.waiting_days` after a wave"
    )


def _read_at(workspace: Workspace, commit: str) -> Lot:
    root = workspace.root
    chain = read_committed(root, RECEIPT_CHAIN, commit) or ""
    entries = parse_chain(chain, f"{RECEIPT_CHAIN} at {commit[:12]}")
    recorded = list_recorded(root, commit)
    if (untagged := find_untagged(root, commit, recorded)) is not None:
        raise InputError(
            f"commit {untagged[1][:12]} may be wave {untagged[0]} of an earlier release, which tag "
            f"{name_tag(untagged[0])} would tell; `git fetch --tags` brings it"
        )
    commits = {number: one for number, one in recorded.items() if _forgets(root, one)}
    return Lot(commit, list_heads(workspace.model, entries)[-1], commits)


def _forgets(root: Path, commit: str) -> bool:
    """Tells whether a wave's commit is of one that was to forget people, and not of a new base."""
    return bool(json.loads(str(read_committed(root, WAVE, commit)))["kind"] == "deletion")
