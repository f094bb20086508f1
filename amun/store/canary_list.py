"""The people of a source who are nobody's: named in a file, or drawn where people are invented."""

from pathlib import Path

from amun.core.csv_lines import decode_text
from amun.core.errors import InputError
from amun.core.subject_ids import normalise


def read_canaries(path: Path) -> set[str]:
    """Returns whom the file of `data.canaries` names, composed (NFC).

    Args:
        path: a text file with one id a line, with or without a byte order mark, or in UTF-16.

    Raises:
        InputError: there is no such text file.
    """
    try:
        lines = decode_text(path.read_bytes()).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"params.yaml: data.canaries: {path} cannot be read as text: {error}") from None
    return {normalise(line.strip()) for line in lines} - {""}


def refuse_drawn(canaries: str | int | None, *, names_people: bool) -> None:
    """Refuses to draw canaries from people who are real.

    Args:
        canaries: `data.canaries`.
        names_people: the source does.

    Raises:
        InputError: it does, and they are to be drawn.
    """
    if isinstance(canaries, int) and names_people:
        raise InputError(
            f"params.yaml: data.canaries is {canaries}, but the source names its people, and whoever is drawn of "
            "these is somebody: write a file that names people who are nobody's (docs/data.md)"
        )
