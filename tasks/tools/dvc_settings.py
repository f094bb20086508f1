"""DVC's files of settings, written here: at a letter beyond ASCII its own writer fails, and leaves the file empty."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from configobj import ConfigObj

from amun.core.files import replace_file

SHARED, LOCAL = Path(".dvc/config"), Path(".dvc/config.local")


@contextmanager
def edit_settings(path: Path) -> Iterator[Any]:
    """Gives a file's sections to be changed, as `{"core": {"remote": ...}}`, and writes them in one piece.

    What else stands in the file stays, comments too. A failure meanwhile leaves it as it was.
    """
    written = path.read_bytes() if path.exists() else b""
    settings = ConfigObj(BytesIO(written), encoding="utf-8", interpolation=False)
    # as DVC itself writes
    settings.indent_type = settings.indent_type or "    "
    yield settings
    changed = BytesIO()
    settings.write(changed)
    with replace_file(path) as unfinished:
        unfinished.write_bytes(changed.getvalue())


def name_section(kind: str, name: str) -> str:
    """Returns how a section of several is headed: `remote "storage"`."""
    return f'{kind} "{name}"'
