"""The source `folder`: both layouts, and everything that is wrong named at once."""

from pathlib import Path

import numpy as np
import pytest

from amun.core.errors import InputError
from amun.store.images import check_images
from amun.store.sources.catalogue import Listing, list_source
from tests.amun.pictures import RULES, paint, read_all, write_class_folder, write_images


def list_folder(root: Path) -> Listing:
    return list_source("folder", root, {})


def test_folders_are_classes(tmp_path: Path) -> None:
    # no address: letters that mean something in one mean nothing here
    root = tmp_path / "Bilder ?#%20é"
    owners = {"dog/b/1.png": "anna", "cat/2.png": "ben", "dog/0.png": "anna"}
    write_class_folder(root, owners)
    (root / "cat/.thumbnail").write_bytes(b"left out")
    listing = list_folder(root)
    assert listing.keys == ["cat/2.png", "dog/0.png", "dog/b/1.png"]
    assert (listing.classes, listing.labels.tolist()) == (["cat", "dog"], [0, 1, 1])
    assert listing.subject_ids is not None
    assert listing.subject_ids.tolist() == ["ben", "anna", "anna"]
    assert check_images(listing, RULES) == (8, 6)
    expected = [np.asarray(paint(list(owners).index(key))).transpose(2, 0, 1) for key in listing.keys]
    assert np.array_equal(read_all(listing), np.stack(expected))


def test_labels_are_read_from_a_table(tmp_path: Path) -> None:
    write_images(tmp_path, ["2024/x.png", "y.png", "not-named.png"])
    (tmp_path / "labels.csv").write_text(
        "\ufeffsubject,path,camera,label\n anna ,./2024/x.png,3,10\nben,y.png,3,9\n", encoding="utf-8"
    )
    listing = list_folder(tmp_path)
    assert listing.keys == ["2024/x.png", "y.png"]
    assert (listing.classes, listing.labels.tolist()) == (["10", "9"], [0, 1])
    assert listing.subject_ids is not None
    assert listing.subject_ids.tolist() == ["anna", "ben"]


def test_everything_wrong_is_named_at_once(tmp_path: Path) -> None:
    write_images(tmp_path, [f"{name}.png" for name in "abcdefgh"])
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:-40])
    (tmp_path / "c.png").write_bytes(b"no image")
    paint(0, size=(9, 9)).save(tmp_path / "d.png")
    (tmp_path / "labels.csv").write_text(
        "path,label,subject\na.png,1,anna\nb.png,1,anna\nc.png,1,anna\nd.png,1,anna\ne.png,,anna\nf.png,1,\n"
        "a.png,1,ben\ngone.png,1,ben\n../secret.png,1,ben\n/etc/passwd,1,ben\n,1,ben\ng.png,1,x\x07y\nh.png,1,ben\n",
        encoding="utf-8",
    )
    with pytest.raises(InputError) as refused:
        check_images(list_folder(tmp_path), RULES)
    line = str(refused.value)
    assert "11 problems" in line
    for words in (
        "labels.csv line 8: a.png comes twice",
        "labels.csv line 9: gone.png is missing",
        "labels.csv line 10: ../secret.png leads out of the folder",
        "labels.csv line 11: /etc/passwd leads out of the folder",
        "labels.csv line 12: has no path",
        "e.png has no label",
        "f.png has no subject",
        "g.png has a subject id with an invisible character, U+0007 (control character)",
        "c.png is no image that can be read",
        "d.png is 9 x 9 pixels high and wide, not 8 x 6",
        "b.png cannot be read: ",
    ):
        assert words in line
    assert "anna" not in line


def test_lines_that_have_not_the_headers_fields_are_all_named(tmp_path: Path) -> None:
    write_images(tmp_path, [f"cat/{name}.png" for name in "abcde"])
    (tmp_path / "labels.csv").write_text(
        'path,label,subject\n\ncat/a.png,1,Muster, Anna\ncat/b.png,1\ncat/c.png,1,"Muster,\nCarl"\n'
        'cat/d.png,1,"Muster, Dora"\ncat/e.png,1,Muster, Eva\n',
        encoding="utf-8",
    )
    with pytest.raises(InputError) as refused:
        check_images(list_folder(tmp_path), RULES)
    many = "4 fields where the header names 3; a value with a comma in it stands in quotation marks"
    for words in (
        "4 problems in the source: ",
        f"labels.csv line 3: {many}; ",
        "labels.csv line 4: 2 fields where the header names 3; ",
        f"labels.csv line 8: {many}; ",
        "cat/c.png has a subject id with an invisible character, U+000A",
    ):
        assert words in str(refused.value)
    # nobody in it, and no file called unnamed whose line is named
    (tmp_path / "labels.csv").rename(tmp_path / "subjects.csv")
    (tmp_path / "subjects.csv").write_text(
        "path,subject\n" + "".join(f"cat/{name}.png,Muster, Anna\n" for name in "abcde"), encoding="utf-8"
    )
    with pytest.raises(InputError, match=r"5 problems .*subjects.csv line 2: 3 fields where the header names 2") as one:
        check_images(list_folder(tmp_path), RULES)
    assert "Muster" not in str(one.value)
    assert "is not in" not in str(one.value)


