"""A list of training images: what it names, and the one line where that is not in the source."""

from pathlib import Path

import pytest

from amun.core.errors import SAYS_MORE, InputError, SourceError
from amun.store.train_list import read_train_list

KEYS = ["digits/0", "digits/1", "digits/2", "digits/3"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trained.txt"


def test_named_images_are_found(path: Path) -> None:
    path.write_text("digits/2\n\n digits/0 \n", encoding="utf-8")
    assert read_train_list(path, KEYS).tolist() == [True, False, True, False]


def test_mark_of_an_editor_and_composed_letters_change_no_name(path: Path) -> None:
    path.write_text("\ufeffdigits/0\nZo\u00eb.png\n", encoding="utf-8")
    assert read_train_list(path, [*KEYS, "Zoe\u0308.png"]).tolist() == [True, False, False, False, True]
    path.write_text("digits/1\n", encoding="utf-16")
    assert read_train_list(path, KEYS).tolist() == [False, True, False, False]


def test_images_that_are_deleted_may_stand_in_the_list(path: Path) -> None:
    path.write_text("digits/2\nZo\u00eb.png\n", encoding="utf-8")
    assert read_train_list(path, KEYS, ["Zoe\u0308.png", "digits/9"]).tolist() == [False, False, True, False]


def test_unknown_names_are_counted(path: Path) -> None:
    path.write_text("\n".join(["digits/1", *(f"pictures/{number}" for number in range(5))]), encoding="utf-8")
    line = r"data.train_list: .*pictures/0, pictures/1, pictures/2 and 2 more; its names are like digits/0"
    with pytest.raises(SourceError, match=line) as refused:
        read_train_list(path, KEYS)
    assert refused.value.short.endswith(f"names images that the source does not have: 5 of them; {SAYS_MORE}")


def test_missing_or_binary_list_is_named(path: Path) -> None:
    with pytest.raises(InputError, match=r"data.train_list: .*trained.txt cannot be read"):
        read_train_list(path, KEYS)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"trained.txt cannot be read as text"):
        read_train_list(path, KEYS)
