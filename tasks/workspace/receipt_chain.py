"""The chain of receipts in git: its file has what the ledger has, line by line, and only grows.

It is committed by itself, whether a wave is run or not, and sent where the waves are. Whoever is at a wave is not
disturbed: the next call, or the wave's own push, sends what is missing.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from amun.core.counts import tell_count
from amun.core.errors import AmunError, InputError
from amun.core.files import replace_file
from amun.core.paths import RECEIPT_CHAIN
from amun.ledger import IssuedReceipt, Ledger
from amun.ledger.holder import tell_holder
from amun.receipts.chain import write_chain
from amun.receipts.entries import write_line
from tasks.tools.git import commit_paths, read_committed, run_git
from tasks.workspace.upstream import find_git_remote, follow, push
from tasks.workspace.wave_paths import list_wave_paths
from tasks.workspace.workspace import Workspace

MAX_TRIES = 3  # other clones send, too


def record_chain(workspace: Workspace, ledger: Ledger) -> str:
    """Commits what git lacks of the chain, and sends it where the waves are.

    Returns:
        why it could not be done yet, though nothing has failed; empty where it is done.

    Raises:
        InputError: git has another chain, or the branch has diverged from the git remote's.
        AmunError: the git remote does not answer, or does not take it.
    """
    missing = [receipt for receipt in ledger.list_receipts(workspace.model) if receipt.commit is None]
    if not missing:
        return ""
    told = tell_count(len(missing), "receipt is", "receipts are")
    wave = ledger.peek_wave(workspace.model, datetime.now(UTC))
    if wave is not None:
        if not wave.is_abandoned:
            return f"{told} not in git yet, for wave {wave.number} is being run by {tell_holder(wave.holder)}"
        _commit(workspace, ledger)
        return f"{told} committed, and not sent before wave {wave.number} is"
    commit = _send(workspace, ledger)
    ledger.record_committed(workspace.model, [receipt.entry.number for receipt in missing], commit)
    return ""


def require_same_chain(root: Path, receipts: Sequence[IssuedReceipt]) -> None:
    """Refuses a branch whose chain has what the ledger has not, or has otherwise.

    Raises:
        InputError: the first such entry.
    """
    if fault := find_difference(read_lines(root), receipts):
        raise InputError(f"{root}: {fault}")


def read_lines(root: Path) -> list[str]:
    """Returns the lines of the chain's file at HEAD; none where HEAD has no such file."""
    return (read_committed(root, RECEIPT_CHAIN) or "").splitlines()


def find_difference(lines: Sequence[str], receipts: Sequence[IssuedReceipt]) -> str:
    """Returns where the chain of a branch is another one than the ledger's, in words; it may end before that."""
    for number, line in enumerate(lines, 1):
        if number > len(receipts):
            return (
                f"{RECEIPT_CHAIN} at HEAD has receipt {number}, which the ledger does not know; was the ledger "
                "restored from a backup?"
            )
        if line != write_line(receipts[number - 1].entry):
            return f"line {number} of {RECEIPT_CHAIN} at HEAD is not what the ledger has; see who has changed which"
    return ""


def _send(workspace: Workspace, ledger: Ledger) -> str:
    """Commits the chain on top of what the git remote has, if there is one, and pushes it; returns a commit of it."""
    if find_git_remote(workspace.root) is None:
        return _commit(workspace, ledger)
    for tries_left in reversed(range(MAX_TRIES)):
        follow(workspace, list_wave_paths(workspace.root, "deletion"))
        commit = _commit(workspace, ledger)
        try:
            push(workspace.root)
        except AmunError:
            # another clone may have been faster
            if not tries_left:
                raise
        else:
            return commit
    raise AssertionError("the last try has raised")


def _commit(workspace: Workspace, ledger: Ledger) -> str:
    """Commits the chain as the ledger has it now, if HEAD has less; returns the last commit that has changed it."""
    root, receipts = workspace.root, ledger.list_receipts(workspace.model)
    require_same_chain(root, receipts)
    num_missing = len(receipts) - len(read_lines(root))
    with replace_file(root / RECEIPT_CHAIN) as unfinished:
        unfinished.write_text(write_chain([receipt.entry for receipt in receipts]), encoding="utf-8")
    message = f"{workspace.model}: {tell_count(num_missing, 'receipt')} of erasure"
    commit_paths(root, [str(RECEIPT_CHAIN)], message)
    return run_git(root, "log", "-1", "--format=%H", "--", str(RECEIPT_CHAIN))
