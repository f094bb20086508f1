"""A wave as it was: a git worktree at its commit, with the workspace's DVC cache."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import amun
from amun.core.errors import AmunError, InputError
from amun.core.held_folders import hold_folder, is_abandoned, remove_folder
from amun.core.paths import AUDIT_METRICS, CALIBRATION, REPORT_METRICS, STATE, TEST, TRAIN
from amun.core.stage_names import WAVE_STAGES
from amun.evidence.figures import Comparison, read_figures
from amun.evidence.receipt import Draw, Reproduction
from amun.evidence.wave import parse_record, read_wave
from amun.evidence.worst import Worst
from amun.store.forgetting import find_lost
from amun.store.store import read_owners
from amun.vault.vault import lend_vault
from tasks.tools import dvc
from tasks.tools.git import list_changes, read_committed, run_git
from tasks.tools.sound import make_sound
from tasks.workspace.erasing import describe_erased
from tasks.workspace.stage_program import run_program
from tasks.workspace.workspace import Workspace, open_ledger

_PREFIX = "worktree-"  # of a folder under .amun/


class ErasedWaveError(AmunError):
    """A wave cannot be run again: people of whom it has samples are erased."""


@contextmanager
def open_worktree(root: Path, commit: str) -> Iterator[Path]:
    """Gives a work tree of its own at a wave's commit, its data checked out from the shared cache."""
    remove_abandoned_worktrees(root)
    (root / STATE).mkdir(exist_ok=True)  # a clone that has the secret in its environment need not have joined
    with hold_folder(root / STATE, _PREFIX) as folder:
        path = folder / "worktree"
        run_git(root, "worktree", "add", "--quiet", "--detach", str(path), commit)
        try:
            dvc.share_cache(root, path)
            lend_vault(root, path)
            dvc.fetch(path)
            make_sound(path)
            yield path
        finally:
            # by its place: `git worktree remove` needs git's entry of it. That has the name of the one before, which
            # a command that was killed may still be removing.
            shutil.rmtree(path)
            run_git(root, "worktree", "prune")


def remove_abandoned_worktrees(root: Path) -> None:
    """Removes the work trees that killed commands left: they hold people's data."""
    for folder in (root / STATE).glob(f"{_PREFIX}*"):
        # another command may be at it too
        with suppress(OSError):
            if is_abandoned(folder):
                remove_folder(folder, ignore_errors=True)
    run_git(root, "worktree", "prune")


def has_worktrees(root: Path) -> bool:
    """Tells whether a command has a work tree of its own here, that is more than being made or left behind."""
    return any(is_abandoned(folder) is False for folder in (root / STATE).glob(f"{_PREFIX}*"))


def reproduce_wave(root: Path, commit: str) -> list[str]:
    """Runs a wave's stages anew at its commit; returns the outputs whose bytes differ, none if it reproduces."""
    with open_worktree(root, commit) as path:
        _require_nobody_erased(path)
        before = dvc.read_digests(path)
        for stage in dvc.list_stages(path, WAVE_STAGES):
            print(f"  {stage}", flush=True)
            dvc.reproduce(path, stage, force=True)
        after = dvc.read_digests(path)
        differing = {name for name in before | after if before.get(name) != after.get(name)}
        return sorted(differing | set(list_changes(path)))


def find_other_figures(workspace: Workspace, number: int, commit: str) -> list[str]:
    """Returns the files at a wave's commit that have other figures than the ledger, by which receipts tell them.

    A ledger that does not answer is told, and no more: what was run again is known.

    Raises:
        AmunError: a file is damaged.
    """
    try:
        with open_ledger() as ledger:
            summary = ledger.get_wave(workspace.model, number).summary
    except InputError:  # a clone without the ledger issues no receipts
        return []
    except AmunError as error:
        print(f"amun: {error}; the ledger's figures of wave {number} are not compared", file=sys.stderr, flush=True)
        return []
    if summary is None:
        return []
    told = {AUDIT_METRICS: summary.calibration, REPORT_METRICS: summary.test}
    return [
        f"the ledger's figures of {path}"
        for path, figures in told.items()
        if (text := read_committed(workspace.root, path, commit)) is not None
        and parse_record(type(figures), text, f"{path} at {commit[:12]}") != figures
    ]


def record_reproduction(workspace: Workspace, number: int, differing: Sequence[str], draw: Draw | None = None) -> None:
    """Keeps in the ledger how running a wave again has ended, for receipts; a clone may be without the ledger.

    A ledger that does not answer is told, and no more: what was run again is known.
    """
    now = datetime.now(UTC)
    result = Reproduction(finished_at=now, differing=tuple(differing), software=amun.__version__, draw=draw)
    try:
        with open_ledger() as ledger:
            ledger.record_reproduction(workspace.model, number, result)
    except InputError:
        return
    except AmunError as error:
        print(f"amun: {error}; it is not recorded that wave {number} was run again", file=sys.stderr, flush=True)


def _require_nobody_erased(path: Path) -> None:
    """Refuses to run a wave again of whose samples some can no longer be opened.

    Raises:
        ErasedWaveError: there are some; the line says since when.
    """
    wave, stores = read_wave(path), [read_owners(path / each) for each in (TRAIN, CALIBRATION, TEST)]
    if num_lost := len(find_lost(stores, [earlier for earlier in wave.forgotten if earlier.number < wave.number])):
        raise ErasedWaveError(
            f"wave {wave.number} can no longer be run again: of its samples {num_lost} belong to people who were "
            f"{describe_erased(wave.model, wave.number)}"
        )


def compare_wave(root: Path, commit: str) -> Comparison:
    """Retrains on what remained at a wave's commit; returns what that model shows on the test half."""
    with open_worktree(root, commit) as path:
        _require_nobody_erased(path)
        run_program(path, "compare", f"retraining at commit {commit[:12]}")
        return read_figures(Comparison, path)


def find_worst(root: Path, commit: str) -> Worst:
    """Returns who of a wave's people stands out most, by its model and the test half at its commit.

    Raises:
        InputError: the wave is of a version of this project that did not look at people one by one.
        AmunError: there is no score for anybody, or no model.
    """
    with open_worktree(root, commit) as path:
        if not (path / "amun/stages/worst.py").exists():
            raise InputError(f"the code at commit {commit[:12]} does not look at people one by one")
        _require_nobody_erased(path)
        printed = run_program(path, "worst", f"looking at people at commit {commit[:12]}", is_printed=False)
        # it names people, and comes through a pipe: a file would outlive a killed command
        return parse_record(Worst, printed, "what the stage has printed")
