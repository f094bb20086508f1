"""One rule for every source says which files lie below a folder."""

import os
import shutil
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from amun.core.errors import InputError
from amun.store.images import check_images
from amun.store.sources.catalogue import list_source
from amun.store.sources.walk import list_files, refuse_tables
from tests.amun.pictures import RULES, paint, write_images
from tests.amun.store.sources.test_parquet import COLUMNS, write_rows


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_links_are_followed_and_hidden_names_left_out(tmp_path: Path) -> None:
    touch(tmp_path / "root", "b.png", "a/c.png", "a-b/d.png", ".hidden/e.png", "a/.f.png", "._g.png")
    touch(tmp_path / "elsewhere", "h.png", ".hidden/i.png")
    (tmp_path / "root/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root/z.png").symlink_to(tmp_path / "elsewhere/h.png")
    (tmp_path / "root/gone.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "root/pipe.png")
    expected = ["a/c.png", "a-b/d.png", "b.png", "gone.png", "linked/h.png", "z.png"]
    assert list_files(tmp_path / "root") == expected
    assert expected == [str(path) for path in sorted(map(PurePosixPath, expected))], "as earlier versions ordered them"


def test_links_in_circles_end(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.png", "b/y.png")
    (tmp_path / "a/up").symlink_to(tmp_path)
    (tmp_path / "a/over").symlink_to(tmp_path / "b")
    (tmp_path / "b/back").symlink_to(tmp_path / "a")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert list_files(tmp_path) == ["a/over/y.png", "a/x.png", "b/back/x.png", "b/y.png", "self"]


def test_folder_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.png")
    if os.geteuid() == 0:
        with pytest.raises(InputError, match=r"data.root: .*/none cannot be read: No such file"):
            list_files(tmp_path / "none")
        return
    (tmp_path / "a").chmod(0)
    with pytest.raises(InputError, match=r"data.root: .*/a cannot be read: Permission denied"):
        list_files(tmp_path)


def test_name_that_is_no_utf8_is_told_readably(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"zo\xeb.png")).write_bytes(b"x")
    with pytest.raises(InputError, match=r"a name that is no UTF-8: zo\\udceb.png; rename it"):
        list_files(tmp_path)


@pytest.mark.parametrize(
    ("log", "what"),
    [
        ("_delta_log/0.json", "a Delta Lake table"),
        (".hoodie/hoodie.properties", "a Hudi table"),
        ("metadata/00000-1.metadata.json", "an Iceberg table"),
        ("_spark_metadata/0", "the output of a Spark stream"),
        ("_temporary/0/_temporary/part-0.parquet", "the output of a Spark job that has not ended"),
    ],
)
def test_lakehouse_tables_are_refused_with_the_reason(log: str, what: str, tmp_path: Path) -> None:
    touch(tmp_path, f"table/{log}")
    write_rows(tmp_path / "table/day=1/part-0.parquet", range(2))
    for root in (tmp_path, tmp_path / "table", tmp_path / "table/day=1"):
        with pytest.raises(InputError, match=rf"data.root: .*/table is {what}, .*deleted rows back"):
            list_source("parquet", root, COLUMNS)
    with pytest.raises(InputError, match=f"s3://bucket is {what}"):
        refuse_tables("s3://bucket", ["a.parquet", ".", log])
    # a class of that name is none
    touch(tmp_path, "images/metadata/a.png")
    assert list_files(tmp_path / "images") == ["metadata/a.png"]


def test_folder_as_spark_writes_it_is_read_beside_a_file_and_through_a_link(tmp_path: Path) -> None:
    write_rows(tmp_path / "root/first.parquet", range(2))
    write_rows(tmp_path / "elsewhere/part-00000.snappy.parquet", range(2, 4))
    touch(tmp_path / "elsewhere", "_SUCCESS", "._SUCCESS.crc", ".part-00000.snappy.parquet.crc")
    write_rows(tmp_path / "root/.trash/old.parquet", range(4, 6))
    (tmp_path / "root/second.parquet").symlink_to(tmp_path / "elsewhere")
    shutil.copytree(tmp_path / "elsewhere", tmp_path / "root/third.parquet")
    keys = [f"{file}/r{seed}" for file, seeds in (("first", "01"), *spark("second"), *spark("third")) for seed in seeds]
    for source, options in (("parquet", COLUMNS), ("cifar10", {})):
        listing = list_source(source, tmp_path / "root", options)
        assert listing.keys == keys
        assert check_images(listing, RULES) == (8, 6)


def spark(name: str) -> list[tuple[str, str]]:
    return [(f"{name}.parquet/part-00000.snappy", "23")]


def test_link_that_leads_nowhere_is_missing_and_not_skipped(tmp_path: Path) -> None:
    write_images(tmp_path, ["cat/a.png"])
    (tmp_path / "cat/b.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "subjects.csv").write_text("path,subject\ncat/a.png,1\ncat/b.png,2\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"1 problem in the source: cat/b.png is missing"):
        check_images(list_source("folder", tmp_path, {}), RULES)
    (tmp_path / "c.parquet").symlink_to(tmp_path / "nowhere.parquet")
    with pytest.raises(InputError, match=r"c.parquet is no Parquet file that can be read"):
        list_source("parquet", tmp_path, COLUMNS)


def test_set_of_torchvision_that_walks_a_folder_has_the_same_files(tmp_path: Path) -> None:
    write_images(tmp_path, ["cat/a.png", "cat/._a.png", "cat/.trash/b.png", "dog/c.png"])
    (tmp_path / "dog/up").symlink_to(tmp_path / "dog")
    listing = list_source("torchvision", tmp_path, {"name": "ImageFolder", "parts": [{}], "download": False})
    assert [listing.classes[label] for label in listing.labels] == ["cat", "dog"]
    opened = [np.asarray(opener()) for opener in listing.open_images(np.arange(2))]
    assert np.array_equal(opened, [np.asarray(paint(0)), np.asarray(paint(3))])
