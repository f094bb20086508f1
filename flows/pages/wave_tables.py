"""What people read of the waves: a table of them, one in full, and how the model stands."""

from collections.abc import Sequence

from amun.core.counts import tell_count
from amun.core.params import EXACT_METHOD
from amun.evidence.attempts import Summary
from amun.evidence.worst import Worst
from amun.ledger import OpenWave, Request, Wave
from amun.ledger.consumers import tell_holding, tell_remembering
from amun.ledger.holder import tell_holder
from flows.pages.layout import (
    NO_REFERENCES,
    TOO_FEW,
    Fact,
    auc,
    day,
    moment,
    percent,
    print_facts,
    tell_waves,
    text,
)
from flows.pages.listing import View, choose_page, print_page
from flows.pages.table import Column, Table, new_table, print_table
from tasks.views.status import WorkspaceStatus
from tasks.views.values import show_left, tell_noticed

NOT_COMPUTED = "not computed"
MAX_LISTED = 10  # requests of a wave; where there are more, the first and the last are shown
COLUMNS = (
    Column("wave"),
    Column("closed", 6),
    Column("state", 1),
    Column("requests", 7),
    Column("samples", 9),
    Column("method", 3),
    Column("accuracy-before", 8, "accuracy", "before"),
    Column("accuracy-after", 4, "accuracy", "after"),
    Column("accuracy-retrained", 11, "accuracy", "retrained"),
    Column("memory-left", 2, "memory left", "after"),
    Column("memory-left-retrained", 12, "memory left", "retrained"),
    Column("ft-auc-before", 13, "FT AUC", "before"),
    Column("ft-auc-after", 5, "FT AUC", "after"),
    Column("ft-auc-retrained", 13, "FT AUC", "retrained"),
    Column("trace-after", 10, "trace", "after"),
    Column("trace-retrained", 14, "trace", "retrained"),
    Column("trace-by-person", 15, "trace", "by person"),
    Column("seconds", 10),
    Column("version"),
)


def choose_waves(waves: Sequence[Wave], view: View) -> tuple[Sequence[Wave], int]:
    """Returns the page of the waves that is asked for, the latest last, and how many waves all pages have.

    Raises:
        InputError: there is no such page.
    """
    return choose_page(waves, view, _describe_row)


def print_list(waves: Sequence[Wave], view: View, num_waves: int) -> None:
    """Prints a page of waves, of so many on all pages."""
    print_page(_tabulate(waves), view, num_waves, "wave")


def print_waves(waves: Sequence[Wave]) -> None:
    """Prints the waves: what was forgotten, at what cost, and how that compares to exact retraining."""
    print_table(_tabulate(waves))


def _tabulate(waves: Sequence[Wave]) -> Table:
    table = Table(*COLUMNS)
    for wave in waves:
        table.add_row(*_describe_row(wave))
    return table


def print_wave(wave: Wave, requests: Sequence[Request], worst: Worst | None = None) -> None:
    """Prints one wave in full, with the requests it handles or handled, and who stands out if that is asked for."""
    print_waves([wave])
    facts: dict[str, Fact] = {
        "kind": wave.kind,
        "opened": moment(wave.opened_at),
        "closed": None if wave.closed_at is None else moment(wave.closed_at),
        "undone": None if wave.undone_by is None else f"by rollback {wave.undone_by}",
        "parent version": wave.parent_version,
        "commit": wave.commit,
        "note": wave.note,
        "requests": _list_requests(requests),
    }
    summary = Summary() if wave.summary is None else wave.summary
    if summary.plan is not None and summary.plan.policy == "cheapest":
        facts["planned"] = summary.plan.reason or None
    for made in summary.decisions:
        outcome = "passed" if made.passed else "refused"
        facts[f"attempt {made.attempt}"] = f"{made.method} {outcome}: {made.reason}"
        facts[f"warning on attempt {made.attempt}"] = made.warning or None
    facts["warning"] = summary.warning or None
    if summary.earlier is not None:
        facts["earlier waves"] = summary.earlier.describe()
    if summary.method != EXACT_METHOD:  # of exact retraining there is nothing to notice
        facts["noticed"] = tell_noticed(summary.calibration) or None
    for half, figures in (("calibration", summary.calibration), ("test", summary.test)):
        facts |= {f"{half} {name}": value for name, value in figures.model_dump(exclude_unset=True).items()}
    print_facts(facts)
    if worst is not None:
        _print_worst(worst)


def _print_worst(worst: Worst) -> None:
    print(
        f"\nthe people who stand out most, of {worst.num_people}; by chance alone somebody has more than "
        f"{worst.bound:.2f} in one wave of twenty"
    )
    table = new_table("subject", "score", "stands out")
    for person in worst.people:
        table.add_row(person.subject_id, f"{person.score:.2f}", "yes" if person.score > worst.bound else "")
    print_table(table)


