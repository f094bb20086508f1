"""What the person's file holds of where their samples went."""

from collections.abc import Sequence

from flows.pages.layout import text
from flows.pages.table import Table, new_table, print_table
from flows.pages.tables import print_requests
from tasks.views.trace import Trace
from tasks.workspace.store_files import StoreFile

KNOWN_FROM = {
    "file": "the file itself",
    "ledger": "the ledger; the file is not in the cache",
    "nothing": "not known: the file is not in the cache",
}


def print_trace(trace: Trace) -> None:
    """Prints everything about one person: data, models, references, requests."""
    print(f"{trace.subject_id} in {trace.model}; git knows this person as {trace.subject_key}")
    table = new_table("data version", "MD5", "waves", "samples", "known from")
    for file in trace.files:
        table.add_row(file.path, file.md5, span(file.waves), _tell_amount(file), _tell_source(file))
    _print_part(table)
    table = new_table("model version", "wave", "trained on", "held out", "what became of it", "alias")
    for version in trace.versions:
        table.add_row(
            f"version {version.version}",
            version.tag,
            text(version.num_train),
            text(version.num_held_out),
            version.role,
            ", ".join(version.aliases),
        )
    _print_part(table)
    if trace.references:
        table = new_table("references", "waves", "trained on samples of this person")
        for group in trace.references:
            trained = "half (erased: not counted)" if group.num_trained is None else group.num_trained
            table.add_row(group.name, span(group.waves), f"{trained} of {group.num_references}")
        _print_part(table)
    if trace.requests:
        print()
        print_requests(trace.requests)


def _print_part(table: Table) -> None:
    print()
    print_table(table)


def span(numbers: Sequence[int]) -> str:
    """Returns the numbers, runs of them shortened: `0-2, 5`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _tell_amount(file: StoreFile) -> str:
    return f"{text(file.num_samples)}, erased" if file.is_erased else text(file.num_samples)


def _tell_source(file: StoreFile) -> str:
    return KNOWN_FROM[file.known_from]
