"""Tables 1 (with D_R) and 2 (without): as CSV for programs, as Markdown and for the page for people."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from amun.methods.catalogue import METHODS
from amun.study.columns import COLUMNS, Column, Group
from amun.study.records import AMUN, RETRAIN, SETTINGS, Record, Setting
from amun.study.runs import list_methods, list_shares
from amun.study.statistics import ENOUGH_PAIRS, Spread
from amun.study.summary import COMPARED, Row, conclude, summarise_methods

NUMBERS: dict[Setting, int] = {"use": 1, "none": 2}
FIRST_SHARE = 0.1  # whose tables carry no share in their names
NOT_MEASURED = "-"
PARTS: dict[Group, str] = {
    "result": "How near to exact retraining",
    "attack": "The attacks in detail",
    "cost": "Costs, parameters, failures",
}
TERMS = {"svc": "SVC", "rmia": "RMIA"}

GLOSSARY = (
    "Means ± standard deviations over the runs, measured with the test half. UA, RA and TA are the accuracies on the "
    "forget set, the remain set and the test half. RMIA tells members from non-members: FT forget from test, FR remain "
    "from forget, RT remain from test. SVC confidence is the share of the forget set that the SVC attack calls "
    "non-members. The average gap is (|UA| + |RA| + |TA| + |SVC confidence or FT AUC|) / 4, each term the distance to "
    "exact retraining on the same forget set with the same seed. Trace: AUC of an attacker who holds the base too."
)
FEW_PAIRS = (
    f"Below {ENOUGH_PAIRS} pairs the bootstrap's 95 % interval is too short: that all pairs fall on one side then "
    "happens by chance more often than it says."
)
MANY_PAIRS = (
    "Runs share forget sets and bases, so the bootstrap redraws both, each whole. From three of each an interval is "
    "rough, and of so many comparisons a few say ahead or behind by chance."
)


@dataclass(frozen=True)
class Heading:
    """The top of a column: its name, where its figures should lie, and whether there are words below it."""

    title: str
    target: str = ""
    is_words: bool = False


@dataclass(frozen=True)
class Table:
    """A table as people read it.

    Attributes:
        title: its own.
        headings: of the columns.
        rows: a cell for each column.
    """

    title: str
    headings: Sequence[Heading]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class ResultTable:
    """Table 1 or 2 at one share.

    Attributes:
        name: of its files.
        title: for people.
        notes: what to know when reading it, a paragraph each.
        rows: a method each.
    """

    name: str
    title: str
    notes: Sequence[str]
    rows: Sequence[Row]

    @property
    def results(self) -> list[Table]:
        """What a reader wants first: the results, and who is ahead of AMUN."""
        compared = [row for row in self.rows if row.against_amun]
        return [_make_part(self.rows, "result"), *([_make_comparison(compared)] if compared else [])]

    @property
    def details(self) -> list[Table]:
        """The rest: the attacks, and what the runs took."""
        return [_make_part(self.rows, group) for group in PARTS if group != "result"]


def make_tables(records: Sequence[Record]) -> list[ResultTable]:
    """Returns the tables for which something was run: for each share with the remain set and without it."""
    made = [_make(records, setting, share) for share in list_shares(records) for setting in NUMBERS]
    return [table for table in made if table.rows]


def name_table(setting: Setting, share: float) -> str:
    """Returns the name of a table's files: the share stands in it unless it is 10 %."""
    return f"table{NUMBERS[setting]}" + ("" if share == FIRST_SHARE else f"-{100 * share:g}")


def _make(records: Sequence[Record], setting: Setting, share: float) -> ResultTable:
    rows = summarise_methods(records, setting, share)
    title = f"Table {NUMBERS[setting]}: {100 * share:g} % forgotten, {SETTINGS[setting]}"
    return ResultTable(name_table(setting, share), title, _list_notes(rows, setting, records), rows)


def _list_notes(rows: Sequence[Row], setting: Setting, records: Sequence[Record]) -> list[str]:
    absent = [name for name in list_methods(records) if name not in {row.method for row in rows}]
    needing = [name for name in absent if setting == "none" and name in METHODS and METHODS[name].needs_remain]
    failed = [f"{row.method} {row.failures}" for row in rows if row.failures]
    pairs = [comparison.num_pairs for row in rows for comparison in row.against_amun.values()]
    return [
        *conclude(rows),
        *([FEW_PAIRS] if any(1 < count < ENOUGH_PAIRS for count in pairs) else []),
        *([MANY_PAIRS] if any(count >= ENOUGH_PAIRS for count in pairs) else []),
        *([f"Runs that came to nothing: {'; '.join(failed)}."] if failed else []),
        *([f"Not here, as they cannot work without the remain set: {', '.join(needing)}."] if needing else []),
    ]