def _list_requests(requests: Sequence[Request]) -> str | None:
    names = [request.request_id for request in requests]
    if len(names) > MAX_LISTED:
        return f"{len(names)}, from {names[0]} to {names[-1]}"
    return ", ".join(names) or None


def print_status(status: WorkspaceStatus) -> None:
    """Prints how the model stands."""
    wave, last = status.open_wave, status.last_wave
    print(f"model      {status.model}")
    print(f"champion   {'none yet' if status.champion is None else f'version {status.champion}'}")
    last_night = None if status.last_night == status.next_due else status.last_night
    print(
        f"pending    {tell_count(status.pending, 'request')}"
        + (f", next due {day(status.next_due)}" if status.next_due else "")
        + (f", to be taken by {day(last_night)}" if last_night else "")
    )
    print(f"overdue    {tell_count(status.overdue, 'request')}")
    if status.unmatched:
        unmatched = tell_count(status.unmatched, "request")
        print(f"unmatched  {unmatched} of nobody in the data; `amun request list --state unmatched`")
    if status.held:
        print(f"on hold    {tell_count(status.held, 'request')}, past the due date: {status.held_overdue}")
    _print_erasures(status)
    for line in [*tell_holding(status.consumers), *tell_remembering(status.consumers)]:
        print(f"warning    {line}")
    if last is not None and last.closed_at is not None:
        note = f": {last.note}" if last.note else ""
        print(f"last wave  {last.number}, {last.state} {moment(last.closed_at)}{note}")
    print(f"open wave  {'none' if wave is None else _tell_open(wave)}")


def _tell_open(wave: OpenWave) -> str:
    gone = ", which is gone: `amun wave run` goes on with it" if wave.is_abandoned else ""
    return f"{wave.number} ({wave.kind}), run by {tell_holder(wave.holder)}{gone}"


def _print_erasures(status: WorkspaceStatus) -> None:
    """Prints who is to be erased, what of that is late, and of whom copies stay in clear."""
    if status.erase_next is not None:
        people = tell_count(status.to_erase, "request")
        print(f"to erase   {people}, the first after {day(status.erase_next)}; `amun erase list`")
    for number, told in (
        (status.erase_late, "not before its due date"),
        (status.erase_overdue, "not yet, and past its due date"),
    ):
        if number:
            print(f"warning    {tell_count(number, 'request')}: the person is erased {told}; `amun erase run --now`")
    if status.source_waiting:
        people = tell_count(status.source_waiting, "request")
        print(f"warning    files of {people} are not deleted in the source yet; `amun erase run` goes on, or says why")
    if status.never_erased:
        print(f"in clear   {tell_count(status.never_erased, 'request')} of people of whom copies stay unsealed")
    if status.clear_bases:
        bases = tell_waves(status.clear_bases)
        print(f"in clear   this workspace keeps clear copies, of the base of {bases}; `amun erase adopt` destroys them")
    if (num_listed := status.num_listed) is None:
        print("listed     not known: the key store does not answer; `amun keys show` says why")
    elif num_listed:
        entries = tell_count(num_listed, "entry", "entries")
        print(f"listed     {entries} of erased people on the suppression list, which keeps them out")


def _describe_row(wave: Wave) -> list[str]:
    summary = Summary() if wave.summary is None else wave.summary
    test, comparison = summary.test, wave.comparison
    seconds = None if wave.closed_at is None else (wave.closed_at - wave.opened_at).total_seconds()
    # an older wave does not say how many references there were: there were some
    has_references = summary.calibration.num_references != 0
    too_few = TOO_FEW if summary.num_forget else ""
    missing = too_few if has_references or not too_few else NO_REFERENCES
    return [
        str(wave.number),
        "" if wave.closed_at is None else day(wave.closed_at),
        wave.state if wave.undone_by is None else "undone",
        str(wave.num_requests),
        text(summary.num_forget),
        text(summary.method),
        percent(test.accuracy_base),
        percent(test.accuracy),
        NOT_COMPUTED if comparison is None else percent(comparison.accuracy),
        show_left(test, ""),
        "" if comparison is None else show_left(comparison, ""),
        auc(test.ft_auc_base, missing),
        auc(test.ft_auc, missing),
        NOT_COMPUTED if comparison is None else auc(comparison.ft_auc, missing),
        auc(test.trace, too_few if "trace" in test.model_fields_set else ""),
        "" if comparison is None or "trace" not in comparison.model_fields_set else auc(comparison.trace, too_few),
        auc(test.trace_by_person, ""),
        "" if seconds is None else f"{seconds:.0f}",
        text(wave.version),
    ]
