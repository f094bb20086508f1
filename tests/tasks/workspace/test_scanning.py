"""Every place is looked through, with what was removed there; one that cannot be read fails the scan."""

import gzip
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from dvc.repo import Repo
from mlflow import MlflowClient
from sqlalchemy import create_engine, make_url

from amun.core.errors import AmunError
from amun.core.paths import LEDGER, STATE
from amun.evidence.scan import ScanRecord
from amun.scan.fingerprint import SEALED
from amun.scan.hashing import WindowHash
from amun.scan.taking import FingerprintTaker
from amun.vault.fingerprints import fingerprint_key
from amun.vault.vault import open_vault
from tasks.tools.content_places import list_content_places
from tasks.tools.dvc import add_file, push
from tasks.tools.git import run_git
from tasks.tools.tree import list_tree
from tasks.workspace.scanning import Scan, Scanned, Target, record_scan, scan
from tasks.workspace.workspace import Workspace
from tests.amun.ledger.conftest import create_postgres_schema
from tests.amun.ledger.helpers import NOW
from tests.amun.scan.planting import PACKS, draw, name_whole
from tests.amun.sealing import make_vault
from tests.amun.shipped import PARAMS
from tests.postgres import run_postgres
from tests.swift import BUCKET

IMAGE = draw(1, 3, 16, 16)
COPY = b"..." + IMAGE.tobytes()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """MLflow's database with an experiment and a run, whose files are to lie in `/nowhere`."""
    path = tmp_path_factory.mktemp("registry") / "mlflow.db"
    client = MlflowClient(f"sqlite:///{path}")
    client.create_run(client.create_experiment("ours", artifact_location="/nowhere/files"))
    return path.read_bytes()