def test_people_and_paths_are_compared_composed(tmp_path: Path) -> None:
    decomposed = "Zoe\u0308"
    write_images(tmp_path, [f"{decomposed}.png", "b.png", "c.png"])
    lines = f"Zo\u00eb.png,1,{decomposed}\nb.png,1,Zo\u00eb\nc.png,1,Jose\u0301\n"
    (tmp_path / "labels.csv").write_text(f"path,label,subject\n{lines}", encoding="utf-8")
    listing = list_folder(tmp_path)
    assert listing.problems == []
    # what stands in the store, and its keyed ids, change only where one person would be two
    assert dict(zip(listing.keys, listing.subject_ids if listing.subject_ids is not None else [], strict=True)) == {
        f"{decomposed}.png": "Zo\u00eb",
        "b.png": "Zo\u00eb",
        "c.png": "Jose\u0301",
    }


def test_class_folders_that_look_the_same_are_one_class(tmp_path: Path) -> None:
    keys = ["Zoe\u0308/a.png", "Zo\u00eb/b.png", "Jose\u0301/c.png"]
    write_images(tmp_path, keys)
    lines = "".join(f"{key},ann\n" for key in keys)
    (tmp_path / "subjects.csv").write_text(f"path,subject\n{lines}", encoding="utf-8")
    listing = list_folder(tmp_path)
    assert listing.problems == []
    assert listing.classes == ["Jose\u0301", "Zo\u00eb"]
    named = {key: listing.classes[label] for key, label in zip(listing.keys, listing.labels, strict=True)}
    assert named == dict(zip(keys, ["Zo\u00eb", "Zo\u00eb", "Jose\u0301"], strict=True))


def test_table_is_read_as_a_file_of_requests_is(tmp_path: Path) -> None:
    write_images(tmp_path, ["a.png"])
    (tmp_path / "labels.csv").write_text("path , label, subject\r\na.png,1,Zo\u00eb\r\n", encoding="utf-16")
    listing = list_folder(tmp_path)
    assert (listing.problems, listing.classes) == ([], ["1"])
    assert listing.subject_ids is not None
    assert listing.subject_ids.tolist() == ["Zo\u00eb"]


@pytest.mark.parametrize("subject", ["00042\u200b", "\u200e10003", "a\u00a0b", "\u00a0a", "\ufeffa", "a\u3164", "a\tb"])
def test_ids_with_what_nobody_sees_are_refused(subject: str, tmp_path: Path) -> None:
    write_images(tmp_path, ["a.png"])
    (tmp_path / "labels.csv").write_text(f"path,label,subject\na.png,1,{subject}\n", encoding="utf-8")
    (problem,) = list_folder(tmp_path).problems
    assert problem.startswith("a.png has a subject id with ")
    assert subject not in problem


def test_the_first_twenty_are_named(tmp_path: Path) -> None:
    write_images(tmp_path, [f"cat/{number:02}.png" for number in range(30)])
    (tmp_path / "subjects.csv").write_text("path,subject\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"30 problems .*cat/19.png is not in subjects.csv; and 10 more$") as refused:
        check_images(list_folder(tmp_path), RULES)
    assert "cat/20.png" not in str(refused.value)


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({}, "has none of them"),
        ({"labels.csv": "path,label,subject\n", "subjects.csv": "path,subject\n"}, "has both of them"),
        ({"labels.csv": "path,label\n"}, "must name the column subject"),
        ({"subjects.csv": "path,subject,subject\n"}, "names the column subject twice"),
        ({"subjects.csv": ""}, "must name the column path, subject"),
        ({"subjects.csv": "path,subject\n"}, "it has no images"),
    ],
)
def test_folder_that_is_none_of_the_two(tables: dict[str, str], words: str, tmp_path: Path) -> None:
    for name, content in tables.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        check_images(list_folder(tmp_path), RULES)


def test_tables_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"path,label,subject\n\xff\xfe,1,2\n")
    with pytest.raises(InputError, match="no CSV file in UTF-8"):
        list_folder(tmp_path)


@pytest.mark.parametrize(
    ("root", "words"), [(None, "name the folder"), (Path("nowhere"), "there is no folder nowhere")]
)
def test_missing_folder(root: Path | None, words: str) -> None:
    with pytest.raises(InputError, match=f"data.root: {words}"):
        list_source("folder", root, {})
