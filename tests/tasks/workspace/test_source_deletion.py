"""The files of erased people are deleted in the source, with all their versions, and nobody else's are."""

import os
import signal
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from amun.core.errors import AmunError
from amun.core.paths import locate_manifest, locate_mirror
from amun.ledger import Ledger
from tasks.tools.environment import LEDGER_VARIABLE
from tasks.tools.s3 import delete_versions, open_client
from tasks.workspace import source_deletion
from tasks.workspace.mirror import Update, update_mirror
from tasks.workspace.source_deletion import Deletion, delete_from_source, tell_deletion
from tasks.workspace.workspace import Workspace
from tests.amun.ledger.helpers import MODEL, add, build_base, claim_wave, complete_wave
from tests.amun.pictures import encode, paint, write_class_folder
from tests.amun.shipped import PARAMS
from tests.die import wrap
from tests.swift import BUCKET
from tests.workspaces import read_tree

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
# the request spells her composed, the source decomposed; `ann` begins another one's name
ZOE, DECOMPOSED = "Zo\u00eb", "Zoe\u0308"
PEOPLE = ["ann", "anna", "ben", ZOE]
OWNERS = {
    "cat/ann/1.png": "ann",
    "cat/ann/2.png": "ann",
    "dog/ann.png": "ann",
    "dog/ann.png.png": "anna",
    "dog/ben.png": "ben",
    f"cat/{DECOMPOSED}.png": DECOMPOSED,
}
MULTIPART_BYTES = 5 << 20
NAMES_HER = "subjects.csv, which names the person"
TABLE = f"images/{NAMES_HER}"


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """A ledger in which a wave has forgotten everybody, and nobody is erased yet."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    monkeypatch.setenv(LEDGER_VARIABLE, url)
    with Ledger.create(url) as opened:
        build_base(opened, PEOPLE)
        add(opened, *PEOPLE)
        complete_wave(opened, claim_wave(opened), erase_after=NOW)
        yield opened


def erase(ledger: Ledger, *people: str) -> None:
    ledger.start_erasures(MODEL, now=NOW, at_once=True, subjects=people)


def open_at(folder: Path, *, deletes: bool = True, **data: Any) -> Workspace:
    changed = PARAMS.data.model_copy(update={"source": "folder", "source_delete": deletes, **data})
    return Workspace(folder, PARAMS.model_copy(update={"data": changed}))


def tell(done: Deletion) -> tuple[dict[str, list[str]], dict[str, list[str]], int]:
    """Returns what is left and what has failed, by person, and how many files were deleted."""
    left, failed = ({one.subject_id: told for one, told in people} for people in (done.done, done.failed))
    return left, failed, done.num_deleted


@pytest.fixture
def folder(tmp_path: Path) -> Workspace:
    """A workspace whose source is a folder."""
    write_class_folder(tmp_path / "images", OWNERS)
    return open_at(tmp_path, root="images")


def list_names(folder: Path) -> set[str]:
    return set(read_tree(folder)) - {"subjects.csv"}


def test_files_of_erased_people_are_deleted_once_and_those_of_nobody_else(ledger: Ledger, folder: Workspace) -> None:
    images = folder.root / "images"
    assert tell(delete_from_source(folder)) == ({}, {}, 0)
    erase(ledger, "ann", ZOE)
    assert delete_from_source(open_at(folder.root, root="images", deletes=False)).num_deleted == 0
    assert list_names(images) == set(OWNERS)
    assert tell(delete_from_source(folder)) == ({"ann": [TABLE], ZOE: [TABLE]}, {}, 4)
    assert list_names(images) == {"dog/ann.png.png", "dog/ben.png"}
    assert not (images / "cat").exists()
    assert tell(delete_from_source(folder)) == ({}, {}, 0)
    erasures = {one.subject_id: one.erasure.source for one in ledger.list_erasures(MODEL, NOW)}
    assert erasures["ben"] is erasures["anna"] is None
    for name in ("ann", ZOE):
        assert (source := erasures[name]) is not None
        assert (source.deleted_at is not None, source.left) == (True, (TABLE,))
    erase(ledger, "ben")
    assert tell_deletion(delete_from_source(folder)) == [
        "deleted in the source: 1 file of erased people",
        "the source's owner has to take the people of 1 request out of it; `amun erase list --json` says where",
    ]
    assert list_names(images) == {"dog/ann.png.png"}


def test_what_lies_behind_a_link_is_told_and_looked_for_again(ledger: Ledger, folder: Workspace) -> None:
    images, elsewhere = folder.root / "images", folder.root / "elsewhere.png"
    (images / "dog/ann.png").rename(elsewhere)
    (images / "dog/ann.png").symlink_to(elsewhere)
    erase(ledger, "ann", "ben")
    left, failed, num_deleted = tell(delete_from_source(folder))
    assert (left, num_deleted) == ({"ben": [TABLE]}, 3)
    assert failed == {"ann": ["images/dog/ann.png: it is a link, or behind one: delete what that leads to"]}
    assert ledger.count_status(MODEL, NOW).source_waiting == 1
    (told,) = tell_deletion(delete_from_source(folder))
    assert told == "warning: not all files of 1 request could be deleted in the source; `amun erase run` names them"
    elsewhere.unlink()
    (images / "dog/ann.png").unlink()
    # what was begun is ended, whatever is wanted by now
    done = delete_from_source(open_at(folder.root, root="images", deletes=False))
    assert tell(done) == ({"ann": [TABLE]}, {}, 0)
    assert ledger.count_status(MODEL, NOW).source_waiting == 0


def test_sources_whose_files_are_not_one_persons_are_left_to_their_owner(ledger: Ledger, tmp_path: Path) -> None:
    erase(ledger, "ann")
    rows = {"label": [0, 1], "image": [encode(paint(1)), encode(paint(2))]}
    for name, owners in (("shared", ["ann", "ben"]), ("own", ["ann", "ann"]), ("others", ["ben", "anna"])):
        (tmp_path / "tables").mkdir(exist_ok=True)
        pd.DataFrame(rows | {"owner": owners}).to_parquet(tmp_path / f"tables/{name}.parquet")
    options = {"key": None, "label": "label", "image": "image", "subject": "owner", "array_shape": None}
    workspace = open_at(tmp_path, source="parquet", root="tables", options=options, train_list="trained.txt")
    assert tell(delete_from_source(workspace)) == (
        {
            "ann": [
                "tables/shared.parquet, which has other people's images, too",
                "trained.txt (data.train_list), which may name files of the person",
            ]
        },
        {},
        1,
    )
    assert sorted(path.stem for path in (tmp_path / "tables").iterdir()) == ["others", "shared"]
    write_class_folder(tmp_path / "raw", OWNERS)
    (tmp_path / "raw.dvc").touch()
    unnamed = open_at(tmp_path, source="parquet", root="tables", options=options | {"subject": None})
    for place, words in (
        (open_at(tmp_path, root="raw"), "raw is under DVC, whose cache and remote have it, too"),
        (open_at(tmp_path, source="digits", root=None), "the source digits has no files of single people"),
        (open_at(tmp_path, source="torchvision", root="tables"), "the files of tables name nobody"),
        (unnamed, "the files of tables name nobody"),
    ):
        forget_deletions(tmp_path)
        ((left,), failed, num_deleted) = tell(delete_from_source(place))[0].values(), *tell(Deletion([], [], 0))[1:]
        assert (left[0].startswith(words), failed, num_deleted) == (True, {}, 0)
    assert list_names(tmp_path / "raw") == set(OWNERS)


def forget_deletions(tmp_path: Path) -> None:
    """Makes as if nothing were deleted in the source."""
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection, connection:
        connection.execute("UPDATE erasures SET source_deleted_at = NULL")


@pytest.fixture(params=["versioned", "plain"])
def bucket(aws: dict[str, str], request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of the people's images in a bucket; where it keeps versions there are older ones and markers."""
    assert aws
    client, name = open_client(), f"{BUCKET}-{request.param}"
    with suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(Bucket=name)
    if request.param == "versioned":
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    prefix = request.node.name.partition("[")[0]
    # pictures of this test alone: other tests' buckets lie on the same server's disk
    write_class_folder(tmp_path / "images", OWNERS, first_seed=zlib.crc32(request.node.name.encode()))
    for round_number in range(2):
        for path, content in read_tree(tmp_path / "images").items():
            client.put_object(Bucket=name, Key=f"{prefix}/{path}", Body=content)
        if round_number == 0:
            client.delete_object(Bucket=name, Key=f"{prefix}/cat/ann/1.png")
    # gone from the listing, and its versions are there
    client.delete_object(Bucket=name, Key=f"{prefix}/dog/ann.png")
    return f"s3://{name}/{prefix}"


