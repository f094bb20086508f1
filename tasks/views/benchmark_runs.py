"""A benchmark in MLflow: a run of the study with its tables and figures, and below it one for each run of a method."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from mlflow.entities import Metric, Param, ViewType

from amun.study.columns import COLUMNS
from amun.study.publish import CHOSEN, EXPECTED, list_published
from amun.study.records import RETRAIN, Record, Trial, digest_trial
from amun.study.runs import Run, choose_records, list_shares, pair_runs
from amun.study.setup import Setup
from amun.study.tables import NUMBERS
from tasks.tools import registry

STUDY_TAG, TRIAL_TAG = "amun.benchmark_digest", "amun.trial_digest"
PARENT = "mlflow.parentRunId"
PAGE_SIZE = 1000
ENDED = ("FINISHED", "FAILED")


def log_benchmark(root: Path, model: str, records: Sequence[Record], folder: Path, setup: Setup) -> None:
    """Logs a study: a run that was logged before is not logged again, one that was cut short is logged anew.

    Args:
        root: of the workspace.
        model: its name; the experiment is `MODEL-benchmark`.
        records: of the study; those of tables 1 and 2 get a run each.
        folder: where the study was published.
        setup: what it was made with: with other parameters it is another study.

    Raises:
        AmunError: MLflow does not answer.
    """
    with registry.translate_errors():
        experiment_id = registry.ensure_experiment(root, f"{model}-benchmark")
        parent_id = _ensure_parent(experiment_id, setup)
        logged = _take_logged(experiment_id, parent_id)
        runs = {digest_trial(run.record.trial): run for run in _list_runs(records)}
        for record in records:
            digest = digest_trial(record.trial)
            if record.trial.kind == "table" and digest not in logged:
                _log_record(experiment_id, parent_id, record, runs.get(digest))
        client = registry.open_registry()
        for path in [*list_published(folder), folder / CHOSEN, folder / EXPECTED]:
            client.log_artifact(parent_id, str(path))
        client.set_terminated(parent_id)


def _list_runs(records: Sequence[Record]) -> Iterator[Run]:
    """Yields every run of tables 1 and 2 that has figures, beside its exactly retrained model."""
    for share in list_shares(records):
        for setting in NUMBERS:
            yield from pair_runs(choose_records(records, setting, share))


def _ensure_parent(experiment_id: str, setup: Setup) -> str:
    """Returns the id of the study's run."""
    client, digest = registry.open_registry(), f"{setup.preset}-{setup.digest}"
    for run in client.search_runs([experiment_id], f"tags.`{STUDY_TAG}` = '{digest}'"):
        return str(run.info.run_id)
    tags = {
        STUDY_TAG: digest,
        "mlflow.note.content": f"{setup.title}. Open `index.html` below *Artifacts*.\n\n{setup.machine}",
    }
    run_id = str(client.create_run(experiment_id, run_name=f"benchmark {setup.preset}", tags=tags).info.run_id)
    client.log_batch(run_id, params=[Param(name, str(value)) for name, value in _describe(setup).items()])
    return run_id


def _describe(setup: Setup) -> dict[str, str | int]:
    return {
        "preset": setup.preset,
        "by_subject": setup.by_subject,
        "search_budget": setup.search_budget,
        **{f"version.{name}": version for name, version in setup.versions.items()},
    }


def _take_logged(experiment_id: str, parent_id: str) -> set[str]:
    """Returns the digests of the trials that are logged; what a killed command began is taken away."""
    client, token, logged = registry.open_registry(), None, set()
    while True:
        found = client.search_runs(
            [experiment_id], f"tags.`{PARENT}` = '{parent_id}'", ViewType.ACTIVE_ONLY, PAGE_SIZE, page_token=token
        )
        for run in found:
            if run.info.status in ENDED:
                logged.add(run.data.tags[TRIAL_TAG])
            else:
                client.delete_run(run.info.run_id)
        token = found.token
        if not token:
            return logged


def _log_record(experiment_id: str, parent_id: str, record: Record, run: Run | None) -> None:
    client, trial = registry.open_registry(), record.trial
    name = f"{trial.method}, {trial.setting}, {100 * trial.share:g} %, set {trial.forget_set}, seed {trial.seed}"
    tags = {PARENT: parent_id, TRIAL_TAG: digest_trial(trial), "amun.method": trial.method}
    if record.failure is not None:
        tags["amun.failure"] = record.failure
    run_id = client.create_run(experiment_id, run_name=name, tags=tags).info.run_id
    metrics = [] if run is None else list(_list_metrics(run))
    client.log_batch(run_id, metrics=metrics, params=list(_list_params(trial)))
    client.set_terminated(run_id, "FINISHED" if record.failure is None else "FAILED")


def _list_params(trial: Trial) -> Iterator[Param]:
    given = {} if trial.attempt is None else trial.attempt.model_dump(exclude={"method"})
    shown = {
        "method": trial.method,
        **given,
        "schedule": None if trial.attempt is None or trial.method == RETRAIN else trial.schedule,
        "setting": trial.setting,
        "share": trial.share,
        "forget_set": trial.forget_set,
        "seed": trial.seed,
    }
    yield from (Param(name, str(value)) for name, value in shown.items() if value is not None)


def _list_metrics(run: Run) -> Iterator[Metric]:
    now = int(datetime.now(UTC).timestamp() * 1000)
    for column in COLUMNS:
        if (value := column.read(run)) is not None:
            yield Metric(f"{column.group}/{column.key}", value, now, 0)
    for epoch, accuracy in enumerate(run.record.test_accuracies, 1):
        yield Metric("by_epoch/held_out_accuracy_percent", 100 * accuracy, now, epoch)
