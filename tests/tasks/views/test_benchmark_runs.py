"""A study in MLflow's own database: a run for each run of a method, logged once however often one asks."""

from pathlib import Path

import pytest
from mlflow.entities import Run

from amun.study.records import Record
from tasks.tools.environment import name_database
from tasks.tools.registry import open_registry
from tasks.views.benchmark_runs import PARENT, TRIAL_TAG, log_benchmark
from tests.amun.study.studies import FAILS, REASON, SETUP, make_study

FEW = ("retrain", None, "amun", FAILS)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a database of its own."""
    (tmp_path / ".amun").mkdir()
    # by the variable alone: what `mlflow.set_tracking_uri` is told goes before it, in later tests too
    monkeypatch.setenv("MLFLOW_TRACKING_URI", name_database(tmp_path))
    return tmp_path


def list_runs() -> list[Run]:
    client = open_registry()
    experiment = client.get_experiment_by_name("faces-benchmark")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def find_method(runs: list[Run], method: str) -> list[Run]:
    return [run for run in runs if run.data.params.get("method") == method]


def test_study_is_logged_once_and_a_killed_one_goes_on(workspace: Path) -> None:
    records: list[Record] = [
        record for record in make_study(num_forget_sets=2) if record.trial.attempt is None or record.trial.method in FEW
    ]
    folder = workspace / "benchmark"
    folder.mkdir()
    published = ["chosen.yaml", "expected.json", "index.html"]
    for name in published:
        (folder / name).touch()
    (folder / "own.txt").write_text("a user's own", encoding="utf-8")
    log_benchmark(workspace, "faces", records[:4], folder, SETUP)
    log_benchmark(workspace, "faces", records, folder, SETUP)

    runs = list_runs()
    [parent] = [run for run in runs if PARENT not in run.data.tags]
    children = [run for run in runs if run.data.tags.get(PARENT) == parent.info.run_id]
    # on two forget sets: base and retrain once, amun and gradient_ascent in two settings; the last fails on the first
    assert len(children) == 2 * (2 + 2 * 2)
    assert {run.data.tags["amun.failure"] for run in children if run.info.status == "FAILED"} == {REASON}
    assert len({run.data.tags[TRIAL_TAG] for run in children}) == len(children)
    assert parent.info.status == "FINISHED"
    assert [file.path for file in open_registry().list_artifacts(parent.info.run_id)] == published

    amun = next(run for run in find_method(children, "amun") if run.data.params["setting"] == "none")
    assert amun.data.params == {
        "method": "amun",
        "learning_rate": "0.02",
        "schedule": "cosine",
        "setting": "none",
        "share": "0.1",
        "forget_set": amun.data.params["forget_set"],
        "seed": "0",
    }
    assert amun.data.metrics["result/ft_auc_percent"] == pytest.approx(55, abs=4)
    assert amun.data.metrics["result/avg_gap_rmia_points"] > 0
    history = open_registry().get_metric_history(amun.info.run_id, "by_epoch/held_out_accuracy_percent")
    assert sorted(point.step for point in history) == list(range(1, 11))

    # as if killed while it was being logged
    open_registry().update_run(amun.info.run_id, status="RUNNING")
    log_benchmark(workspace, "faces", records, folder, SETUP)
    again = [run for run in list_runs() if PARENT in run.data.tags]
    assert {run.data.tags[TRIAL_TAG] for run in again} == {run.data.tags[TRIAL_TAG] for run in children}
    assert len(again) == len(children)
    assert amun.info.run_id not in {run.info.run_id for run in again}
