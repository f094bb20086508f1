"""The list of the images that a base was trained on, where that is known and not drawn."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from amun.core.csv_lines import decode_text
from amun.core.errors import InputError, SourceError
from amun.core.subject_ids import normalise

MAX_NAMED = 3


def read_train_list(path: Path, keys: list[str], gone: Iterable[str] = ()) -> npt.NDArray[np.bool_]:
    """Returns (N,) bool: which of a source's images the list names.

    Args:
        path: a text file with one of the source's own names a line, with or without a byte order mark, or in UTF-16.
        keys: (N,) the source's own names.
        gone: names that may stand in the list, although the source has them no more.

    Raises:
        InputError: there is no such text file.
        SourceError: it names what the source does not have.
    """
    try:
        lines = decode_text(path.read_bytes()).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"params.yaml: data.train_list: {path} cannot be read as text: {error}") from None
    # a name may have been composed or decomposed on its way, and looks the same
    listed = {normalise(line.strip()) for line in lines} - {""}
    names = [normalise(key) for key in keys]
    if unknown := sorted(listed.difference(names, map(normalise, gone))):
        shown = ", ".join(unknown[:MAX_NAMED]) + (
            f" and {len(unknown) - MAX_NAMED} more" if unknown[MAX_NAMED:] else ""
        )
        told = f"params.yaml: data.train_list: {path} names images that the source does not have"
        raise SourceError(
            f"{told}: {shown}; its names are like {keys[0]}",
            f"{told}: {len(unknown)} of them",
        )
    return np.array([name in listed for name in names], dtype=np.bool_)
