"""Whether another machine gives the published figures: `expected.json`, each figure with its tolerance."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from amun.core.errors import InputError, join_lines
from amun.evidence.wave import write_json
from amun.study.columns import COLUMNS
from amun.study.records import Kept, Record
from amun.study.statistics import Spread
from amun.study.tables import make_tables

STANDARD_ERRORS = 3
RULE = (
    f"A mean may differ by its tolerance: {STANDARD_ERRORS} of its standard errors over the runs, or the figure's "
    "floor if that is more. Another processor rounds otherwise, and training then ends a little elsewhere. The floors "
    "stand in amun/study/columns.py. Costs tell of the machine: not compared."
)
FLOORS = {column.key: column.floor for column in COLUMNS if column.floor is not None}


class Band(Kept):
    """Where a figure should lie: in the column's unit."""

    mean: float
    tolerance: float


class Expected(Kept):
    """The published figures of a study.

    Attributes:
        rule: where the tolerances come from.
        machine: that gave the figures.
        tables: by table, method and column.
    """

    rule: str
    machine: str
    tables: dict[str, dict[str, dict[str, Band]]]


def write_expected(records: Sequence[Record], machine: str, path: Path) -> None:
    """Writes the figures of tables 1 and 2 with their tolerances."""
    tables = {
        table.name: {row.method: dict(_list_bands(row.spreads)) for row in table.rows} for table in make_tables(records)
    }
    write_json(path, Expected(rule=RULE, machine=machine, tables=tables))


def _list_bands(spreads: Mapping[str, Spread]) -> Iterator[tuple[str, Band]]:
    for key, floor in FLOORS.items():
        if (spread := spreads.get(key)) is not None:
            tolerance = max(floor, STANDARD_ERRORS * (spread.deviation or 0) / math.sqrt(spread.count))
            yield key, Band(mean=round(spread.mean, 3), tolerance=round(tolerance, 3))


def find_deviations(records: Sequence[Record], path: Path) -> list[str]:
    """Returns a line for each published figure that the records do not give; what is not published may be anything.

    Raises:
        InputError: there is no such file, or it is not one of expected figures.
    """
    measured = {table.name: {row.method: row.spreads for row in table.rows} for table in make_tables(records)}
    return [
        deviation
        for table, methods in _read(path).tables.items()
        for method, bands in methods.items()
        for key, band in bands.items()
        if (deviation := _compare(f"{table}: {method}: {key}", band, measured.get(table, {}).get(method, {}).get(key)))
    ]


def _compare(name: str, band: Band, spread: Spread | None) -> str:
    """Returns what is wrong; nothing where the figure lies within its tolerance."""
    wanted = f"expected {band.mean:g} ± {band.tolerance:g}"
    if spread is None:
        return f"{name} is missing, {wanted}"
    return "" if abs(spread.mean - band.mean) <= band.tolerance else f"{name} is {spread.mean:.3f}, {wanted}"


def _read(path: Path) -> Expected:
    try:
        return Expected.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path}: these are no expected figures: {join_lines(error)[:200]}") from None
