"""`amun audit selftest`: runs it on the workspace at hand, and shows what was said of each planted model."""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass

import torch

from amun.audit.night import NightPower
from amun.core.counts import tell_count
from amun.core.params import Params
from amun.model.training import configure_torch
from amun.selftest.full import ALIKE, NUM_BASES, Nights, add_up, build_base, draw_alike, draw_on_base
from amun.selftest.ground import open_ground
from amun.selftest.planted import PLANTED
from amun.selftest.quick import SIZES, run_night
from amun.selftest.verdicts import PASSED, Cell, list_misses, list_within
from amun.stages.runner import hold_device
from flows.pages.layout import percent
from flows.pages.table import new_table, print_table
from tasks.workspace.workspace import Workspace

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


@dataclass(frozen=True)
class Full:
    """What the full form has found: the quick form on each base, and the many nights."""

    bases: list[Quick]
    nights: list[Nights]


def run_quick(workspace: Workspace, sizes: Sequence[int] = SIZES) -> Quick:
    """Has the planted models made and judged on the workspace's base and data; what the stages say goes to stderr."""
    device = configure_torch(workspace.params.runtime)
    with open_ground(workspace.root), hold_device(device), redirect_stdout(sys.stderr):
        return _judge_planted(workspace.params, device, sizes)


def run_full(workspace: Workspace) -> Full:
    """Runs the quick form on three bases, then many random waves on each, then people whose images are alike."""
    params, device = workspace.params, configure_torch(workspace.params.runtime)
    bases, nights = [], []
    with redirect_stdout(sys.stderr), hold_device(device):
        with open_ground(workspace.root):
            for seed in range(NUM_BASES):
                if seed:
                    build_base(params, device, seed)
                bases.append(_judge_planted(params, device, SIZES))
                nights += draw_on_base(params, device, seed)
        for people in ALIKE:
            with open_ground(workspace.root):
                nights.append(draw_alike(params, device, people))
    return Full(bases, add_up(nights))


def _judge_planted(params: Params, device: torch.device, sizes: Sequence[int]) -> Quick:
    """Returns what is said of the planted models on the current ground."""
    found = {size: run_night(params, device, size, print) for size in sizes}
    return Quick({size: night for size, (night, _) in found.items()}, [c for _, cells in found.values() for c in cells])


def has_miss(found: Quick | Full) -> bool:
    """Returns whether anything is said otherwise than it is to be."""
    if isinstance(found, Quick):
        return bool(list_misses(found.cells))
    return any(map(has_miss, found.bases)) or any(nights.is_miss for nights in found.nights)


def print_full(full: Full) -> None:
    """Prints the table of each base, then a row for the nights of each model, people and size."""
    for quick in full.bases:
        print_quick(quick)
    table = new_table("planted", "people", "who ask", "nights", "sufficient", "promoted", "refused", "by")
    for nights in full.nights:
        table.add_row(
            f"{'MISS: ' if nights.is_miss else ''}{nights.planted}",
            nights.people,
            str(nights.num_people),
            str(nights.num_nights),
            percent(nights.num_sufficient / nights.num_nights),
            percent(nights.num_promoted / nights.num_nights),
            percent(nights.num_refused / nights.num_nights),
            ", ".join(f"{ground} {count}" for ground, count in nights.grounds.items()),
        )
    print_table(table)


def print_quick(quick: Quick) -> None:
    """Prints a row for each planted model: what the gate is to say, and what gate and report have said by size."""
    table = new_table("planted", "expected", *(tell_count(size, "person", "people") for size in quick.nights))
    for planted in PLANTED:
        cells = [cell for cell in quick.cells if cell.planted == planted.name]
        table.add_row(planted.name, cells[0].expected, *map(describe_cell, cells))
    table.add_row("exact retraining would pass", "", *map(describe_power, quick.nights.values()))
    print_table(table)
    for cell in list_within(quick.cells):
        print(f"within the margin: {_name_cell(cell)}: {_tell_left(cell)}")
    for cell in list_misses(quick.cells):
        told = (_tell_left(cell), cell.unmeasured and f"what it leaves is not known: {cell.unmeasured}")
        print(f"miss: {_name_cell(cell)}: {'; '.join(filter(None, (*told, cell.verdicts[0].reason)))}")


def _name_cell(cell: Cell) -> str:
    return f"{cell.planted}, {tell_count(cell.num_people, 'person', 'people')}"


def _tell_left(cell: Cell) -> str:
    """Returns what a fault that passed truly leaves, beside exact retraining."""
    left = cell.true_left
    if left is None:
        return ""
    kinds = f" ({' and '.join(f'{rest:.2f}' for rest in left.kinds)} of its kinds)" if len(left.kinds) > 1 else ""
    return (
        f"it leaves {left.left:.2f} of the memory, at most {left.upper:.2f}{kinds}; the model that passed "
        f"{left.judged:.2f}, at most {left.judged_upper:.2f}; {left.margin:g} may pass"
    )


def describe_cell(cell: Cell) -> str:
    """Returns what gate and report say of a planted model, marked where the gate was to say otherwise."""
    if not cell.verdicts:
        return NO_SUCH
    count = len(cell.verdicts)
    said = cell.verdicts[0].gate if count == 1 else f"{cell.num_passed} of {count} {PASSED}"
    if cell.is_within:
        said += ", within the margin"
    reported = ", contradicted" if any(verdict.is_contradicted for verdict in cell.verdicts) else ""
    return f"{'MISS: ' if cell.is_miss else ''}{said}{reported}"


def describe_power(night: NightPower | None) -> str:
    """Returns how often exact retraining would pass such a night."""
    if night is None:
        return NO_SUCH
    return "not computed" if night.power is None else f"{night.power:.0%}"
