"""Whether the receipts of a workspace are all there, as they were issued: in the ledger, and in git's whole history."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from amun.core.errors import AmunError
from amun.core.paths import RECEIPT_CHAIN
from amun.evidence.receipt import Draw, SignedReceipt
from amun.ledger import IssuedReceipt
from amun.receipts.chain import find_break
from amun.receipts.drawing import list_draws
from amun.receipts.signing import locate_signing_key, read_signing_key
from tasks.tools.git import has_commit, is_ancestor, run_git
from tasks.workspace.drawing import find_draw_fault
from tasks.workspace.history import is_cut
from tasks.workspace.receipt_chain import find_difference, read_lines
from tasks.workspace.receipts import read_issued
from tasks.workspace.workspace import Workspace, open_ledger


@dataclass(frozen=True)
class ChainFault:
    """Something that is wrong with the receipts.

    Attributes:
        what: in one line.
        remedy: what a person does about it.
    """

    what: str
    remedy: str


@dataclass(frozen=True)
class ReceiptState:
    """How the receipts stand.

    Attributes:
        num_receipts: that were issued.
        num_bodies: of which the body is kept.
        num_committed: that git has at HEAD.
        num_without: people who were erased by a release that issued none.
        faults: what is wrong.
    """

    num_receipts: int
    num_bodies: int
    num_committed: int
    num_without: int
    faults: list[ChainFault]


def check_receipts(workspace: Workspace) -> ReceiptState:
    """Returns how the receipts stand; every body that is kept is opened and verified.

    Raises:
        AmunError: the ledger does not answer, or git cannot be read.
    """
    model = workspace.model
    with open_ledger() as ledger:
        receipts = ledger.list_receipts(model)
        num_without = ledger.count_without_receipt(model)
    faults = [*find_chain_faults(workspace, receipts), *_find_damaged(workspace, receipts)]
    num_bodies = sum(receipt.has_body for receipt in receipts)
    return ReceiptState(len(receipts), num_bodies, len(read_lines(workspace.root)), num_without, faults)


def find_chain_faults(workspace: Workspace, receipts: Sequence[IssuedReceipt] | None = None) -> list[ChainFault]:
    """Returns what is wrong with the chain in ledger and git, and with what the next receipt needs.

    Args:
        workspace: whose chain it is.
        receipts: what the ledger has; None asks it.

    Raises:
        AmunError: the ledger does not answer, or git cannot be read.
    """
    with open_ledger() as ledger:
        issued = ledger.list_receipts(workspace.model) if receipts is None else receipts
        drafted = ledger.list_drafted(workspace.model)
    faults = [
        ChainFault(f"{one.request_id} is erased and has no receipt yet", "type `amun erase run`, or wait for the night")
        for one in drafted
    ]
    if issued:
        faults += _find_missing_key(workspace)
    if broken := find_break([receipt.entry for receipt in issued], workspace.model):
        faults.append(
            ChainFault(f"the chain of receipts in the ledger: {broken}", "bring the ledger back from your backup")
        )
    faults += _find_emptied(issued)
    faults += _find_faults_in_git(workspace, issued)
    return faults


def _find_missing_key(workspace: Workspace) -> Iterator[ChainFault]:
    """Yields that the next receipt could not be signed here."""
    try:
        read_signing_key(locate_signing_key(workspace.root))
    except AmunError as error:
        yield ChainFault(str(error), "see to that: the next receipts are not issued here before")


def _find_emptied(receipts: Sequence[IssuedReceipt]) -> Iterator[ChainFault]:
    """Yields bodies that are gone though nobody has destroyed them."""
    for receipt in receipts:
        if not receipt.has_body and receipt.destroyed_at is None:
            yield ChainFault(
                f"the receipt of {receipt.request_id} has lost what it said", "bring the ledger back from your backup"
            )


def _find_faults_in_git(workspace: Workspace, receipts: Sequence[IssuedReceipt]) -> Iterator[ChainFault]:
    root = workspace.root
    rewritten = "see who has rewritten the branch (`git reflog`), and bring its commits back"
    if difference := find_difference(lines := read_lines(root), receipts):
        yield ChainFault(difference, "bring ledger or branch back to where both agree")
    # a line says which one was before it: where none was ever taken away, none was put in between
    changed = run_git(root, "log", "--format=%x00%h", "--numstat", "--no-renames", "--", str(RECEIPT_CHAIN))
    for entry in changed.split("\0")[1:]:
        commit, *counts = entry.split()
        if counts and counts[1] != "0":
            yield ChainFault(f"commit {commit} has taken lines out of {RECEIPT_CHAIN}", rewritten)
    for commit in dict.fromkeys(receipt.commit for receipt in receipts if receipt.commit is not None):
        if is_ancestor(root, commit) or (is_cut(root) and not has_commit(root, commit)):
            continue
        numbers = [receipt.entry.number for receipt in receipts if receipt.commit == commit]
        yield ChainFault(
            f"commit {commit[:12]}, which has brought receipt {numbers[0]} into git, is not in the branch", rewritten
        )
    if any(receipt.commit is not None for receipt in receipts[len(lines) :]):
        yield ChainFault(f"{RECEIPT_CHAIN} at HEAD lacks receipts that it has had", rewritten)


def _find_damaged(workspace: Workspace, receipts: Sequence[IssuedReceipt]) -> Iterator[ChainFault]:
    """Yields bodies that do not open, are not what was committed to, or tell of a draw that git does not give."""
    draws: dict[Draw, str] = {}
    with open_ledger() as ledger:
        for receipt in receipts:
            try:
                if receipt.has_body:
                    body = SignedReceipt.model_validate_json(read_issued(workspace, ledger, receipt)).body
                    draws |= dict.fromkeys(list_draws(body), receipt.request_id)
            except AmunError as error:
                yield ChainFault(str(error), "bring key store and ledger back from your backup")
    for draw, request_id in draws.items():
        if fault := find_draw_fault(workspace, draw):
            yield ChainFault(
                f"the receipt of {request_id}: {fault}",
                "ask who has run `amun wave reproduce --drawn-by`; what a receipt says is not changed any more",
            )
