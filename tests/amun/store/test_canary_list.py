"""Who is nobody's: named in a file, or drawn where people are invented, never from real ones."""

from pathlib import Path

import pytest

from amun.core.errors import InputError
from amun.store.canary_list import read_canaries, refuse_drawn


def test_each_line_names_somebody_however_it_is_spelled(tmp_path: Path) -> None:
    path = tmp_path / "canaries.txt"
    path.write_text("bought-1\n\n Zoe\u0308 \nbought-1\n", encoding="utf-16")
    assert read_canaries(path) == {"bought-1", "Zo\u00eb"}


def test_what_cannot_be_read_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff\xfe\x80")
    for name in ("missing.txt", "picture.png"):
        with pytest.raises(InputError, match=rf"params.yaml: data.canaries: .*{name} cannot be read as text"):
            read_canaries(tmp_path / name)


def test_none_are_drawn_from_real_people() -> None:
    for canaries, names_people in ((None, True), ("canaries.txt", True), (20, False)):
        refuse_drawn(canaries, names_people=names_people)
    with pytest.raises(InputError, match=r"data.canaries is 20, but the source names its people.*write a file"):
        refuse_drawn(20, names_people=True)
