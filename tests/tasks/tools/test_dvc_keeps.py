"""What DVC keeps, loses and restores, as far as waves and people's data rely on it; each with the real DVC."""

import os
from pathlib import Path

import pytest
from dvc.config import RemoteConfigError
from dvc.repo import Repo

from amun.core.errors import AmunError
from tasks.tools import dvc
from tasks.tools.content_places import list_content_places
from tasks.tools.contents import find_cached
from tasks.tools.digests import compute_md5
from tasks.tools.git import commit_paths, name_tag, run_git, tag_commit
from tasks.tools.s3 import open_client

STAGES = """stages:
  prepare:
    cmd: python -c "open('made', 'w').write('made')"
    outs: [made]
  train:
    cmd: python -c "open('trained', 'w').write(open('made').read())"
    deps: [made]
    outs: [trained]
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with DVC."""
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    return make_repository(tmp_path / "workspace")


def make_repository(root: Path) -> Path:
    root.mkdir()
    run_git(root, "init", "--quiet")
    Repo.init(str(root)).close()
    return root


def keep(root: Path, content: str) -> str:
    """Puts a file with this content under DVC, in a commit; returns its MD5."""
    (root / "file").write_text(content, encoding="ascii")
    dvc.add_file(root, Path("file"))
    commit_paths(root, ["file.dvc", ".gitignore"], content)
    return str(compute_md5(root / "file"))


def test_what_a_waves_tag_reaches_no_gc_takes_that_keeps_tags(root: Path) -> None:
    first = keep(root, "of wave 0")
    tag_commit(root, name_tag(0), run_git(root, "rev-parse", "HEAD"), "wave 0")
    second, third = keep(root, "of no wave"), keep(root, "of the work tree")
    with dvc.open_repo(root) as repo:
        repo.gc(all_tags=True, force=True)
    assert set(find_cached(root, [first, second, third])) == {first, third}
    with dvc.open_repo(root) as repo:
        repo.gc(workspace=True, force=True)
    assert set(find_cached(root, [first, second, third])) == {third}


def test_gc_after_an_import_empties_the_cache_of_what_is_in_use(root: Path, tmp_path: Path) -> None:
    source = make_repository(tmp_path / "pictures")
    (source / "images").mkdir()
    (source / "images/1.png").write_bytes(b"a picture")
    dvc.add_file(source, Path("images"))
    commit_paths(source, ["images.dvc", ".gitignore"], "pictures")
    with dvc.open_repo(root) as repo:
        repo.imp(str(source), "images", out="raw")
    own, imported = keep(root, "its own"), str(compute_md5(root / "raw/1.png"))
    assert set(find_cached(root, [own, imported])) == {own, imported}
    with dvc.open_repo(root) as repo:
        repo.gc(workspace=True, force=True)
    assert (root / "raw.dvc").exists()
    assert (root / "raw/1.png").exists()
    assert set(find_cached(root, [own, imported])) == {own}


def test_missing_output_of_a_frozen_stage_is_brought_back_by_checkout_alone(root: Path) -> None:
    (root / "dvc.yaml").write_text(STAGES, encoding="ascii")
    for stage in ("prepare", "train"):
        dvc.reproduce(root, stage)
    with dvc.open_repo(root) as repo:
        repo.freeze("prepare")
    for name in ("made", "trained"):
        (root / name).unlink()
    # the cache has it, and yet
    with pytest.raises(AmunError, match=r"^stage prepare failed: missing data 'source': made$"):
        dvc.reproduce(root, "prepare")
    assert not (root / "made").exists()
    dvc.fetch(root)
    assert (root / "made").read_text(encoding="ascii") == "made"
    dvc.reproduce(root, "train")


@pytest.mark.usefixtures("aws")
def test_gc_takes_nothing_from_a_bucket_that_keeps_versions(root: Path) -> None:
    bucket = open_client()
    bucket.create_bucket(Bucket="versioned")
    bucket.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    remote = {"url": "s3://versioned/dvc", "endpointurl": os.environ["AWS_ENDPOINT_URL"], "version_aware": True}
    with dvc.open_repo(root) as repo, repo.config.edit("local") as settings:
        settings |= {"core": {"remote": "versioned"}, "remote": {"versioned": remote}}
    for content in ("one", "two"):
        keep(root, content)
        with dvc.open_repo(root) as repo:
            assert repo.push() == 1
    with (
        dvc.open_repo(root) as repo,
        pytest.raises(RemoteConfigError, match="'gc -c' is unsupported for cloud"),
    ):
        repo.gc(workspace=True, cloud=True, force=True)
    kept = bucket.list_object_versions(Bucket="versioned")["Versions"]
    assert [entry["Key"] for entry in kept] == ["dvc/file", "dvc/file"]
    # nor do we look into it, which is said
    places, unread = list_content_places(root)
    assert len(places) == 1
    assert "remove older ones there" in "".join(unread)
