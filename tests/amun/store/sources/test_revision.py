"""The revision of a source: what a `.dvc` file or a mirror's manifest says."""

from pathlib import Path

import pytest

from amun.core.errors import InputError
from amun.core.paths import locate_journal, locate_manifest
from amun.store.sources.revision import find_dvc_file, read_revision, require_files

SECRET = b"x" * 32
ADDED = "outs:\n- md5: 0123.dir\n  hash: md5\n  path: images\n"
IMPORTED = "frozen: true\ndeps:\n- path: pictures\n  repo:\n    url: {url}\n    rev: main\n    rev_lock: beef\n" + ADDED
BUCKET = "s3://company/pictures"


def test_data_under_dvc_have_their_digest(tmp_path: Path) -> None:
    (tmp_path / "raw/images/deeper").mkdir(parents=True)
    (tmp_path / "raw/images.dvc").write_text(ADDED, encoding="utf-8")
    for root in ("raw/images", "raw/images/deeper", str(tmp_path / "raw/images")):
        assert find_dvc_file(root, tmp_path) == Path("raw/images.dvc")
        assert read_revision(root, SECRET, tmp_path) == {"md5": "0123.dir"}
    for other in (None, "raw", "raw/others", str(tmp_path.parent)):
        assert read_revision(other, SECRET, tmp_path) is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://somebody:token@git.company/data.git", "https://git.company/data.git"),
        ("git@git.company:data.git", "git@git.company:data.git"),
        ("/srv/data", "/srv/data"),
    ],
)
def test_imported_data_say_where_they_come_from_without_a_password(url: str, shown: str, tmp_path: Path) -> None:
    (tmp_path / "images.dvc").write_text(IMPORTED.format(url=url), encoding="utf-8")
    assert read_revision("images", SECRET, tmp_path) == {"md5": "0123.dir", "url": shown, "rev_lock": "beef"}


def test_missing_data_are_refused_with_the_command_that_brings_them(tmp_path: Path) -> None:
    (tmp_path / "images.dvc").write_text(ADDED, encoding="utf-8")
    with pytest.raises(InputError, match=r"data.root: images is not there; run `dvc pull images.dvc`"):
        require_files("images", tmp_path)


def test_mirror_is_read_only_when_it_is_complete(tmp_path: Path) -> None:
    manifest, journal = tmp_path / locate_manifest(BUCKET), tmp_path / locate_journal(BUCKET)
    manifest.parent.mkdir(parents=True)
    with pytest.raises(InputError, match="the mirror of s3://company/pictures is not complete"):
        require_files(BUCKET, tmp_path)
    manifest.write_text("{}", encoding="utf-8")
    require_files(BUCKET, tmp_path)
    first = read_revision(BUCKET, SECRET, tmp_path)
    manifest.write_text('{"a": ["etag", 1]}', encoding="utf-8")
    assert first != read_revision(BUCKET, SECRET, tmp_path)
    journal.touch()
    with pytest.raises(InputError, match="not complete"):
        require_files(BUCKET, tmp_path)
