"""Which file a source cannot use is told on the terminal, and not where errors are kept."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from amun.core.errors import SAYS_MORE, SourceError, WithheldError, withhold_names
from amun.store.images import check_images
from amun.store.sources.catalogue import list_source
from tests.amun.pictures import RULES, write_images
from tests.amun.store.sources.test_parquet import COLUMNS, write_rows

PERSON = "anna"
Source = tuple[str, dict[str, Any]]

FOLDER: Source = ("folder", {})
PARQUET = ("parquet", COLUMNS)
WALKED = ("torchvision", {"name": "ImageFolder", "parts": [{}], "download": False})


def name_in_latin(root: Path) -> None:
    (root / PERSON / os.fsdecode(b"zo\xeb.png")).write_bytes(b"x")


def put_delta_lake(root: Path) -> None:
    (root / PERSON / "_delta_log").mkdir()


def put_iceberg(root: Path) -> None:
    (root / PERSON / "metadata").mkdir()
    (root / PERSON / "metadata/1.metadata.json").write_bytes(b"{}")


def tear_table(root: Path) -> None:
    (root / PERSON / "a.parquet").write_bytes(b"nothing of the kind")


def lose_column(root: Path) -> None:
    pq.write_table(pa.table({"id": ["a"], "label": [1], PERSON: [2]}), root / PERSON / "a.parquet")


def mistype_column(root: Path) -> None:
    write_rows(root / PERSON / "a.parquet", range(1), label=[[1]])


def number_in_part(root: Path) -> None:
    write_rows(root / PERSON / "a.parquet", range(1), label=[0.5])


def add_empty_class(root: Path) -> None:
    (root / f"{PERSON}-2").mkdir()  # torchvision names the classes in which it finds nothing


def tear_picture(root: Path) -> None:
    (root / PERSON / "0.png").write_bytes(b"nothing")


@pytest.mark.skipif(os.name != "posix", reason="elsewhere every name is text")
@pytest.mark.parametrize(
    ("source", "damage"),
    [
        *((source, damage) for source in (FOLDER, PARQUET, WALKED) for damage in (name_in_latin, put_delta_lake)),
        (FOLDER, put_iceberg),
        (FOLDER, tear_picture),
        *((PARQUET, damage) for damage in (tear_table, lose_column, mistype_column, number_in_part)),
        (WALKED, add_empty_class),
    ],
)
def test_a_name_below_the_folder_is_told_and_not_kept(
    source: Source, damage: Callable[[Path], None], tmp_path: Path
) -> None:
    write_images(tmp_path, [f"{PERSON}/0.png"])
    (tmp_path / "subjects.csv").write_text(f"path,subject\n{PERSON}/0.png,1\n", encoding="utf-8")
    damage(tmp_path)
    with pytest.raises(WithheldError) as refused, withhold_names():
        check_images(list_source(source[0], tmp_path, source[1]), RULES)
    assert PERSON in refused.value.told
    assert PERSON not in str(refused.value).replace(str(tmp_path), "")
    assert str(refused.value).endswith(f"; {SAYS_MORE}")


def test_an_error_of_a_source_comes_whole_out_of_another_process() -> None:
    error = SourceError("anna/1.png is torn", "1 file is torn")
    copied = pickle.loads(pickle.dumps(error))  # noqa: S301 - the test's own
    assert (str(copied), copied.short) == (str(error), f"1 file is torn; {SAYS_MORE}")
