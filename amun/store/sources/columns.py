"""What a column of a Parquet file names: text and whole numbers, in whichever of Parquet's types they stand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from amun.core.errors import SourceError

ADVICE = "write text or whole numbers"
# for floats of so many bits, the whole number up to which each has a float of its own: beyond it two ids may be one
LARGEST = {16: 2**11, 32: 2**24, 64: 2**53}

Name = str | int | None


def read_names(table: Any, column: str, option: str, file: Path) -> list[Name]:
    """Returns the text or whole number in each row of a table's column; None where there is none.

    Bytes are read as UTF-8. Floats that are whole numbers are read as whole numbers. NaN is nothing.

    Args:
        table: as pyarrow reads it.
        column: its name.
        option: of `data.options`, which names the column.
        file: the table's.

    Raises:
        SourceError: the column has another type, or a value that is neither; the line names column, type and row.
    """
    import pyarrow as pa

    values = table.column(column)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    read = _choose_reader(values.type)

    def refuse(reason: str) -> SourceError:
        told = f"params.yaml: data.options.{option}: column {column} of"
        reason = f"({values.type}) {reason}; {ADVICE}"
        return SourceError(f"{told} {file} {reason}", f"{told} a file {reason}")

    if read is None:
        raise refuse("is of a type that names nothing")
    names: list[Name] = []
    for number, value in enumerate(values.to_pylist()):
        try:
            names.append(None if value is None else read(value))
        except ValueError as error:
            # never the value: it may be a person's name, and such lines end in logs
            raise refuse(f"has in row {number} {error}") from None
    return names


def _choose_reader(kind: Any) -> Callable[[Any], Name] | None:
    """Returns what reads a value of this type; None where such values name nothing."""
    from pyarrow import types

    if types.is_integer(kind) or types.is_null(kind):
        return int
    if any(is_such(kind) for is_such in (types.is_string, types.is_large_string, types.is_string_view)):
        return str
    binaries = (types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary)
    if any(is_such(kind) for is_such in binaries):
        return _decode
    return (lambda value: _read_whole(value, LARGEST[kind.bit_width])) if types.is_floating(kind) else None


def _decode(value: bytes) -> str:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("bytes that are no UTF-8") from None
    if not text.isprintable():
        raise ValueError("bytes that are no text")
    return text


def _read_whole(value: float, largest: int) -> int | None:
    if value != value:  # NaN alone differs from itself
        return None
    if abs(value) > largest:
        raise ValueError("a number too large to be told from the next one")
    if not value.is_integer():
        raise ValueError("a number that is not whole")
    return int(value)
