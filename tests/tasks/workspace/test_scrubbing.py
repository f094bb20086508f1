"""What DVC keeps is read part by part, on real places, all in its turn; damage is mended from the other side."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from dvc.repo import Repo

from amun.core.errors import AmunError
from amun.core.locks import hold_lock
from amun.core.params import read_params
from amun.core.paths import PARAMS, SCRUB, STAGE_LOCK, WAVE_BASE
from tasks.tools.content_places import ContentFolder, ContentPlace, list_content_places
from tasks.tools.dvc import add_file, push, set_remote
from tasks.tools.git import run_git
from tasks.workspace import scrubbing
from tasks.workspace.rot import mend_rot
from tasks.workspace.scrubbing import Scrubbed, choose_part, find_rot, list_lines, look, scrub, scrub_tonight
from tasks.workspace.workspace import Workspace
from tests.swift import BUCKET
from tests.workspaces import ROOT

TODAY = date(2027, 3, 9)
OLD, NAMED = b"of an earlier wave", b"of the wave that HEAD records"
CLEAN = Scrubbed((), (), ())
Make = Callable[[str], tuple[Workspace, ContentPlace, ContentPlace]]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def digest_of(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def store(place: ContentPlace, folder: Path, name: str, content: bytes) -> None:
    """Puts bytes under a name, be it theirs or not."""
    folder.mkdir(exist_ok=True)
    (folder / "copy").write_bytes(content)
    place.put(name, folder / "copy")


def read(place: ContentPlace, digest: str) -> bytes:
    with place.lend(digest) as copy:
        assert copy is not None
        return copy.read_bytes()


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a workspace with a remote at an address: it, the remote and the cache, which hold the same."""

    def make_at(address: str) -> tuple[Workspace, ContentPlace, ContentPlace]:
        root = tmp_path / "workspace"
        (root / WAVE_BASE).parent.mkdir(parents=True)
        run_git(root, "init", "--quiet")
        Repo.init(str(root)).close()
        set_remote(root, address)
        (root / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
        (root / WAVE_BASE).write_bytes(NAMED)
        add_file(root, WAVE_BASE)
        run_git(root, "add", "--all")
        run_git(root, "commit", "--quiet", "--message", "a wave")
        push(root)
        (remote, cache), unread = list_content_places(root)
        assert (remote.name, cache.name, unread) == ("DVC remote storage", "DVC cache", [])
        for place in (remote, cache):
            store(place, tmp_path / "copies", digest_of(OLD), OLD)
        return Workspace(root, read_params(ROOT / PARAMS)), remote, cache

    return make_at


def mend_both_sides(workspace: Workspace, remote: ContentPlace, cache: ContentPlace, folder: Path) -> None:
    """Damages a copy on each side and expects the other side's."""
    assert scrub(workspace, TODAY) == CLEAN
    for place, other, content in ((remote, cache, OLD), (cache, remote, OLD), (remote, cache, NAMED)):
        digest = digest_of(content)
        store(place, folder, digest, content[:-1] + b"?")
        (rot,), _ = find_rot(workspace, TODAY)
        assert rot.describe() in list_lines(scrub(workspace, TODAY))[0]
        assert f"{place.name}: {place.locate(digest)}" in rot.describe()
        assert rot.describe().endswith(f"{' (wave/base.safetensors)' if content == NAMED else ''} is damaged")
        assert (read(place, digest), read(other, digest)) == (content, content)
        assert scrub(workspace, TODAY) == CLEAN
    for content in (OLD, NAMED):
        remote.remove(digest_of(content))
    # nobody misses what no wave of today needs: an erasure removes such contents
    lost = remote.locate(digest_of(NAMED))
    told = f"DVC remote storage: {lost} (wave/base.safetensors) is missing: brought back from DVC cache"
    assert scrub(workspace, TODAY) == Scrubbed((told,), (), ())
    assert (remote.has(digest_of(NAMED)), remote.has(digest_of(OLD))) == (True, False)


def test_damage_in_a_folder_is_mended_from_the_cache_and_the_other_way(make: Make, tmp_path: Path) -> None:
    workspace, remote, cache = make(str(tmp_path / "remote"))
    mend_both_sides(workspace, remote, cache, tmp_path / "copies")
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "remote").rglob("*") if path.is_file()}
    assert modes == {0o444}


def test_damage_in_a_bucket_is_mended_from_the_cache_and_the_other_way(
    make: Make, tmp_path: Path, aws: dict[str, str]
) -> None:
    assert aws
    workspace, remote, cache = make(f"s3://{BUCKET}/scrubbed")
    mend_both_sides(workspace, remote, cache, tmp_path / "copies")
    assert list(remote.list_after("")) == [(digest_of(NAMED), len(NAMED))]
    assert list(remote.list_after(digest_of(NAMED))) == []


def test_damage_without_a_sound_copy_is_left_and_told(make: Make, tmp_path: Path) -> None:
    workspace, remote, cache = make(str(tmp_path / "remote"))
    digest = digest_of(OLD)
    for place in (remote, cache):
        store(place, tmp_path / "copies", digest, b"neither")
    scrubbed = scrub(workspace, TODAY)
    assert [line.split(" is ")[0] for line in scrubbed.left] == [
        f"{place.name}: {place.locate(digest)}" for place in (remote, cache)
    ]
    assert "put one there from a backup or another clone's cache" in scrubbed.left[0]
    assert read(remote, digest) == read(cache, digest) == b"neither"
    # HEAD's own has a third copy
    for place in (remote, cache):
        store(place, tmp_path / "copies", digest_of(NAMED), b"neither")
    mended = scrub(workspace, TODAY).mended
    assert [line.split("brought back from ")[1] for line in mended] == ["the work tree", "DVC remote storage"]


