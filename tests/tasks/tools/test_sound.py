"""Of three copies of a content a sound one mends the others before anything reads them; that there is none is said."""

import os
import sys
from pathlib import Path

import pytest

from amun.core.errors import AmunError
from amun.core.paths import AUDIT_LOGITS, TRAIN, UNLEARNED, WAVE_BASE
from tasks.tools.contents import locate_cached
from tasks.tools.digests import UNREADABLE, compute_md5
from tasks.tools.dvc import list_inputs, push, set_remote
from tasks.tools.sound import find_damage, make_sound, read_stored, require_sent
from tests.workspaces import Site


def flip(path: Path) -> None:
    """Flips a bit in the middle, as a disk does: the file keeps its time."""
    before = path.stat()
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def locate(site: Site, path: Path) -> Path:
    """Returns where the cache has a file."""
    md5 = read_stored(site.root)[str(path)]
    return locate_cached(site.root, [md5])[md5]


@pytest.fixture
def remote(site: Site, tmp_path: Path) -> Path:
    """A DVC remote that has all of the workspace."""
    set_remote(site.root, str(tmp_path / "remote"))
    push(site.root)
    return tmp_path / "remote"


def test_finished_wave_is_sound(wave_one: Site) -> None:
    assert list(find_damage(wave_one.root, in_cache=True)) == []
    assert {str(path) for path in (TRAIN, AUDIT_LOGITS, WAVE_BASE, UNLEARNED)} <= set(read_stored(wave_one.root))


@pytest.mark.usefixtures("remote")
@pytest.mark.parametrize("path", [AUDIT_LOGITS, WAVE_BASE])
def test_damaged_input_is_mended_from_the_next_copy(path: Path, site: Site) -> None:
    root, inputs, cached = site.root, list_inputs(site.root, "audit"), locate(site, path)
    sound = (root / path).read_bytes()
    flip(root / path)
    assert make_sound(root, inputs) == [f"{path} is damaged: brought back from the cache"]
    flip(root / path)
    flip(cached)
    assert f"{path} is damaged: brought back from the DVC remote" in make_sound(root, inputs)
    assert (root / path).read_bytes() == cached.read_bytes() == sound
    (root / path).unlink()
    assert make_sound(root, inputs) == [f"{path} is missing: brought back from the cache"]
    assert make_sound(root, inputs) == []
    cached.unlink()
    assert make_sound(root, inputs) == [], "what is read is sound"
    assert "missing: brought back from the work tree" in make_sound(root, in_cache=True)[0]
    assert list(find_damage(root, in_cache=True)) == []


@pytest.mark.parametrize(
    ("path", "advice"),
    [(TRAIN, "put a sound copy .* at {cached}"), (UNLEARNED, "run the wave again, which makes it anew")],
)
def test_damage_that_no_copy_mends_is_named_with_what_does(path: Path, advice: str, site: Site, remote: Path) -> None:
    root, cached = site.root, locate(site, path)
    sent = next(remote.glob(f"files/md5/*/{cached.name}"))
    for copy in (root / path, cached, sent):
        flip(copy)
    words = f"{path} is damaged; the DVC remote's copy is damaged too; {advice.format(cached=cached)}"
    with pytest.raises(AmunError, match=words):
        make_sound(root, [str(path)])
    assert not cached.exists(), "DVC would take it for sound"
    sent.unlink()
    with pytest.raises(AmunError, match=f"{path} is damaged; the DVC remote has lost {sent}; "):
        make_sound(root, [str(path)])


def test_hole_in_the_remote_is_found_after_a_push_that_says_nothing(site: Site, remote: Path) -> None:
    require_sent(site.root)
    cached = locate(site, TRAIN)
    next(remote.glob(f"files/md5/*/{cached.name}")).unlink()
    # as `dvc gc` in a linked work tree may do
    cached.unlink()
    push(site.root)
    with pytest.raises(AmunError, match=f"the DVC remote {remote} lacks {TRAIN} although DVC says"):
        require_sent(site.root)
    make_sound(site.root, in_cache=True)
    push(site.root)
    require_sent(site.root)


def test_file_that_stays_is_read_once_and_one_that_changes_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert compute_md5(path) is None
    path.write_bytes(b"one")
    first = compute_md5(path)
    assert compute_md5(path) == first
    flip(path)
    assert compute_md5(path) != first


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has a file that gives an error of the disk's")
def test_file_that_the_disk_does_not_give_is_damaged_and_one_of_another_kind_is_told(site: Site) -> None:
    root, sound = site.root, (site.root / WAVE_BASE).read_bytes()
    (root / WAVE_BASE).unlink()
    # of this process's memory nothing lies at its beginning
    (root / WAVE_BASE).symlink_to("/proc/self/mem")
    assert compute_md5(root / WAVE_BASE) == UNREADABLE
    assert make_sound(root, [str(WAVE_BASE)]) == [f"{WAVE_BASE} is damaged: brought back from the cache"]
    assert (root / WAVE_BASE).read_bytes() == sound
    with pytest.raises(AmunError, match="wave cannot be read: Is a directory; see whose it is"):
        compute_md5(root / "wave")
