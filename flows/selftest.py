"""`amun audit selftest`: runs it on the workspace at hand, and shows what was said of each planted model."""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass

from amun.audit.night import NightPower
from amun.selftest.ground import open_ground
from amun.selftest.planted import PLANTED
from amun.selftest.quick import SIZES, run_night
from amun.selftest.verdicts import PASSED, Cell, list_misses
from amun.stages.runner import hold_device
from amun.training import configure_torch
from flows.layout import new_table, print_table
from tasks.workspace import Workspace

NO_SUCH = "-"  # there is no such model, or night, at that size


@dataclass(frozen=True)
class Quick:
    """What the quick form has found.

    Attributes:
        nights: what a night of each size could show; None where there are too few people for one.
        cells: what was said of each planted model at each size.
    """

    nights: dict[int, NightPower | None]
    cells: list[Cell]


def run_quick(workspace: Workspace, sizes: Sequence[int] = SIZES) -> Quick:
    """Has the planted models made and judged on the workspace's base and data; what the stages say goes to stderr."""
    device = configure_torch(workspace.params.runtime)
    nights: dict[int, NightPower | None] = {}
    cells = []
    with open_ground(workspace.root), hold_device(device), redirect_stdout(sys.stderr):
        for num_people in sizes:
            nights[num_people], judged = run_night(workspace.params, device, num_people, print)
            cells += judged
    return Quick(nights, cells)


def print_quick(quick: Quick) -> None:
    """Prints a row for each planted model: what the gate is to say, and what gate and report have said by size."""
    table = new_table("planted", "expected", *(f"{size} people" if size > 1 else "1 person" for size in quick.nights))
    for planted in PLANTED:
        cells = [cell for cell in quick.cells if cell.planted == planted.name]
        table.add_row(planted.name, cells[0].expected, *map(describe_cell, cells))
    table.add_row("exact retraining would pass", "", *map(describe_power, quick.nights.values()))
    print_table(table)
    for cell in list_misses(quick.cells):
        print(f"miss: {cell.planted}, {cell.num_people} people: {cell.verdicts[0].reason}")


def describe_cell(cell: Cell) -> str:
    """Returns what gate and report say of a planted model, marked where the gate was to say otherwise."""
    if not cell.verdicts:
        return NO_SUCH
    count, num_passed = len(cell.verdicts), sum(verdict.gate == PASSED for verdict in cell.verdicts)
    said = cell.verdicts[0].gate if count == 1 else f"{num_passed} of {count} {PASSED}"
    reported = ", contradicted" if any(verdict.is_contradicted for verdict in cell.verdicts) else ""
    return f"{'MISS: ' if cell.is_miss else ''}{said}{reported}"


def describe_power(night: NightPower | None) -> str:
    """Returns how often exact retraining would pass such a night."""
    if night is None:
        return NO_SUCH
    return "not computed" if night.power is None else f"{night.power:.0%}"