def test_copy_that_an_erasure_removes_meanwhile_is_not_brought_back(make: Make, tmp_path: Path) -> None:
    workspace, remote, _cache = make(str(tmp_path / "remote"))
    digest = digest_of(OLD)
    store(remote, tmp_path / "copies", digest, b"damaged")
    (rot,), _ = find_rot(workspace, TODAY)
    with (
        hold_lock(workspace.root / STAGE_LOCK),
        pytest.raises(AmunError, match="a stage is running here"),
    ):
        mend_rot(workspace, rot)
    remote.remove(digest)
    assert mend_rot(workspace, rot) == ""
    assert not remote.has(digest)


def test_place_that_cannot_be_read_hinders_no_other(make: Make, tmp_path: Path) -> None:
    workspace, remote, cache = make(str(tmp_path / "remote"))
    store(cache, tmp_path / "copies", digest_of(OLD), b"damaged")
    objects = tmp_path / "remote/files/md5"
    (objects / "aa").mkdir()
    # no content, though it is named as one
    (objects / "aa" / ("a" * 30)).mkdir()
    scrubbed = scrub(workspace, TODAY)
    (line,) = scrubbed.unread
    assert "DVC remote storage: not all of tonight's part could be read" in line
    assert "Is a directory" in line
    assert len(scrubbed.mended) == 1
    assert read(cache, digest_of(OLD)) == read(remote, digest_of(OLD)) == OLD


def make_folder(tmp_path: Path, sizes: list[int]) -> ContentFolder:
    """Returns a place with contents of these sizes."""
    place = ContentFolder("place", tmp_path / "objects")
    for number, size in enumerate(sizes):
        content = os.urandom(size)
        store(place, tmp_path / "copies", digest_of(content) + (".dir" if number % 5 == 0 else ""), content)
    return place


def test_so_many_nights_read_all_and_each_a_bounded_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrubbing, "PART_BYTES", 100)
    place = make_folder(tmp_path, [30] * 20 + [250])
    (tmp_path / "objects/aa").mkdir(exist_ok=True)
    (tmp_path / "objects/aa/half-written.unfinished").touch()
    sizes = dict(place.list_after(""))
    assert len(sizes) == 21
    after, times = "7" * 32, Counter[str]()
    # three of 30 bytes a night, the large one alone, and a night on either side of it may have fewer
    for _ in range(9):
        part = list(choose_part(place, after))
        assert len(part) == 1 or sum(sizes[digest] for digest in part) <= 100
        times.update(part)
        after = part[-1]
    assert set(times) == set(sizes)
    assert max(times.values()) <= 2, "no content is read again before all others were"
    grown = set(sizes)
    for _ in range(12):  # a wave adds one each night
        content = os.urandom(30)
        store(place, tmp_path / "copies", digest_of(content), content)
        part = list(choose_part(place, after))
        grown -= set(part)
        after = part[-1]
    assert grown == set()


def test_part_ends_with_its_time_and_has_one_content_at_least(tmp_path: Path) -> None:
    place = make_folder(tmp_path, [0, 10, 10, 10])
    in_order = [digest for digest, _ in place.list_after("")]
    assert list(choose_part(place, "", clock=lambda: 0.0)) == in_order
    seconds: Iterator[float] = map(float, count(0, 25))
    # begun at 0, asked at 25 and 50, over at 75
    assert list(choose_part(place, "", clock=lambda: next(seconds))) == in_order[:3]
    assert list(choose_part(place, in_order[1], clock=iter([0.0, 99.0]).__next__)) == in_order[2:3]
    assert list(choose_part(make_folder(tmp_path / "none", []), "")) == []


def test_nights_go_on_where_the_last_one_ended(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, remote, cache = make(str(tmp_path / "remote"))
    monkeypatch.setattr(scrubbing, "PART_BYTES", 1)
    for number in range(5):
        store(remote, tmp_path / "copies", digest_of(b"%d" % number), b"damaged")
        store(cache, tmp_path / "copies", digest_of(b"%d" % number), b"%d" % number)
    nights = [scrub(workspace, TODAY) for _ in range(7)]
    assert sum(len(night.mended) for night in nights) == 5
    assert max(len(night.mended) for night in nights) == 1
    kept = (workspace.root / SCRUB).read_text(encoding="utf-8")
    assert find_rot(workspace, TODAY) == ([], [])
    assert (workspace.root / SCRUB).read_text(encoding="utf-8") == kept, "whoever only looks takes no night's part"
    # of a torn file, and in a fresh clone, the day draws
    (workspace.root / SCRUB).write_text('{"after', encoding="utf-8")
    assert find_rot(workspace, TODAY)[1] == []
    begun = [look(workspace, {}, TODAY + timedelta(days=number))[1][remote.name] for number in range(5)]
    assert len(set(begun)) > 1
    assert look(workspace, {}, TODAY)[1][remote.name] == begun[0]


def test_a_night_goes_on_whatever_becomes_of_it(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "nothing", read_params(ROOT / PARAMS))
    (line,) = list_lines(scrub_tonight(workspace, datetime(2027, 3, 9, tzinfo=UTC)))
    assert line.startswith("warning: cache and remotes were not scrubbed: ")
    assert list_lines(None) == []
