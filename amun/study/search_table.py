"""The search for parameters in one table: how many trials each method was given, from where, and what was chosen."""

from collections.abc import Sequence

from amun.study.records import BASE, RETRAIN, SETTINGS, Record, Setting
from amun.study.runs import list_methods
from amun.study.setup import Setup
from amun.study.summary import describe_failures, describe_parameters
from amun.study.tables import Heading, Table, list_markdown


def make_ranges_table(setup: Setup) -> Table:
    """Returns where each parameter is drawn from."""
    return Table(
        "Ranges of the search",
        [Heading("parameter"), Heading("drawn from")],
        [[name, described] for name, described in setup.search_ranges.items()],
    )


def make_search_table(records: Sequence[Record]) -> Table:
    """Returns for each method and setting how many trials it was given, how many failed, and what was chosen."""
    searched = [record for record in records if record.trial.kind in ("search", "table")]
    rows = [
        row
        for method in list_methods(searched)
        if method not in (BASE, RETRAIN)
        for setting in SETTINGS
        if (row := _list_cells(searched, method, setting))
    ]
    headings = ["method", "setting", "trials", "failures of the search", "chosen"]
    return Table("What the search chose", [Heading(title) for title in headings], rows)


def _list_cells(records: Sequence[Record], method: str, setting: Setting) -> list[str]:
    own = [record for record in records if record.trial.method == method and record.trial.setting == setting]
    trials = [record for record in own if record.trial.kind == "search"]
    used = [describe_parameters(record.trial) for record in own if record.trial.kind == "table"]
    if not own:
        return []
    told = str(len(trials)) if trials else "none now: an earlier search's choice"
    return [method, SETTINGS[setting], told, describe_failures(trials) or "none", "; ".join(dict.fromkeys(used))]


def describe_budget(setup: Setup) -> str:
    """Returns what every method was given alike."""
    return (
        f"Each method in each setting gets {setup.search_budget} trials of learning rate, schedule and its one other "
        "parameter, if it has one, drawn from the ranges below; the search sees only the calibration half."
    )


def write_search_markdown(records: Sequence[Record], setup: Setup) -> str:
    """Returns budget, ranges and choices as Markdown."""
    lines = ["# The search for parameters", "", describe_budget(setup), ""]
    for table in (make_ranges_table(setup), make_search_table(records)):
        lines += [f"## {table.title}", "", *list_markdown(table), ""]
    return "\n".join(lines[:-1]) + "\n"