@pytest.fixture
def workspace(tmp_path: Path, registry: bytes, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace with a DVC remote, in whose places nothing lies; each place is a folder of its own."""
    root = tmp_path / "workspace"
    for name in ("workspace", "remote", "prefect", "site", "tmp", "files"):
        (tmp_path / name).mkdir()
    run_git(root, "init", "--quiet")
    with Repo.init(str(root)) as repo:
        (Path(repo.cache.local.path)).mkdir(parents=True)
    (root / ".dvc/config").write_text(f"['remote \"storage\"']\n    url = {tmp_path / 'remote'}\n", encoding="utf-8")
    run_git(root, "add", "--all")
    run_git(root, "commit", "--quiet", "--message", "nothing yet")
    monkeypatch.chdir(root)
    variables = {
        "AMUN_KEYS_URL": f"sqlite:///{root / STATE / 'keys.db'}",
        "AMUN_KEK": f"file:{root / STATE / 'kek'}",
        "AMUN_LEDGER_URL": f"sqlite:///{root / LEDGER}",
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}",
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "DVC_SITE_CACHE_DIR": str(tmp_path / "site"),
        "TMPDIR": str(tmp_path / "tmp"),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "mlflow.db").write_bytes(registry)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE experiments SET artifact_location = ?", (str(tmp_path / "files"),))
    make_vault(root)
    return Workspace(root, PARAMS)


def look(workspace: Workspace, *, only_own: bool = False, **of_target: Any) -> Scan:
    """Returns what a scan finds of the image."""
    taker = FingerprintTaker(WindowHash.derive(fingerprint_key(open_vault(workspace.root))))
    taker.add_payloads(0, IMAGE)
    taker.add_content(SEALED, b"sealed" + draw(900, seed=5).tobytes())
    return scan(workspace, [Target("R-000001", "ann", False, taker.finish(), **of_target)], only_own=only_own)


def list_found(found: Scan, kind: str = "readable") -> set[str]:
    return {place.place for place in found.places if getattr(place, kind)}


def list_problems(found: Scan) -> list[str]:
    return [problem for place in found.places for problem in place.problems]


def test_nothing_is_found_where_nothing_lies(workspace: Workspace) -> None:
    found = look(workspace)
    assert (found.is_clean, list_found(found), list_problems(found)) == (True, set(), [])
    assert {place.place for place in found.places} == {
        "work tree",
        ".amun",
        "git's own files",
        "DVC cache",
        "DVC remote storage",
        "MLflow's files of ours",
        "database of MLflow",
        "Prefect's home",
        "DVC's site cache",
        "temporary files",
        "git objects",
    }
    assert sum(place.num_bytes for place in found.places) > 100_000
    assert not look(workspace, lack="not whole").is_clean


def test_places_to_which_others_write_can_be_left_out(workspace: Workspace, tmp_path: Path) -> None:
    found = look(workspace, only_own=True)
    assert {place.place for place in found.places} == {
        ".amun",
        "DVC cache",
        "DVC remote storage",
        "MLflow's files of ours",
        "database of MLflow",
        "Prefect's home",
        "DVC's site cache",
    }
    for folder in (workspace.root, tmp_path / "tmp", tmp_path / "prefect"):
        (folder / "copy").write_bytes(COPY)
    assert list_found(look(workspace, only_own=True)) == {"Prefect's home"}


def test_record_has_the_figures_of_one_person_and_names_nobody(workspace: Workspace, tmp_path: Path) -> None:
    (workspace.root / "copy").write_bytes(COPY)
    torn = gzip.compress(b"x" * 99)[:-9]
    (tmp_path / "tmp/torn.gz").write_bytes(torn)
    found = look(workspace)
    record = record_scan(found, found.targets[0], NOW)
    assert (record.num_payloads, record.num_files, record.num_blank, record.has_key) == (2, 0, 0, False)
    places = {place.place: place for place in record.places}
    assert (places["work tree"].num_readable, places["work tree"].num_sealed) == (1, 0)
    assert (places["temporary files"].num_unread, places["temporary files"].num_bytes) == (1, len(torn))
    written = record.model_dump_json()
    assert ScanRecord.model_validate_json(written) == record
    assert all(word not in written for word in ("R-000001", str(tmp_path), "torn"))
    target = Target("R-000002", "ben", False, None, "erased on 2026-01-31, and no fingerprints are kept")
    with pytest.raises(AmunError, match="R-000002: erased on 2026-01-31"):
        record_scan(found, target, NOW)


@pytest.mark.parametrize("pack", ["plain", "zip", "parquet by zstd", "base64 in JSON"])
def test_copy_in_each_place_is_found(pack: str, workspace: Workspace, tmp_path: Path) -> None:
    folders = {
        "work tree": workspace.root / "data",
        ".amun": workspace.root / ".amun/partial",
        "git's own files": workspace.root / ".git/modules",
        "DVC cache": workspace.root / ".dvc/cache/files/md5/00",
        "DVC remote storage": tmp_path / "remote/files/md5/00",
        "MLflow's files of ours": tmp_path / "files/0",
        "Prefect's home": tmp_path / "prefect/storage",
        "DVC's site cache": tmp_path / "site/repo",
        "temporary files": tmp_path / "tmp/left",
    }
    for folder in folders.values():
        folder.mkdir(parents=True)
        (folder / "copy").write_bytes(PACKS[pack](COPY))
    found = look(workspace)
    assert {place.place: place.readable for place in found.places if place.readable} == {
        name: {"R-000001": 1} for name in folders
    }
    assert not found.is_clean


def test_objects_that_no_commit_reaches_are_unpacked(workspace: Workspace) -> None:
    path = workspace.root / "photo"
    path.write_bytes(gzip.compress(COPY))
    run_git(workspace.root, "hash-object", "-w", "photo")
    path.unlink()
    assert list_found(look(workspace)) == {"git objects"}
    run_git(workspace.root, "gc", "--quiet", "--prune=now")
    assert look(workspace).is_clean
    # in a pack
    path.write_bytes(COPY)
    run_git(workspace.root, "add", "photo")
    run_git(workspace.root, "commit", "--quiet", "--message", "a photo")
    run_git(workspace.root, "rm", "--quiet", "photo")
    run_git(workspace.root, "commit", "--quiet", "--message", "no photo")
    run_git(workspace.root, "gc", "--quiet")
    assert list_found(look(workspace)) == {"git objects"}


def test_object_too_large_to_be_held_is_read_as_a_stream(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.tools.git_objects.MAX_HELD", 100)
    for content in (COPY, gzip.compress(COPY)):
        (workspace.root / "photo").write_bytes(content)
        run_git(workspace.root, "hash-object", "-w", "photo")
        (workspace.root / "photo").unlink()
        assert list_found(look(workspace)) == {"git objects"}
        run_git(workspace.root, "gc", "--quiet", "--prune=now")


def test_rows_that_a_database_has_removed_and_those_in_its_log_are_found(workspace: Workspace, tmp_path: Path) -> None:
    def write(*statements: str) -> None:
        with closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as connection:
            for statement in ("PRAGMA secure_delete = OFF", *statements):
                connection.execute(statement, {"content": bytes(9000) + COPY} if ":content" in statement else {})

    write("CREATE TABLE kept (content BLOB)", "INSERT INTO kept VALUES (:content)", "DROP TABLE kept")
    assert list_found(look(workspace)) == {"database of MLflow"}
    write("VACUUM")
    assert look(workspace).is_clean
    with closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE kept (content BLOB)")
        connection.execute("INSERT INTO kept VALUES (?)", (COPY,))
        assert list_found(look(workspace)) == {"database of MLflow-wal"}


def test_sealed_rows_are_told_apart_and_count_while_there_is_a_key(workspace: Workspace) -> None:
    (workspace.root / "row").write_bytes(b"before it" + b"sealed" + draw(900, seed=5).tobytes())
    found = look(workspace)
    assert (found.is_clean, list_found(found), list_found(found, "sealed")) == (True, set(), {"work tree"})
    found.targets[0] = Target("R-000001", "ann", True, found.targets[0].fingerprint)
    assert not found.is_clean


def test_database_on_postgres_is_read_by_its_tables(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with run_postgres() as server:
        url = create_postgres_schema(server, "Kept")
        monkeypatch.setenv("AMUN_LEDGER_URL", url)
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql('CREATE TABLE "of it" (number int, content bytea, note text)')
            connection.exec_driver_sql('INSERT INTO "of it" VALUES (1, %s, %s)', (b"x" * 5000, "nothing"))
        found = look(workspace)
        assert (found.is_clean, _find(found, "database of ledger").num_contents) == (True, 1)
        with engine.begin() as connection:
            connection.exec_driver_sql('INSERT INTO "of it" VALUES (2, %s, %s)', (COPY, "a copy"))
        assert list_found(look(workspace)) == {"database of ledger"}
        engine.dispose()
        monkeypatch.setenv("AMUN_LEDGER_URL", str(make_url(url).set(database="nowhere")))
        (problem,) = list_problems(look(workspace))
        assert "does not answer" in problem


def _find(found: Scan, name: str) -> Scanned:
    return next(place for place in found.places if place.place == name)


@pytest.fixture
def versioned(workspace: Workspace, aws: dict[str, str]) -> Iterator[Any]:
    """A client of a bucket that keeps versions, which is the workspace's remote."""
    assert aws
    client = boto3.Session().client("s3")
    client.create_bucket(Bucket="versions")
    client.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    config = "['remote \"storage\"']\n    url = s3://versions/data\n"
    (workspace.root / ".dvc/config").write_text(config, encoding="utf-8")
    yield client
    for upload in client.list_multipart_uploads(Bucket="versions").get("Uploads", []):
        client.abort_multipart_upload(Bucket="versions", Key=upload["Key"], UploadId=upload["UploadId"])
    for kind in ("Versions", "DeleteMarkers"):
        for entry in client.list_object_versions(Bucket="versions").get(kind, []):
            client.delete_object(Bucket="versions", Key=entry["Key"], VersionId=entry["VersionId"])
    client.delete_bucket(Bucket="versions")


def test_versions_of_a_bucket_that_were_replaced_or_deleted_are_read(workspace: Workspace, versioned: Any) -> None:
    contents = {
        "data/replaced": COPY,
        "data/deleted": PACKS["zip"](COPY),
        "data/packed": PACKS["parquet by zstd"](COPY),
    }
    for key, content in contents.items():
        versioned.put_object(Bucket="versions", Key=key, Body=content)
        versioned.put_object(Bucket="versions", Key=key, Body=b"another")
    versioned.delete_object(Bucket="versions", Key="data/deleted")
    versioned.put_object(Bucket="versions", Key="elsewhere/copy", Body=COPY)
    place = _find(look(workspace), "DVC remote storage")
    assert (place.readable, place.num_contents, place.problems) == ({"R-000001": 3}, 6, [])
    for entry in versioned.list_object_versions(Bucket="versions", Prefix="data/")["Versions"]:
        versioned.delete_object(Bucket="versions", Key=entry["Key"], VersionId=entry["VersionId"])
    assert look(workspace).is_clean


def test_copy_that_dvc_leaves_in_a_remote_by_names_is_found(workspace: Workspace, versioned: Any) -> None:
    root = workspace.root
    with (root / ".dvc/config").open("a", encoding="utf-8") as config:
        config.write("    worktree = true\n[core]\n    remote = storage\n")
    (root / "raw").mkdir()
    (root / "raw/copy").write_bytes(COPY)
    (root / "raw/other").write_bytes(b"another")
    add_file(root, Path("raw"))
    push(root)
    # what is taken out of the folder stays there, and DVC says that all is up to date
    (root / "raw/copy").unlink()
    add_file(root, Path("raw"))
    push(root)
    keys = {entry["Key"] for entry in versioned.list_objects_v2(Bucket="versions")["Contents"]}
    assert "data/raw/copy" in keys
    assert _find(look(workspace), "DVC remote storage").readable == {"R-000001": 1}
    (line,) = list_content_places(root)[1]
    assert line.startswith("DVC remote storage: it keeps files by their names")


def test_large_object_of_a_bucket_is_read_in_ranges(
    workspace: Workspace, versioned: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.tools.s3_versions.RANGE_BYTES", 1000)
    content = PACKS["stored zip"](draw(4321, seed=3).tobytes() + gzip.compress(COPY))
    versioned.put_object(Bucket="versions", Key="data/large", Body=content)
    versioned.put_object(Bucket="versions", Key="data/inner", Body=PACKS["stored zip"](gzip.compress(COPY)))
    place = _find(look(workspace), "DVC remote storage")
    assert (place.readable, place.problems) == ({"R-000001": 1}, [])
    assert place.num_bytes == len(content) + len(PACKS["stored zip"](gzip.compress(COPY)))


def test_uploads_that_were_not_ended_and_buckets_that_are_away_fail_the_scan(
    workspace: Workspace, versioned: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = versioned.create_multipart_upload(Bucket="versions", Key="data/half")
    versioned.upload_part(
        Bucket="versions", Key="data/half", UploadId=upload["UploadId"], PartNumber=1, Body=bytes(5 << 20)
    )
    found = look(workspace)
    (problem,) = list_problems(found)
    assert ("1 unfinished upload" in problem, found.is_clean) == (True, False)
    versioned.abort_multipart_upload(Bucket="versions", Key="data/half", UploadId=upload["UploadId"])
    assert look(workspace).is_clean
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "guessed")
    (problem,) = list_problems(look(workspace))
    assert problem.startswith("s3://versions/data: it does not answer or refuses")
    assert BUCKET not in problem


def test_whole_file_is_found_where_it_lies_and_nobody_need_be_looked_for(workspace: Workspace, tmp_path: Path) -> None:
    weights = draw(5000, seed=8).tobytes()
    wanted = [name_whole("version 1", weights)]
    assert scan(workspace, [], files=wanted).is_clean
    (tmp_path / "files/model.safetensors").write_bytes(weights)
    (workspace.root / "model.pt2").write_bytes(PACKS["stored zip"](weights))
    found = scan(workspace, [], files=wanted)
    assert {place.place: place.files for place in found.places if place.files} == {
        "work tree": {"version 1": 1},
        "MLflow's files of ours": {"version 1": 1},
    }
    assert not found.is_clean


def write_torn(root: Path) -> None:
    (root.parent / "tmp/torn.gz").write_bytes(gzip.compress(draw(99, seed=7).tobytes())[:-9])


def remove_remote(root: Path) -> None:
    (root.parent / "remote").rmdir()


def name_other_remote(root: Path) -> None:
    config = "['remote \"other\"']\n    url = ssh://me:s3cret@host/data\n"
    (root / ".dvc/config").write_text(config, encoding="utf-8")


def damage_object(root: Path) -> None:
    path = next(path for path in (root / ".git/objects").rglob("*") if path.is_file())
    path.chmod(0o600)
    path.write_bytes(b"no object")


def remove_artifacts(root: Path) -> None:
    (root.parent / "files").rmdir()


UNREADABLE: dict[str, Callable[[Path], None]] = {
    "torn.gz: ": write_torn,
    "remote is not there; mount it": remove_remote,
    "@host/data: nothing here reads such an address": name_other_remote,
    "git cannot read all objects of": damage_object,
    "files is not there; mount it": remove_artifacts,
}


@pytest.mark.parametrize("said", UNREADABLE)
def test_place_that_cannot_be_read_fails_the_scan_in_one_line(said: str, workspace: Workspace) -> None:
    UNREADABLE[said](workspace.root)
    found = look(workspace)
    (problem,) = list_problems(found)
    assert (said in problem, found.is_clean, list_found(found)) == (True, False, set())
    assert "s3cret" not in problem


def test_server_whose_database_nobody_sees_fails_the_scan(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.workspace.places._list_artifacts", dict)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somebody:s3cret@mlflow.example")
    (problem,) = list_problems(look(workspace))
    assert "name the database in MLFLOW_TRACKING_URI" in problem
    assert "s3cret" not in problem


def test_folder_that_cannot_be_listed_is_told_and_what_others_keep_to_themselves_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("open", "closed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    (tmp_path / "open/link").symlink_to(tmp_path / "closed/file")
    os.mkfifo(tmp_path / "open/pipe")
    real = Path.iterdir

    def refuse(path: Path) -> Iterator[Path]:
        if path.name == "closed":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    problems: list[str] = []
    assert list(list_tree(tmp_path, (), problems)) == [tmp_path / "open/file"]
    assert problems == [f"{tmp_path / 'closed'}: Permission denied"]
    # of another user, who lets nobody in
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    monkeypatch.setattr(os, "access", lambda path, _: Path(path).name != "closed")
    problems.clear()
    assert list(list_tree(tmp_path, (), problems, is_shared=True)) == [tmp_path / "open/file"]
    assert problems == []
