"""A wave's curves, as its commit has them: what stands for a few samples is not told."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from amun.core.errors import AmunError
from amun.core.paths import CONFIDENCE, ROC
from amun.ledger import Wave
from tasks.tools.git import run_git
from tasks.tools.git_objects import read_blobs
from tasks.views.report_curves import read_curves
from tests.flows.pages.reports import NOW, make_wave

HEAD = "confidence,forget_before,remain_before,test_before,forget_after,remain_after,test_after\n"
# of 60 forgotten and 400 unseen samples: 4 of 60 are few, 5 are not
PARTS = "0,0.0666667,,0.01,0.0833333,0.5,0.0125\n0.3,0.133333,,0.09,0.25,0.2,0.0375\n0.5,0.8,,0.9,0.666667,0.3,0.95\n"
CURVE = "false_positive_rate,before,after\n0,0.0166667,0\n0.5,0.5,0.5\n0.7,0.55,0.583333\n0.9,0.933333,1\n1,1,1\n"


def commit(root: Path, confidence: str, roc: str = CURVE) -> Wave:
    """Returns a wave whose commit has these files."""
    if not (root / ".git").exists():
        subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    for path, text in ((CONFIDENCE, confidence), (ROC, roc)):
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(text, encoding="ascii")
    run_git(root, "add", "--all")
    run_git(root, "commit", "--quiet", "--message", "A wave")
    return replace(make_wave(1, NOW), commit=run_git(root, "rev-parse", "HEAD"))


def test_parts_of_few_samples_are_left_out(tmp_path: Path) -> None:
    curves = read_curves(tmp_path, commit(tmp_path, HEAD + PARTS), 12)
    assert curves is not None
    assert {(one.group, one.moment): one.shares for one in curves.histograms} == {
        # what is left out is never one part alone, which would be what the others leave of the whole
        ("forget", "before"): (None, None, 0.8),
        ("forget", "after"): (0.0833333, 0.25, 0.666667),
        ("test", "before"): (None, None, 0.9),
        ("test", "after"): (0.0125, 0.0375, 0.95),
    }
    assert curves.roc is not None
    assert curves.roc.rates == (0.0, 0.5, 0.7, 0.9, 1.0)
    # 1 of 60 is few, so are 3 more than at the rate before, and 4 that are not found
    assert curves.roc.found == {"before": (None, 0.5, None, None, 1.0), "after": (0.0, 0.5, 0.583333, 1.0, 1.0)}


def test_low_rates_are_not_told_at_the_cost_of_others(tmp_path: Path) -> None:
    # of 60: 3, 6, 8, 8 and all; then 15, 15, 20, 20 and all
    rows = ["0,0,0", "0.005,0.05,0.25", "0.01,0.1,0.25", "0.02,0.133333,0.333333", "0.05,0.133333,0.333333", "1,1,1"]
    curves = read_curves(tmp_path, commit(tmp_path, HEAD + PARTS, "\n".join([CURVE.splitlines()[0], *rows])), 12)
    assert curves is not None
    assert curves.roc is not None
    assert curves.roc.found == {
        "before": (0.0, None, None, 0.133333, 0.133333, 1.0),
        "after": (0.0, 0.25, 0.25, 0.333333, 0.333333, 1.0),
    }


def test_wave_of_few_people_has_no_curves_however_many_their_samples(tmp_path: Path) -> None:
    wave = commit(tmp_path, HEAD + PARTS)
    assert read_curves(tmp_path, wave, 11) is None
    assert read_curves(tmp_path, wave, None) is not None
    assert wave.summary is not None
    alone = replace(wave, summary=wave.summary.model_copy(update={"num_subjects": 11}))
    assert read_curves(tmp_path, alone, None) is None


def test_wave_of_too_few_has_no_curves(tmp_path: Path) -> None:
    alone = HEAD + "0,,,0.01,,0.5,0.0125\n0.5,,,0.99,,0.5,0.9875\n"
    assert read_curves(tmp_path, commit(tmp_path, alone, CURVE.splitlines()[0]), 12) is None
    curves = read_curves(tmp_path, commit(tmp_path, HEAD + PARTS, CURVE.splitlines()[0]), 12)
    assert curves is not None
    assert curves.roc is None


def test_damaged_file_is_named(tmp_path: Path) -> None:
    wave = commit(tmp_path, HEAD + PARTS.replace("0.01,", "much,"))
    with pytest.raises(AmunError, match=r"plots/confidence.csv at \w{12} is damaged"):
        read_curves(tmp_path, wave, 12)


def test_files_of_many_commits_are_read_at_once(tmp_path: Path) -> None:
    wave = commit(tmp_path, HEAD + PARTS)
    names = [
        f"{wave.commit}:{CONFIDENCE}",
        f"{'0' * 40}:{CONFIDENCE}",
        f"{wave.commit}:nothing",
        f"{wave.commit}:{ROC}",
    ]
    assert list(read_blobs(tmp_path, names).values()) == [(HEAD + PARTS).encode(), None, None, CURVE.encode()]
    assert read_blobs(tmp_path, []) == {}
    (tmp_path / ".git").rename(tmp_path / "gone")
    with pytest.raises(AmunError, match="git fsck"):
        read_blobs(tmp_path, names)
