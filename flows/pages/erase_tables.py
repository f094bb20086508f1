"""What people read of who is erased: a list, a plan, what a call has done and what it has not touched."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from amun.core.counts import tell_count
from amun.core.errors import AmunError
from amun.ledger import Consumer, Erasure, PlannedErasure
from amun.ledger.consumers import tell_remembering
from flows.pages.layout import day, tell_erasure, text
from flows.pages.listing import View, choose_page, print_page
from flows.pages.table import Column, Table, new_table, print_table

if TYPE_CHECKING:
    from tasks.views.copies import Copy
    from tasks.workspace.erasing import Erased
    from tasks.workspace.source_deletion import Deletion

MAX_LISTED = 20  # people of a kind; more are counted


def choose_erasures(erasures: Sequence[PlannedErasure], view: View) -> tuple[Sequence[PlannedErasure], int]:
    """Returns the page of erasures that is asked for, and how many there are on all pages; raises as `choose_page`."""
    return choose_page(erasures, view, _tell_cells)


def print_list(erasures: Sequence[PlannedErasure], view: View, num_erasures: int) -> None:
    """Prints the page of erasures that is asked for."""
    print_page(_tabulate(erasures), view, num_erasures, "erasure")


def print_plan(planned: Sequence[PlannedErasure]) -> None:
    """Prints who would be erased, and what holds up whom."""
    _print_some([f"{_name(one)}: would be erased" for one in planned if not one.held_up_by])
    _print_some([_tell_held_up(one) for one in planned if one.held_up_by])
    if not planned:
        print("nobody is to be erased")


def print_erased(done: "Erased") -> None:
    """Prints who is erased, and who is not and why."""
    from tasks.workspace.erasing import tell_in_clear, tell_kept, tell_unlisted, tell_versions

    _print_some([f"{_name(one)}: erased" for one in done.erased])
    _print_some(
        [f"{_name(one)}: not erased yet, for {_tell_places(places, done.unread)}" for one, places in done.unfinished]
    )
    for line in tell_versions(done):
        print(line)
    if done.unknown:
        print(f"warning: {done.unknown}")
    if done.in_clear:
        print(f"warning: {tell_in_clear(done)}")
    _print_some([_tell_held_up(one) for one in done.held_up])
    if done.unlisted:
        print(f"warning: {tell_unlisted(done)}")
    if done.unissued:
        print(f"warning: receipts are not finished: {done.unissued}; then type this again")
    for line in tell_kept(done.receipts):
        print(line)
    if not (done.erased or done.unfinished or done.held_up):
        print("nobody is to be erased")


def print_consumers(consumers: Sequence[Consumer]) -> None:
    """Prints which consumers serve people who are erased, or would be, all the same."""
    for line in tell_remembering(consumers):
        print(f"warning: {line}")


def print_deletion(done: "Deletion", undeleted: AmunError | None) -> None:
    """Prints what is deleted in the source, what could not be, and what its owner has to take people out of."""
    if undeleted:
        print(f"warning: files of erased people are not deleted in the source yet: {undeleted.told}")
    if done.num_deleted:
        print(f"deleted in the source: {tell_count(done.num_deleted, 'file')}")
    for told, people in (("not deleted in the source yet", done.failed), ("left to the source's owner", done.done)):
        _print_some([f"{_name(one)}: {told}: {'; '.join(places)}" for one, places in people if places])


def print_untouched(untouched: "Sequence[Copy]") -> None:
    """Prints what may still hold copies of those who are erased."""
    print("\nnot touched, and perhaps with copies of these people:")
    table = new_table("what", "where")
    for copy in untouched:
        table.add_row(copy.what, copy.place)
    print_table(table)


def _print_some(lines: Sequence[str]) -> None:
    """Prints the first lines, and how many more there are."""
    for line in lines[:MAX_LISTED]:
        print(line)
    if len(lines) > MAX_LISTED:
        print(f"and so {len(lines) - MAX_LISTED} more: `amun erase list`")


def _tell_places(places: Sequence[str], unread: Sequence[str]) -> str:
    """Returns where samples of somebody can be read, and where that is not known."""
    copies = f"samples can still be read in {'; '.join(places)}" if places else ""
    rest = f"{', '.join(unread)} could not be read whole: `amun erase verify` says what" if unread else ""
    return " and ".join(filter(None, [copies, rest]))


def _name(one: PlannedErasure) -> str:
    return f"{one.request_id} {one.subject_id}"


def _tell_held_up(one: PlannedErasure) -> str:
    return f"{_name(one)}: held up by {'; by '.join(one.held_up_by)}"


def _tabulate(erasures: Sequence[PlannedErasure]) -> Table:
    table = Table(
        Column("request"),
        Column("subject"),
        Column("due", 3),
        Column("wave", 4),
        Column("forgotten", 5),
        Column("erased", 1),
        Column("source", 6),
        Column("held up by", 2, is_text=True),
    )
    for one in erasures:
        table.add_row(*_tell_cells(one))
    return table


def _tell_cells(one: PlannedErasure) -> list[str]:
    return [
        one.request_id,
        one.subject_id,
        day(one.due_at),
        text(one.wave_number),
        day(one.erasure.intended_at),
        tell_erasure(one.erasure),
        _tell_source(one.erasure),
        "; ".join(one.held_up_by),
    ]


def _tell_source(erasure: Erasure) -> str:
    """Returns when the person's files in the source were deleted, and of how much of it that is left to its owner."""
    if erasure.source is None:
        return ""
    if erasure.source.deleted_at is None:
        return "begun"
    return f"{day(erasure.source.deleted_at)}{', but for its owner' * bool(erasure.source.left)}"