@pytest.fixture
def disk(aws: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the server keeps its data."""
    assert aws
    (folder,) = tmp_path_factory.getbasetemp().glob("swift[0-9]/devices")
    return folder


def list_kept(address: str) -> list[tuple[str, str]]:
    """Returns the name of each version, and of each delete marker, with its kind."""
    name, _, prefix = address.removeprefix("s3://").partition("/")
    page = open_client().list_object_versions(Bucket=name, Prefix=f"{prefix}/")
    kinds = ("Versions", "DeleteMarkers")
    return [(entry["Key"].removeprefix(f"{prefix}/"), kind) for kind in kinds for entry in page.get(kind, [])]


def choose_others(kept: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [one for one in kept if OWNERS.get(one[0]) not in ("ann", DECOMPOSED)]


def test_every_version_in_a_bucket_is_deleted_and_the_mirrors_file(
    ledger: Ledger, bucket: str, disk: Path, tmp_path: Path
) -> None:
    workspace = open_at(tmp_path, root=bucket)
    contents = {name: (tmp_path / "images" / name).read_bytes() for name in OWNERS}
    assert find_on_disk(disk, contents) >= {*OWNERS} - {"dog/ann.png"}
    update_mirror(tmp_path, bucket)
    before = list_kept(bucket)
    assert choose_others(before) != before
    erase(ledger, "ann", ZOE)
    left, failed, num_deleted = tell(delete_from_source(workspace))
    assert left == {name: [f"{bucket}/{NAMES_HER}"] for name in ("ann", ZOE)}
    assert (failed, num_deleted) == (
        {},
        len([one for one in before if one[1] == "Versions"])
        - len([one for one in choose_others(before) if one[1] == "Versions"]),
    )
    assert list_kept(bucket) == choose_others(before)
    held = {"dog/ann.png.png", "dog/ben.png"}
    assert list_names(tmp_path / locate_mirror(bucket)) == held
    assert update_mirror(tmp_path, bucket) == Update(len(held) + 1, 0, 0)
    assert (tmp_path / locate_manifest(bucket)).exists()
    assert find_on_disk(disk, contents) == held


def find_on_disk(disk: Path, contents: dict[str, bytes]) -> set[str]:
    """Returns which of these contents the server has in any of its files."""
    files = [path.read_bytes() for path in disk.rglob("*") if path.is_file()]
    return {name for name, content in contents.items() if any(content in file for file in files)}


@pytest.mark.parametrize("bucket", ["plain"], indirect=True)
def test_clone_without_a_mirror_goes_by_the_buckets_own_table(ledger: Ledger, bucket: str, tmp_path: Path) -> None:
    erase(ledger, "ann", ZOE)
    before = list_kept(bucket)
    assert tell(delete_from_source(open_at(tmp_path, root=bucket)))[1] == {}
    assert list_kept(bucket) == choose_others(before)


@pytest.mark.parametrize("bucket", ["versioned"], indirect=True)
def test_killed_at_each_file_the_next_call_ends_it(ledger: Ledger, bucket: str, tmp_path: Path) -> None:
    workspace, before = open_at(tmp_path, root=bucket), list_kept(bucket)
    update_mirror(tmp_path, bucket)
    erase(ledger, "ann", ZOE)
    steps = [
        ("after", "tasks.workspace.source_deletion:delete_versions"),
        ("before", "tasks.workspace.source_deletion:remove_from_mirror"),
        ("before", "amun.ledger:Ledger.finish_source_deletions"),
    ]
    for moment, target in steps:
        if not (child := os.fork()):
            wrap(target, moment)
            delete_from_source(workspace)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, (moment, target)
        assert ledger.count_status(MODEL, NOW).source_waiting == 2
        assert choose_others(list_kept(bucket)) == choose_others(before)
    assert len(delete_from_source(workspace).done) == 2
    assert list_kept(bucket) == choose_others(before)
    assert list_names(tmp_path / locate_mirror(bucket)) == {"dog/ann.png.png", "dog/ben.png"}
    assert ledger.count_status(MODEL, NOW).source_waiting == 0


@pytest.mark.parametrize("bucket", ["versioned"], indirect=True)
def test_bucket_that_is_away_or_refuses_is_told_and_tried_again(
    ledger: Ledger, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    erase(ledger, "ann")
    workspace, before = open_at(tmp_path, root=bucket), list_kept(bucket)
    with monkeypatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", "guessed")
        with pytest.raises(AmunError, match="it does not answer or refuses"):
            delete_from_source(workspace)
        with pytest.raises(AmunError) as refused:
            delete_from_source(workspace)
        assert "ann.png" not in str(refused.value)

    def keep(client: Any, bucket: str, key: str) -> int:
        # as a bucket does whose rules keep this object
        refuse = "provide-client-params.s3.DeleteObject"
        client.meta.events.register_first(refuse, lambda params, **_: params.update(Bucket="no-such-bucket"))
        return delete_versions(client, bucket, key)

    with monkeypatch.context() as patch:
        patch.setattr(source_deletion, "delete_versions", keep)
        left, failed, num_deleted = tell(delete_from_source(workspace))
        assert (left, num_deleted) == ({}, 0)
        kept = sorted({name for name, _ in before if OWNERS.get(name) == "ann"})
        assert [told.partition(": ")[0] for told in failed["ann"]] == [f"{bucket}/{name}" for name in kept]
        assert all(f"s3://{bucket.split('/')[2]} refuses to delete it: " in told for told in failed["ann"])
    assert list_kept(bucket) == before
    assert tell(delete_from_source(workspace))[1] == {}


def test_object_in_parts_leaves_none_of_them(ledger: Ledger, bucket: str, disk: Path, tmp_path: Path) -> None:
    name, _, prefix = bucket.removeprefix("s3://").partition("/")
    client, key = open_client(), f"{prefix}/cat/ann/1.png"
    upload = client.create_multipart_upload(Bucket=name, Key=key)["UploadId"]
    parts = []
    for number in (1, 2):
        body = bytes([number]) * MULTIPART_BYTES
        tag = client.upload_part(Bucket=name, Key=key, UploadId=upload, PartNumber=number, Body=body)["ETag"]
        parts.append({"PartNumber": number, "ETag": tag})
    client.complete_multipart_upload(Bucket=name, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})
    # Swift's S3 API keeps the parts of an object in a container of its own, which S3 shows nobody
    assert count_large(disk) == len(parts)
    erase(ledger, "ann")
    assert tell(delete_from_source(open_at(tmp_path, root=bucket)))[1] == {}
    assert count_large(disk) == 0


def count_large(disk: Path) -> int:
    """Returns how many files of the size of a part the server has."""
    return sum(path.stat().st_size == MULTIPART_BYTES for path in disk.rglob("*.data"))
