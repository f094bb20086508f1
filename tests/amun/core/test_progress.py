"""A step tells whoever started it how far it has come, by a small file, and only where it is asked to."""

from pathlib import Path

import pytest

from amun.core.progress import PROGRESS_FILE_VARIABLE, Progress, show_progress


def test_file_says_how_far_a_step_has_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "progress.json"
    monkeypatch.setenv(PROGRESS_FILE_VARIABLE, str(path))
    with show_progress("train", 3, "epochs") as advance:
        assert Progress.read(path) is None
        advance("loss 2.0")
        assert Progress.read(path) == Progress("train", 1, 3, "epochs", "loss 2.0")
        for loss in ("1.0", "0.5"):
            advance(f"loss {loss}")
    # the last one is written however soon it comes
    assert Progress.read(path) == Progress("train", 3, 3, "epochs", "loss 0.5")
    assert list(tmp_path.iterdir()) == [path]


def test_run_by_hand_a_step_writes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(PROGRESS_FILE_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    with show_progress("train", 1, "epochs") as advance:
        advance("loss 2.0")
    assert capsys.readouterr().out == "  train        1/1 epochs  loss 2.0\n"
    assert list(tmp_path.iterdir()) == []
