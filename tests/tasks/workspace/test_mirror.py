"""A source on S3 by a real server: mirrored page by page, brought up to date, killed and gone on with."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from amun.core.errors import AmunError, InputError, withhold_names
from amun.core.paths import MIRRORS, locate_journal, locate_manifest, locate_mirror
from tasks.tools.s3 import open_client
from tasks.workspace import mirror
from tasks.workspace.mirror import Update, glance_at_bucket, update_mirror
from tests.swift import BUCKET
from tests.workspaces import read_tree


@pytest.fixture
def root(aws: dict[str, str], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of seven objects of a test's own, listed three a page."""
    assert aws
    for number in range(7):
        put(f"{request.node.name}/dog/{number}.png", number)

    def open_listing_client() -> Any:
        client = open_client()
        ask = "provide-client-params.s3.ListObjectsV2"
        client.meta.events.register(ask, lambda params, **_: params.update(MaxKeys=3))
        return client

    monkeypatch.setattr(mirror, "open_client", open_listing_client)
    return f"s3://{BUCKET}/{request.node.name}"


def put(key: str, content: object) -> None:
    open_client().put_object(Bucket=BUCKET, Key=key, Body=str(content).encode())


def read_mirror(workspace: Path, root: str) -> dict[str, str]:
    return {name: content.decode() for name, content in read_tree(workspace / locate_mirror(root)).items()}


def test_glance_lists_no_more_than_it_needs(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "GLANCE_OBJECTS", 7)
    assert glance_at_bucket(root) == (7, True)
    assert glance_at_bucket(f"{root}/nothing") == (0, True)
    monkeypatch.setattr(mirror, "GLANCE_OBJECTS", 3)
    put(f"{root.rpartition('/')[2]}/.hidden/0.png", "as no source reads it")
    assert glance_at_bucket(root) == (3, False)


def test_mirror_follows_the_bucket(root: str, tmp_path: Path) -> None:
    everything = {f"dog/{number}.png": str(number) for number in range(7)}
    put(f"{root.rpartition('/')[2]}-too/other.png", "not below the prefix")
    assert update_mirror(tmp_path, root) == Update(7, 7, 0)
    assert read_mirror(tmp_path, root) == everything
    assert update_mirror(tmp_path, root) == Update(7, 0, 0)

    prefix = root.rpartition("/")[2]
    put(f"{prefix}/dog/3.png", "x")  # of the same size
    put(f"{prefix}/cat/new.png", "new")
    open_client().delete_object(Bucket=BUCKET, Key=f"{prefix}/dog/0.png")
    (tmp_path / locate_mirror(root) / "dog/5.png").unlink()
    assert update_mirror(tmp_path, root) == Update(7, 3, 1)
    assert read_mirror(tmp_path, root) == {
        name: content for name, content in everything.items() if name != "dog/0.png"
    } | {"dog/3.png": "x", "cat/new.png": "new"}
    paths = {locate_mirror(root), locate_manifest(root)}
    assert {path.relative_to(tmp_path) for path in (tmp_path / MIRRORS).iterdir()} == paths


def test_mirror_has_what_a_source_reads_and_nothing_of_a_lakehouse_table(root: str, tmp_path: Path) -> None:
    prefix = root.rpartition("/")[2]
    for hidden in ("dog/._0.png", ".trash/old.png"):
        put(f"{prefix}/{hidden}", "of nobody's business")
        (tmp_path / locate_mirror(root) / hidden).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / locate_mirror(root) / hidden).write_text("as an earlier update fetched it", encoding="utf-8")
    assert update_mirror(tmp_path, root) == Update(7, 7, 2)
    assert sorted(read_mirror(tmp_path, root)) == [f"dog/{number}.png" for number in range(7)]
    put(f"{prefix}/table/_delta_log/0.json", "{}")
    with pytest.raises(InputError, match=f"data.root: {root} is a Delta Lake table"):
        update_mirror(tmp_path, root)


