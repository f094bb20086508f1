"""What people read of receipts: a list, one in full, and whether all of them are there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from amun.core.counts import tell_count
from amun.evidence.receipt import Reproduction, SignedReceipt, Term
from amun.ledger import IssuedReceipt
from amun.receipts.signing import tell_key
from flows.pages.layout import day, moment, print_facts
from flows.pages.listing import View, choose_page, print_page
from flows.pages.table import Column, Table

if TYPE_CHECKING:
    from tasks.workspace.receipt_check import ReceiptState


def choose_receipts(
    receipts: Sequence[IssuedReceipt], retention_days: int, view: View
) -> tuple[Sequence[IssuedReceipt], int]:
    """Returns the page of receipts that is asked for, and how many there are on all pages; raises as `choose_page`."""
    return choose_page(receipts, view, lambda receipt: _tell_cells(receipt, retention_days))


def print_list(receipts: Sequence[IssuedReceipt], retention_days: int, view: View, num_receipts: int) -> None:
    """Prints the page of receipts that is asked for."""
    table = Table(
        Column("number"), Column("request"), Column("issued"), Column("body", 1), Column("in git", 2), Column("key", 3)
    )
    for receipt in receipts:
        table.add_row(*_tell_cells(receipt, retention_days))
    print_page(table, view, num_receipts, "receipt")


def print_receipt(text: str) -> None:
    """Prints what a receipt says."""
    receipt = SignedReceipt.model_validate_json(text)
    body, entry = receipt.body, receipt.entry
    print(f"receipt of {body.request} of {body.model}")
    destroyed, forgotten, held = body.destroyed, body.forgotten, body.held
    print_facts(
        {
            "received": moment(body.received_at),
            "due": f"{moment(body.due_at)}{_tell_term(body.term)}",
            "training samples": held.num_train,
            "held-out samples": held.num_held_out,
            **{f"in files, {one.kind}": f"{one.num_samples} in {one.num_files}" for one in held.in_files},
            "forgotten by": f"wave {forgotten.wave}, version {forgotten.version}, commit {forgotten.commit[:12]}",
            "method": forgotten.method,
            "memory left": forgotten.test.memory_left,
            "its 95 % bounds": _tell_bounds(forgotten.test.bounds),
            "keys destroyed": moment(destroyed.keys_destroyed_at),
            "how many": destroyed.num_keys,
            "erased": moment(destroyed.erased_at),
            "run again": _tell_reproduction(body.reproduction),
            "drawn and run again": _tell_reproduction(body.drawn),
            "issued": f"{moment(entry.issued_at)}, number {entry.number}, key {tell_key(entry.public_key)}",
        }
    )
    print("what it does not show:")
    for limit in body.limits:
        print(f"  {limit}")


def print_state(state: "ReceiptState") -> None:
    """Prints whether all receipts are there, and what is wrong."""
    for fault in state.faults:
        print(f"wrong: {fault.what}\n  {fault.remedy}")
    bodies = f"the bodies of {state.num_bodies} are kept"
    missing = state.num_receipts - state.num_committed
    print(f"{tell_count(state.num_receipts, 'receipt')} in the chain; {bodies}")
    if missing > 0:
        print(f"not in git yet: {missing}; the next night brings them there")
    if state.num_without:
        people = tell_count(state.num_without, "person was", "people were")
        print(f"{people} erased by a release that issued no receipts")
    if not state.faults:
        print("nothing is wrong")


@dataclass(frozen=True)
class Drawn:
    """The waves in the order in which a value draws them, and what was drawn from.

    Attributes:
        value: by which.
        head: of the chain of receipts, 64 hexadecimal digits.
        commit: of the branch.
        waves: their numbers, the drawn one first.
    """

    value: str
    head: str
    commit: str
    waves: list[int]


def print_draw(drawn: Drawn) -> None:
    """Prints which wave a value draws, and which ones follow where that can no longer be run again."""
    waves = drawn.waves
    print(f"wave {waves[0]} of {tell_count(len(waves), 'wave')}, drawn at commit {drawn.commit[:12]}")
    print_facts({"head of the chain of receipts": drawn.head, "value": drawn.value})
    if len(waves) > 1:
        print(f"where it can no longer be run again: {', then '.join(map(str, waves[1:4]))}{' ...' * (len(waves) > 4)}")
    print("`amun wave reproduce --drawn-by VALUE` runs it again, and keeps that for receipts")


def _tell_reproduction(run: Reproduction | None) -> str | None:
    if run is None:
        return None
    ended = f"other bytes in {', '.join(run.differing)}" if run.differing else "same bytes"
    told = f"{moment(run.finished_at)}, {ended}"
    return told if run.draw is None else f"{told}; wave {run.draw.wave} was drawn by {run.draw.value!r}"


def _tell_bounds(bounds: tuple[float, float] | None) -> str | None:
    return None if bounds is None else f"{bounds[0]:.4g} to {bounds[1]:.4g}"


def _tell_cells(receipt: IssuedReceipt, retention_days: int) -> list[str]:
    entry = receipt.entry
    until = f"until {day(entry.issued_at + timedelta(days=retention_days))}"
    gone = "lost" if receipt.destroyed_at is None else f"destroyed {day(receipt.destroyed_at)}"
    return [
        str(entry.number),
        receipt.request_id,
        day(entry.issued_at),
        until if receipt.has_body else gone,
        "not yet" if receipt.commit is None else receipt.commit[:12],
        tell_key(entry.public_key),
    ]


def _tell_term(term: Term | None) -> str:
    if term is None:
        return ""
    if term.extended_at is None or term.due_before is None:
        return f", {term.law}"
    return f", {term.law}, put off on {day(term.extended_at)} from {day(term.due_before)}"
