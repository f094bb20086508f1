"""Parquet files: a row an image, its bytes (JPEG, PNG, ...) or its array, its label, and perhaps its subject."""

import io
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from amun.core.counts import tell_count
from amun.core.errors import InputError, SourceError, join_lines
from amun.core.params import Count, Section
from amun.store.sources.catalogue import Listing, Opener, Owned, Row, build_listing, read_owner, require_folder
from amun.store.sources.columns import read_names
from amun.store.sources.walk import list_files

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

ROWS_AT_ONCE = 256


class Options(Section):
    """Which columns hold what.

    Attributes:
        key: names the row, unique within its file; None takes the row's number.
        label: a whole number or text.
        image: bytes of an encoded image, also as a struct's field `bytes`; or an array, with `array_shape`.
        subject: whose image it is; None where the files name no subjects.
        array_shape: height, width and channels of the arrays; None for encoded images.
    """

    key: str | None
    label: str
    image: str
    subject: str | None
    array_shape: Annotated[tuple[Count, Count, Count], Field(strict=False)] | None


def list_images(root: Path | None, options: Options) -> Listing:
    """Returns the images of every `*.parquet` file in `root` and the folders below, by name.

    Raises:
        InputError: there are no files, or one is no Parquet file or lacks a column.
    """
    folder = require_folder(root)
    files = [folder / name for name in list_files(folder) if name.endswith(".parquet")]
    if not files:
        raise InputError(f"params.yaml: data.root: there are no *.parquet files in {folder}")
    rows: list[Row] = []
    ends: list[int] = []
    for file in files:
        rows += _list_rows(file, file.relative_to(folder).with_suffix("").as_posix(), options)
        ends.append(len(rows))
    return build_listing(rows, partial(_open_rows, files, ends, options), [])


def list_owned(root: Path, names: Collection[str], options: Options) -> list[Owned] | None:
    """Returns whose rows each file has; None where nobody is named.

    Raises:
        InputError: there is no Parquet file, as where a share is not mounted, or one is none, or lacks a column.
    """
    if options.subject is None:
        return None
    owned = []
    if not (tables := sorted(name for name in names if name.endswith(".parquet"))):
        raise InputError(f"{root}: there is no Parquet file; is it mounted?")
    for name in tables:
        rows = _list_rows(root / name, name, options)
        owned.append(Owned(name, frozenset(row.subject for row in rows if row.subject)))
    return owned


def _list_rows(file: Path, name: str, options: Options) -> Iterator[Row]:
    columns = {column for column in (options.key, options.label, options.subject) if column is not None}
    table = _read_columns(file, columns, options.image)
    nothing: list[str | int | None] = [None] * table.num_rows
    keys = nothing if options.key is None else read_names(table, options.key, "key", file)
    labels = read_names(table, options.label, "label", file)
    subjects = nothing if options.subject is None else read_names(table, options.subject, "subject", file)
    for number, (key, label, subject) in enumerate(zip(keys, labels, subjects, strict=True)):
        owner = None if options.subject is None else "" if subject is None else read_owner(str(subject))
        yield Row(f"{name}/{_name_row(key, number, options)}", label, owner)


def _name_row(key: str | int | None, number: int, options: Options) -> str:
    """Returns the row's name within its file; a row without a key, where there should be one, by its number."""
    if options.key is None:
        return str(number)
    return f"row {number}" if key is None else str(key)


def _read_columns(file: Path, columns: set[str], image: str) -> Any:
    """Returns all of these columns; the one of the images, which is not read, must be there too."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(file)
        if missing := sorted({*columns, image} - set(schema.names)):
            lacks = f"has no column {', '.join(missing)}"
            raise SourceError(
                f"params.yaml: data.options: {file} {lacks}; it has {', '.join(schema.names)}",
                f"params.yaml: data.options: a Parquet file of the source {lacks}",
            )
        return pq.read_table(file, columns=sorted(columns))
    except (pa.ArrowException, OSError) as error:
        told = "is no Parquet file that can be read"
        raise SourceError(f"{file} {told}: {join_lines(error)}", f"a *.parquet file of the source {told}") from None


def _open_rows(
    files: Sequence[Path], ends: Sequence[int], options: Options, positions: "npt.NDArray[np.int64]"
) -> Iterator[Opener]:
    """Yields what opens the rows at these ascending positions, counted through all files."""
    import numpy as np

    start = 0
    for file, end in zip(files, ends, strict=True):
        low, high = np.searchsorted(positions, [start, end])
        if low < high:
            for content in _read_rows(file, options.image, positions[low:high] - start):
                yield partial(_open_content, content, options.array_shape)
        start = end


def _read_rows(file: Path, column: str, numbers: "npt.NDArray[np.int64]") -> Iterator[Any]:
    """Yields the content of a column at these ascending row numbers, a few rows at once."""
    import numpy as np
    import pyarrow.parquet as pq

    start = 0
    with pq.ParquetFile(file) as opened:
        for batch in opened.iter_batches(ROWS_AT_ONCE, columns=[column]):
            end = start + batch.num_rows
            low, high = np.searchsorted(numbers, [start, end])
            yield from (entry.as_py() for entry in batch.column(0).take(numbers[low:high] - start))
            start = end


def _open_content(content: Any, array_shape: tuple[int, int, int] | None) -> "Image.Image | npt.NDArray[Any]":
    import numpy as np

    from amun.store.pictures import open_picture

    if array_shape is None:
        encoded = content["bytes"] if isinstance(content, dict) else content
        if not encoded:
            raise ValueError("there is no image")
        return open_picture(io.BytesIO(encoded))
    if content is None:
        raise ValueError("there is no array")
    values = np.frombuffer(content, dtype=np.uint8) if isinstance(content, bytes) else np.array(content)
    if values.size != np.prod(array_shape):
        raise ValueError(f"the array has {tell_count(values.size, 'value')}, not those of data.options.array_shape")
    if np.issubdtype(values.dtype, np.integer):
        if values.min() < 0 or values.max() > 255:
            raise ValueError("the array has whole numbers beyond 0 to 255")
        return values.reshape(array_shape).astype(np.uint8)
    return values.reshape(array_shape).astype(np.float32)
