"""A folder of image files: `class/...` with a `subjects.csv`, or a `labels.csv` that names files, labels and subjects.

Paths in the CSV files are relative to the folder, with `/` between their parts. Columns other than those named are not
read.
"""

from collections.abc import Collection, Iterator
from functools import partial
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from amun.core.csv_lines import TornLineError, decode_text, describe_count, read_lines
from amun.core.errors import InputError
from amun.core.params import Section
from amun.core.subject_ids import normalise
from amun.store.sources.catalogue import Absent, Listing, Opener, Owned, Row, build_listing, read_owner, require_folder
from amun.store.sources.walk import list_files

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SUBJECTS, LABELS = "subjects.csv", "labels.csv"
Line = dict[str, str]  # the fields of a line by column; empty where they are too many or too few

# by the table, its columns; which of them is there says how the folder is read
COLUMNS = {SUBJECTS: ("path", "subject"), LABELS: ("path", "label", "subject")}


class Options(Section):
    """This source has none: the CSV file that is there says how the folder is read."""


def list_images(root: Path | None, _options: Options) -> Listing:
    """Returns the images that `labels.csv` names, or else those in the folders of the classes.

    Raises:
        InputError: the folder is missing, it has none of the two CSV files or both, or one that is no such table.
    """
    folder = require_folder(root)
    present = _find_table(folder)
    files = set(list_files(folder)) - {present}
    table, absent, problems = _read_table(folder / present, COLUMNS[present], files)
    if present == LABELS:
        rows = [Row(key, line["label"], line["subject"]) for key, line in sorted(table.items()) if line]
    else:
        rows = []
        for key in sorted(files):
            label = key.partition("/")[0] if "/" in key else None
            if key not in table:
                problems.append(f"{key} is not in {SUBJECTS}")
            elif line := table[key]:
                rows.append(Row(key, label, line["subject"]))
    keys = [row.key for row in rows]

    def open_images(positions: "npt.NDArray[np.int64]") -> Iterator[Opener]:
        from amun.store.pictures import open_picture

        return (partial(open_picture, folder / keys[position]) for position in positions)

    return build_listing(rows, open_images, problems, absent=absent)


def list_owned(root: Path, names: Collection[str], _options: Options) -> list[Owned]:
    """Returns whose each file is that the table names, those that are not there, too, and whom the table names.

    Raises:
        InputError: as `list_images`.
    """
    present = _find_table(root)
    table, absent, _ = _read_table(root / present, COLUMNS[present], set(names) - {present})
    owners = [
        *((key, line["subject"]) for key, line in table.items() if line),
        *((one.key, one.subject) for one in absent),
    ]
    everybody = frozenset(subject for _, subject in owners)
    return [*(Owned(key, frozenset([subject])) for key, subject in owners), Owned(present, everybody, is_table=True)]


def _find_table(folder: Path) -> str:
    """Returns which of the two CSV files is there.

    Raises:
        InputError: none, or both.
    """
    present = [name for name in COLUMNS if (folder / name).is_file()]
    if len(present) != 1:
        found = "both" if present else "none"
        raise InputError(f"params.yaml: data.root: {folder} needs {SUBJECTS} or {LABELS}, and has {found} of them")
    return present[0]


def _read_table(
    path: Path, columns: tuple[str, ...], files: set[str]
) -> tuple[dict[str, Line], list[Absent], list[str]]:
    """Returns the lines of a CSV file by path, those whose file is not there, and what is wrong with all others.

    Of a line with too many or too few fields the path alone is read.
    """
    table: dict[str, Line] = {}
    absent: list[Absent] = []
    problems: list[str] = []
    names = {normalise(key): key for key in sorted(files)}
    for number, given, line, fault in _read_lines(path, columns):
        key = PurePosixPath(given).as_posix()
        # a file system may have composed or decomposed the letters of a name that was written otherwise
        key = key if key in files else names.get(normalise(key), key)
        found = fault or _find_fault(given, key, table)
        is_missing = not found and key not in files
        if found or is_missing:
            problems.append(f"{path.name} line {number}: {found or f'{given} is missing'}")
        if is_missing:
            absent.append(Absent(key, line["subject"], problems[-1]))
        elif fault or not found:
            table.setdefault(key, line)
    return table, absent, problems


def _find_fault(given: str, key: str, table: dict[str, Line]) -> str:
    if not given:
        return "has no path"
    if given.startswith("/") or ".." in PurePosixPath(given).parts:
        return f"{given} leads out of the folder"
    return f"{given} comes twice" if key in table else ""


def _read_lines(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, str, Line, str]]:
    """Yields for each line of a CSV file its number, its path, these columns, and what is wrong with its fields."""
    try:
        lines = read_lines(StringIO(decode_text(path.read_bytes()), newline=""))
        header = _read_header(path, columns, [name.strip() for name in next(lines, (1, []))[1]])
        for number, fields in lines:
            fault = describe_count(len(fields), len(header)) if len(fields) != len(header) else ""
            values = dict(zip(header, fields, strict=False))
            given = values.get("path", "").strip()
            line = {} if fault else {name: values[name].strip() for name in columns}
            yield number, given, line and line | {"subject": read_owner(values["subject"])}, fault
    except (UnicodeDecodeError, TornLineError) as error:
        raise InputError(f"{path} is no CSV file in UTF-8: {error}") from None


def _read_header(path: Path, columns: tuple[str, ...], header: list[str]) -> list[str]:
    if missing := [name for name in columns if name not in header]:
        raise InputError(f"{path}: the first line must name the column {', '.join(missing)}")
    if repeated := [name for name in columns if header.count(name) > 1]:
        raise InputError(f"{path}: the first line names the column {', '.join(repeated)} twice")
    return header
