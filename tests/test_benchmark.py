"""`amun benchmark` as it is typed: the commands of its page, killed half-way, and the published figures."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from amun.core.paths import PARAMS, STATE
from amun.study.preset import SHIPPED
from tests.photos import CIFAR10
from tests.readme import list_commands, read_blocks
from tests.registry import open_client
from tests.workspaces import BIN, Site

PAGE = "benchmark.md"
NUM_ROWS = 5 + 4 + 2  # methods with and without the remain set; base and exact retraining once
WRITTEN = ("index.html", "table1.csv", "table1.md", "table2.csv", "chosen.yaml", "search.md", "expected.json")


def list_records(site: Site) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (site.root / STATE / "benchmark").rglob("records/*.json")}


def count_runs(site: Site) -> int:
    """Returns how many runs the benchmarks' experiment holds below that of the study."""
    client = open_client(site)
    experiment = client.get_experiment_by_name("digits-cnn-benchmark")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.`mlflow.parentRunId` != ''")
    return len(runs)


def kill_half_way(site: Site, command: list[str], num_records: int) -> None:
    """Kills the command once so many runs have ended."""
    started = subprocess.Popen(
        [BIN / command[0], *command[1:]], cwd=site.root, env=site.environment, stdout=subprocess.DEVNULL
    )
    while len(list_records(site)) < num_records:
        assert started.poll() is None, "it ended before it could be killed"
        time.sleep(0.2)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()


@pytest.mark.long
def test_study_of_ones_own_killed_and_started_again(wave_zero: Site, tmp_path: Path) -> None:
    site = wave_zero.copy(tmp_path / "workspace")
    (site.root / "custom" / "mine.py").write_text(read_blocks(PAGE, "python")[0], encoding="utf-8")
    (site.root / "small.yaml").write_text(read_blocks(PAGE, "yaml")[0], encoding="utf-8")
    command = next(line for line in list_commands(PAGE) if "small.yaml" in line).split()
    kill_half_way(site, command, num_records=5)
    before = list_records(site)
    printed = site.run(*command)
    after = list_records(site)
    assert before.items() <= after.items(), "what had ended was run again"
    folder = site.root / "benchmark" / "small"
    assert printed.endswith(f"written: {folder / 'index.html'}\n")
    assert all((folder / name).stat().st_size for name in WRITTEN)
    assert "custom.mine:forget" in (folder / "table2.md").read_text(encoding="utf-8")
    assert count_runs(site) == NUM_ROWS
    site.run(*command)
    assert list_records(site) == after
    assert count_runs(site) == NUM_ROWS
    assert site.git("status", "--porcelain") == "?? custom/mine.py\n?? small.yaml"


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_this_machine_gives_the_published_figures(wave_zero: Site, tmp_path: Path) -> None:
    site = wave_zero.copy(tmp_path / "workspace")
    command = list_commands(PAGE)[0].split()
    printed = subprocess.run(
        [BIN / command[0], *command[1:]],
        cwd=site.root,
        env=site.environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "as published: every figure within its tolerance" in printed


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not CIFAR10.exists(), reason="CIFAR-10 is not there")
def test_the_papers_set_up_on_one_epoch(wave_zero: Site, tmp_path: Path) -> None:
    """ResNet-18, flips and crops, the published signal: all that a GPU would run, on few images and for one epoch."""
    site = wave_zero.copy(tmp_path / "workspace")
    content = yaml.safe_load((SHIPPED / "cifar10.yaml").read_text(encoding="utf-8"))
    content["params"]["data"]["num_samples"] = 240
    content["params"]["adversarial"]["batch_size"] = 16  # of 512 rows all but a few would be filling here
    content["params"]["adversarial"]["pgd_doubling"]["num_steps"] = 10
    content["params"]["references"] |= {"num_audit": 2, "num_target": 2}
    for section in ("training", "unlearning"):
        content["params"][section]["epochs"] = 1
    scale = {"shares": [0.1], "num_forget_sets": 1, "num_seeds": 1}
    methods = ["amun", "fine_tune", "l1_sparse", "salun", "never_seen"]
    content |= {"scale": scale, "full": scale, "methods": methods, "num_trials": 1, "num_waves": 2}
    (site.root / "one_epoch.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    site.run("amun", "benchmark", "--preset", "one_epoch.yaml", "--full", "--root", str(CIFAR10.parent))
    folder = site.root / "benchmark" / "one_epoch"
    rows = (folder / "table1.csv").read_text(encoding="utf-8").splitlines()
    assert [row.partition(",")[0] for row in rows[1:]] == ["retrain", "base", *methods]
    assert all((folder / f"figure{name}.png").stat().st_size for name in ("1", "2", "3", "5", "_delta"))


@pytest.mark.long
@pytest.mark.skipif(not CIFAR10.exists(), reason="CIFAR-10 is not there")
def test_what_takes_weeks_here_asks_first(wave_zero: Site, tmp_path: Path) -> None:
    site = wave_zero.copy(tmp_path / "workspace")
    finished = site.start("amun", "benchmark", "--preset", "cifar10", "--root", str(CIFAR10.parent))
    assert finished.returncode == 2
    assert re.search(r"that takes about [0-9.]+ h on this machine; say --yes to start it\n$", finished.stderr)
    assert not list_records(site)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--preset", "cifar100"], "there is no preset or file 'cifar100'"),
        (["--preset", "cifar10-small"], "folder"),
        (["--preset", "alone.yaml", "--by-subject"], "--by-subject: every subject has one sample"),
        (["--preset", "digits", "--method", "custom.nowhere:forget"], "cannot import 'custom.nowhere:forget'"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(
    wave_zero: Site, tmp_path: Path, arguments: list[str], words: str
) -> None:
    site = wave_zero.copy(tmp_path / "workspace")
    invented = re.compile("subject_max_samples: [0-9]+")
    params, preset = (site.root / PARAMS, read_blocks(PAGE, "yaml")[0])
    params.write_text(invented.sub("subject_max_samples: 1", params.read_text(encoding="utf-8")), encoding="utf-8")
    (site.root / "alone.yaml").write_text(preset, encoding="utf-8")
    finished = site.start("amun", "benchmark", *arguments)
    assert finished.returncode == 2
    assert words in finished.stderr
    assert finished.stderr.count("\n") == 1