def test_object_takes_the_place_of_a_folder_and_a_folder_that_of_an_object(root: str, tmp_path: Path) -> None:
    prefix, client = root.rpartition("/")[2], open_client()
    put(f"{prefix}/cat", "a file")
    put(f"{prefix}/bird/small/1.png", "in a folder")
    update_mirror(tmp_path, root)
    for name in ("cat", "bird/small/1.png"):
        client.delete_object(Bucket=BUCKET, Key=f"{prefix}/{name}")
    put(f"{prefix}/cat/1.png", "in a folder now")
    put(f"{prefix}/bird", "a file now")
    assert update_mirror(tmp_path, root) == Update(9, 2, 2)
    mirrored = read_mirror(tmp_path, root)
    assert (mirrored["cat/1.png"], mirrored["bird"]) == ("in a folder now", "a file now")
    assert update_mirror(tmp_path, root) == Update(9, 0, 0)


def test_mirror_of_another_address_is_removed(root: str, tmp_path: Path) -> None:
    update_mirror(tmp_path, root)
    update_mirror(tmp_path, f"{root}/dog")
    assert set(read_mirror(tmp_path, f"{root}/dog")) == {f"{number}.png" for number in range(7)}
    assert not (tmp_path / locate_mirror(root)).exists()
    assert not (tmp_path / locate_manifest(root)).exists()


def test_killed_update_goes_on_where_it_was(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = os.fork()
    if pid == 0:
        fetch, num_fetched = mirror._fetch, 0

        def fetch_three(*args: Any) -> None:
            nonlocal num_fetched
            num_fetched += 1
            if num_fetched > 3:
                (tmp_path / mirror.PARTS / "half").write_bytes(b"half of somebody")
                os.kill(os.getpid(), signal.SIGKILL)
            fetch(*args)

        monkeypatch.setattr(mirror, "_fetch", fetch_three)
        monkeypatch.setattr(mirror, "NUM_CONNECTIONS", 1)
        update_mirror(tmp_path, root)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    journal = tmp_path / locate_journal(root)
    assert journal.exists()
    assert not (tmp_path / locate_manifest(root)).exists()
    with journal.open("a", encoding="utf-8") as lines:
        lines.write('["dog/6.png", "to')  # torn

    update = update_mirror(tmp_path, root)
    assert update.num_objects == 7
    assert 4 <= update.num_fetched < 7
    assert len(read_mirror(tmp_path, root)) == 7
    assert {path.suffix for path in (tmp_path / MIRRORS).iterdir()} == {"", ".json"}
    assert not (tmp_path / mirror.PARTS).exists()


def test_keys_that_are_no_paths_are_all_named(root: str, tmp_path: Path) -> None:
    prefix = root.rpartition("/")[2]
    for name in ("../outside.png", "dog//x.png", "dog", "n" * 300):
        put(f"{prefix}/{name}", "x")
    with pytest.raises(InputError, match="4 problems") as refused:
        update_mirror(tmp_path, root)
    assert "outside.png is a key that leads out of the folder" in str(refused.value)
    assert "dog is the key of an object and of a folder" in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_object_that_changes_meanwhile_ends_the_update(root: str, tmp_path: Path) -> None:
    choose_wanted = mirror._choose_wanted

    def change_after_listing(*args: Any) -> Any:
        wanted = choose_wanted(*args)
        put(f"{root.rpartition('/')[2]}/dog/4.png", "changed")
        return wanted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mirror, "_choose_wanted", change_after_listing)
        refusal = f"^{root}: it does not answer or refuses: .*PreconditionFailed"
        # Prefect keeps the line, and a key may be a person's
        with withhold_names(), pytest.raises(AmunError, match=refusal) as refused:
            update_mirror(tmp_path, root)
    assert "dog" not in str(refused.value)
    update_mirror(tmp_path, root)
    assert read_mirror(tmp_path, root)["dog/4.png"] == "changed"


@pytest.mark.parametrize(("secret", "bucket"), [("testing", "no-such-bucket"), ("guessed", BUCKET)])
def test_missing_bucket_and_wrong_secret_are_refused_in_one_line(
    secret: str, bucket: str, aws: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert aws
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    with pytest.raises(AmunError, match=f"^s3://{bucket}/images: it does not answer or refuses") as refused:
        update_mirror(tmp_path, f"s3://{bucket}/images")
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []
