"""The list of the images that a base was trained on, where that is known and not drawn."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from amun.errors import InputError

MAX_NAMED = 3


def read_train_list(path: Path, keys: list[str]) -> npt.NDArray[np.bool_]:
    """Returns (N,) bool: which of a source's images the list names.

    Args:
        path: a text file with one of the source's own names a line.
        keys: (N,) the source's own names.

    Raises:
        InputError: there is no such text file, or it names what the source does not have.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"params.yaml: data.train_list: {path} cannot be read as text: {error}") from None
    listed = {line.strip() for line in lines} - {""}
    if unknown := sorted(listed - set(keys)):
        shown = ", ".join(unknown[:MAX_NAMED]) + (
            f" and {len(unknown) - MAX_NAMED} more" if unknown[MAX_NAMED:] else ""
        )
        raise InputError(
            f"params.yaml: data.train_list: {path} names images that the source does not have: {shown}; "
            f"its names are like {keys[0]}"
        )
    return np.array([key in listed for key in keys], dtype=np.bool_)