def _make_part(rows: Sequence[Row], group: Group) -> Table:
    columns = [column for column in COLUMNS if column.group == group]
    words = {name: read for name, read in _WORDS.items() if group == "cost"}
    return Table(
        title=PARTS[group],
        headings=[
            Heading("method"),
            *(Heading(column.title, column.target) for column in columns),
            *(Heading(name, is_words=True) for name in words),
        ],
        rows=[
            [_name(row), *(_show(row, column) for column in columns), *(read(row) for read in words.values())]
            for row in rows
        ],
    )


_WORDS: dict[str, Callable[[Row], str]] = {
    "runs": lambda row: str(row.num_runs),
    "failures": lambda row: row.failures or "none",
    "parameters": lambda row: row.parameters,
}


def _make_comparison(rows: Sequence[Row]) -> Table:
    headings = [
        heading
        for name in TERMS.values()
        for heading in (
            Heading(f"avg gap with {name}: against AMUN", "ahead is better", is_words=True),
            Heading("difference, points", "lower is better"),
            Heading("95 % interval, points", "below 0 is ahead"),
        )
    ]
    cells = [[_name(row), *(cell for term in TERMS for cell in _show_comparison(row, term))] for row in rows]
    return Table("Ahead of AMUN, behind it, or a tie", [Heading("method"), *headings], cells)


def _name(row: Row) -> str:
    return {RETRAIN: "retrain (the target)", AMUN: "amun"}.get(row.method, row.method) + (
        " (ablation)" if row.is_ablation else ""
    )


def _show(row: Row, column: Column) -> str:
    return show_spread(row.spreads.get(column.key), column.digits)


def show_spread(spread: Spread | None, digits: int) -> str:
    """Returns mean ± standard deviation; the mean alone of a single run."""
    if spread is None:
        return NOT_MEASURED
    deviation = "" if spread.deviation is None else f" ± {spread.deviation:,.{digits}f}"
    return f"{spread.mean:,.{digits}f}{deviation}"


def _show_comparison(row: Row, term: str) -> list[str]:
    comparison = row.against_amun.get(term)
    if comparison is None:
        return [NOT_MEASURED] * 3
    interval = NOT_MEASURED if comparison.low is None else f"{comparison.low:+.2f} to {comparison.high:+.2f}"
    return [comparison.verdict, f"{comparison.difference:+.2f}", interval]


def write_markdown(table: ResultTable) -> str:
    """Returns the table as Markdown, its parts below each other."""
    lines = [f"# {table.title}", ""]
    for note in [*table.notes, GLOSSARY]:
        lines += [note, ""]
    for part in [*table.results, *table.details]:
        lines += [f"## {part.title}", "", *list_markdown(part), ""]
    return "\n".join(lines[:-1]) + "\n"


def list_markdown(table: Table) -> list[str]:
    """Returns the lines of a table in Markdown, figures to the right."""
    titles = [f"{heading.title} ({heading.target})" if heading.target else heading.title for heading in table.headings]
    rules = [":--", *(":--" if heading.is_words else "--:" for heading in table.headings[1:])]
    cells = [[cell.replace("|", "\\|") for cell in row] for row in table.rows]
    return ["| " + " | ".join(row) + " |" for row in [titles, rules, *cells]]


def write_csv(rows: Sequence[Row]) -> str:
    """Returns the table for programs: a line for each method, nothing in a cell that was not measured."""
    text = io.StringIO(newline="")
    lines = [dict(_list_cells(row)) for row in rows]
    writer = csv.DictWriter(text, lines[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _list_cells(row: Row) -> Iterator[tuple[str, str | int | float | None]]:
    yield "method", row.method
    for column in COLUMNS:
        spread = row.spreads.get(column.key)
        yield f"{column.key}_mean", None if spread is None else round(spread.mean, 6)
        yield f"{column.key}_sd", None if spread is None or spread.deviation is None else round(spread.deviation, 6)
    for term in COMPARED:
        comparison = row.against_amun.get(term)
        prefix = f"avg_gap_{term}_points_less_amun"
        for name in ("difference", "low", "high"):
            value = None if comparison is None else getattr(comparison, name)
            yield f"{prefix}_{name}", None if value is None else round(value, 6)
        yield f"{prefix}_pairs", None if comparison is None else comparison.num_pairs
        yield f"{prefix}_verdict", None if comparison is None else comparison.verdict
    yield "parameters", row.parameters
    yield "runs", row.num_runs
    yield "failures", row.failures
