"""Nothing is recorded that is not what DVC's lock file says."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc.stage.exceptions import StageCmdFailedError

from amun.core.errors import AmunError, WithheldError
from amun.core.paths import ADVERSARIAL, UNLEARNED, WAVE_BASE
from amun.core.stage_result import StageResult
from tasks.tools.dvc import (
    LOCK_FILE,
    DvcRefusalError,
    StageInterruptedError,
    _raise_stage_error,
    check_digests,
    read_digests,
    repair_files,
    repair_rwlock,
)
from tests.workspaces import Site


def test_finished_wave_fits_its_lock_file(wave_one: Site) -> None:
    check_digests(wave_one.root)
    assert {str(UNLEARNED), str(WAVE_BASE), "data/train.parquet"} <= set(read_digests(wave_one.root))


@pytest.mark.parametrize(
    "torn", [b'stages:\n  train:\n    cmd: "pyth', b"\xff\xfe\xfa", b"schema: '2.0'\n", b"- stages", b""]
)
def test_torn_lock_file_is_brought_back_and_a_whole_one_left(torn: bytes, tmp_path: Path) -> None:
    site, lock = Site(tmp_path, {}), tmp_path / LOCK_FILE
    site.git("init", "--quiet")
    committed = b"schema: '2.0'\nstages: {}\n"
    lock.write_bytes(committed)
    site.git("add", LOCK_FILE)
    site.git("commit", "--quiet", "--message", "A lock file")
    lock.write_bytes(torn)
    repair_files(tmp_path)
    assert lock.read_bytes() == committed
    changed = committed + b"# newer\n"
    lock.write_bytes(changed)
    repair_files(tmp_path)
    assert lock.read_bytes() == changed


@pytest.mark.parametrize("path", [UNLEARNED, ADVERSARIAL, WAVE_BASE, Path("metrics/audit.json")])
def test_overwritten_output_is_caught(path: Path, site: Site) -> None:
    content = bytearray((site.root / path).read_bytes())
    content[-1] ^= 1
    # a file of its own: the cache may hold the same one
    (site.root / path).unlink()
    (site.root / path).write_bytes(content)
    with pytest.raises(AmunError, match=f"{path} is not what dvc.lock says"):
        check_digests(site.root)


def test_missing_output_is_caught(site: Site) -> None:
    (site.root / UNLEARNED).unlink()
    with pytest.raises(AmunError, match=str(UNLEARNED)):
        check_digests(site.root)


def test_stage_run_on_another_input_is_caught(site: Site) -> None:
    lock = yaml.safe_load((site.root / LOCK_FILE).read_text(encoding="utf-8"))
    dependency = next(entry for entry in lock["stages"]["audit"]["deps"] if entry["path"] == str(UNLEARNED))
    dependency["md5"] = "0" * 32
    (site.root / LOCK_FILE).write_text(yaml.safe_dump(lock), encoding="utf-8")
    with pytest.raises(AmunError, match=f"audit was computed from another {UNLEARNED}"):
        check_digests(site.root)


@pytest.mark.parametrize(("content", "stays"), [('{"read": {}}', True), ('{"re', False), ("", False)])
def test_torn_rwlock_is_removed(content: str, stays: bool, tmp_path: Path) -> None:
    path = tmp_path / ".dvc/tmp/rwlock"
    path.parent.mkdir(parents=True)
    path.write_text(content, encoding="ascii")
    repair_rwlock(tmp_path)
    assert path.exists() == stays
    repair_rwlock(tmp_path)


@pytest.mark.parametrize(
    ("status", "said"),
    [(-2, "was interrupted; "), (130, "was interrupted; "), (1, "failed: .* with 1")],
)
def test_stage_that_was_interrupted_is_told_so(status: int, said: str, tmp_path: Path) -> None:
    refusal = DvcRefusalError("DVC failed")
    refusal.__cause__ = StageCmdFailedError("python -m amun.stages.power", status)
    with pytest.raises(AmunError if status == 1 else StageInterruptedError, match=f"^stage power {said}"):
        _raise_stage_error("power", tmp_path / "none", refusal)


@pytest.mark.parametrize(
    ("called", "before", "after"),
    [
        ("-m", "default_int_handler", "SIG_DFL"),
        ("-m", "SIG_IGN", "SIG_IGN"),
        ("pytest", "default_int_handler", "default_int_handler"),
    ],
)
def test_ctrl_c_ends_a_stage_without_a_word_and_nothing_else(called: str, before: str, after: str) -> None:
    program = (
        f"import signal, sys; sys.argv = ['{called}']; signal.signal(2, signal.{before}); import amun.stages; "
        f"assert signal.getsignal(2) is signal.{after}"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_stage_that_cannot_use_the_source_names_its_files_on_the_terminal_alone(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    StageResult(2, "2 problems in the source: anna/1.png is torn", 0.0, "2 problems in the source").write(result)
    with pytest.raises(WithheldError, match=r"^prepare: 2 problems in the source$") as raised:
        _raise_stage_error("prepare", result, DvcRefusalError("failed"))
    assert raised.value.told == "prepare: 2 problems in the source: anna/1.png is torn"
    kept = pickle.dumps(raised.value)
    assert b"anna" not in kept
    assert str(pickle.loads(kept)) == str(raised.value)  # noqa: S301 - the test's own
