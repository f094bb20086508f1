"""A wave's run in MLflow: few parameters and final figures, so that waves compare at first sight; data sets, files."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
from prefect.runtime import flow_run
from prefect.settings import get_current_settings
from prefect.utilities.urls import url_for

from amun.core.keys import keyed_digest, load_secret
from amun.core.masking import drop_login
from amun.core.paths import (
    ADVERSARIAL,
    AUDIT_METRICS,
    CALIBRATION,
    PARAMS,
    REPORT_METRICS,
    TEST,
    TRAIN,
    TRAIN_EPOCHS,
    UNLEARNED,
)
from amun.core.temporary import open_temporary
from amun.evidence.attempts import Epoch, Judged, find_warning, read_epochs
from amun.evidence.figures import TrainFigures, read_figures
from amun.ledger import Claim
from amun.store.samples import count_samples
from tasks.tools import dvc, registry
from tasks.tools.registered import COMMIT_TAG
from tasks.views.descriptions import describe_wave
from tasks.views.facts import WaveFacts
from tasks.views.figures import draw_figures
from tasks.workspace.source import describe_revision
from tasks.workspace.workspace import Workspace, open_ledger

Figure = float | str | None  # as its record has it: None of too few samples, a reason as text
METRICS_PER_CALL = 1000  # MLflow takes no more
# figures of the test half that a reader wants first; MLflow makes one group of each prefix, in alphabetical order
FINAL = {
    "accuracy_base": "accuracy/before",
    "accuracy": "accuracy/after",
    "memory_left": "memory_left/after",
    "memory_left_lower": "memory_left/lower",
    "memory_left_upper": "memory_left/upper",
    "noticed": "memory_left/noticed",
    "ft_auc_base": "ft_auc/before",
    "ft_auc": "ft_auc/after",
    "standard_error": "ft_auc/standard_error",
    "trace": "trace/after",
    "trace_standard_error": "trace/standard_error",
    "trace_by_person": "trace_by_person/after",
    "trace_by_person_standard_error": "trace_by_person/standard_error",
    "max_trace_by_person": "trace_by_person/most",
    "weights_by_person": "weights_by_person/after",
    "weights_by_person_standard_error": "weights_by_person/standard_error",
    "max_weights_by_person": "weights_by_person/most",
}
CONTEXTS = {TRAIN: "training", CALIBRATION: "gate", TEST: "report", ADVERSARIAL: "unlearning"}


def start_wave_run(workspace: Workspace, claim: Claim, facts: WaveFacts, experiment_id: str, commit: str) -> str:
    """Returns the id of the wave's run, with its parameters, figures, data sets and files."""
    root, opened_at = workspace.root, _find_opening(claim)
    tags = describe_tags(workspace, facts, commit) | {
        "amun.gate": "; ".join(f"attempt {made.attempt} {made.reason}" for made in facts.decisions),
        "mlflow.note.content": describe_wave(facts, commit) + _link_flow_run(),
        "mlflow.source.name": "amun",
        "mlflow.source.type": "JOB",
        "mlflow.source.git.commit": commit,
        **_name_flow_run(),
    }
    run_id = registry.start_run(experiment_id, name_run(claim.number), claim.number, tags, opened_at)
    client = registry.open_registry()
    client.log_batch(run_id, params=list(_list_params(facts)))
    log_metrics(run_id, list_epoch_metrics(read_epochs(root / TRAIN_EPOCHS) if claim.kind == "base" else ()))
    client.log_inputs(run_id, list(_list_datasets(root)))
    _log_files(root, run_id)
    return run_id


def name_run(number: int) -> str:
    """Returns the name of a wave's run."""
    return f"wave-{number:04d}"


def describe_tags(workspace: Workspace, facts: WaveFacts, commit: str) -> dict[str, str]:
    """Returns the tags of the wave's run and version."""
    wave, secret = facts.wave, load_secret(workspace.root)
    tags = {
        "amun.wave": str(wave.number),
        "amun.kind": wave.kind,
        "amun.parent_version": "" if wave.base_version is None else str(wave.base_version),
        "amun.method": facts.unlearned.method,
        "amun.attempt": str(facts.unlearned.attempt),
        "amun.num_forget": str(len(wave.forget_ids)),
        "amun.warning": "; ".join(filter(None, (find_warning(facts.decisions), facts.warning))),
        COMMIT_TAG: commit,
        "amun.forget_digest": keyed_digest(secret, "forget-set", "\n".join(wave.forget_ids).encode()),
        "amun.base_digest": wave.base_digest,
        "amun.source_revision": describe_revision(workspace.root),
    }
    if facts.adopted is not None:
        tags |= {"amun.adopted_from": facts.adopted.source, "amun.adopted_digest": facts.adopted.digest}
    # an empty tag is a line on a page that says nothing
    return {name: value for name, value in tags.items() if value}


def log_final_metrics(workspace: Workspace, claim: Claim, facts: WaveFacts, run_id: str, model_id: str) -> None:
    """Gives the wave's run, and the model logged in it, the figures of the test half."""
    figures = {FINAL.get(name, f"test/{name}"): value for name, value in facts.reported.model_dump().items()}
    figures |= {name: value for made in facts.decisions if made.passed for name, value in list_earlier(made).items()}
    figures["duration/seconds"] = (datetime.now(UTC) - _find_opening(claim)).total_seconds()
    if claim.kind == "base":
        figures |= {
            f"training/{name}": value for name, value in read_figures(TrainFigures, workspace.root).model_dump().items()
        }
    else:
        figures |= {f"search/{name}": value for name, value in facts.adversarial.model_dump().items()}
    log_metrics(run_id, list_metrics(figures, model_id))


def list_earlier(made: Judged) -> dict[str, Figure]:
    """Returns what an attempt's model shows of people of earlier waves, by the metrics' names."""
    seen = {} if made.earlier is None else made.earlier.model_dump(exclude={"brings_back"})
    return {f"earlier/{name}": value for name, value in seen.items()}


def list_metrics(figures: dict[str, Figure], model_id: str | None = None) -> Iterator[Metric]:
    """Yields MLflow's metrics of these figures.

    One of too few samples is None, a reason is text, and a metric must be a number.
    """
    now = to_milliseconds(datetime.now(UTC))
    for name, value in figures.items():
        if isinstance(value, int | float):
            yield Metric(name, float(value), now, 0, model_id=model_id)


def list_epoch_metrics(epochs: Iterable[Epoch]) -> Iterator[Metric]:
    """Yields loss and accuracy by epoch, under the same names for a base and for every attempt."""
    now = to_milliseconds(datetime.now(UTC))
    for row in epochs:
        for name in ("loss", "accuracy"):
            yield Metric(f"by_epoch/{name}", getattr(row, name), now, row.epoch)


def log_metrics(run_id: str, metrics: Iterable[Metric]) -> None:
    """Logs any number of metrics."""
    listed = list(metrics)
    for start in range(0, len(listed), METRICS_PER_CALL):
        registry.open_registry().log_batch(run_id, metrics=listed[start : start + METRICS_PER_CALL])


def to_milliseconds(moment: datetime) -> int:
    """Returns a moment as MLflow counts time."""
    return int(moment.timestamp() * 1000)


def _find_opening(claim: Claim) -> datetime:
    with open_ledger() as ledger:
        return ledger.get_wave(claim.model, claim.number).opened_at


def _name_flow_run() -> dict[str, str]:
    return {"amun.flow_run": flow_run.id} if flow_run.id else {}


def _link_flow_run() -> str:
    """Returns a link to Prefect's page of the running flow, where there is one."""
    if not flow_run.id or not get_current_settings().server.ui.enabled:
        return ""
    return f"\n\n[The flow run in Prefect]({drop_login(url_for('flow-run', flow_run.id) or '')})"


def _list_params(facts: WaveFacts) -> Iterator[Param]:
    """Yields what tells waves apart; all hyperparameters are in the run's `params.yaml`."""
    wave = facts.wave
    shown = {
        "wave": wave.number,
        "kind": wave.kind,
        "people": len(wave.forgetting.subject_keys),
        "samples": len(wave.forget_ids),
        "method": facts.unlearned.method,
        "attempt": facts.unlearned.attempt if facts.attempts else None,
        **(facts.attempts[-1].parameters if facts.attempts else {}),
    }
    yield from (Param(name, str(value)) for name, value in shown.items() if value is not None)


def _list_datasets(root: Path) -> Iterator[DatasetInput]:
    secret, digests = load_secret(root), dvc.read_digests(root)
    for path, context in CONTEXTS.items():
        if not (num_samples := count_samples(root / path)):
            continue
        digest = keyed_digest(secret, "dataset", digests[str(path)].encode())
        profile = f'{{"num_rows": {num_samples}}}'
        yield DatasetInput(
            Dataset(path.stem, digest, "dvc", str(path), profile=profile), [InputTag("mlflow.data.context", context)]
        )


def _log_files(root: Path, run_id: str) -> None:
    client = registry.open_registry()
    with open_temporary() as folder:
        weights = Path(folder) / registry.WEIGHTS
        weights.write_bytes((root / UNLEARNED).read_bytes())
        client.log_artifact(run_id, str(weights))
        for picture in draw_figures(root, Path(folder)):
            client.log_artifact(run_id, str(picture), "plots")
    client.log_artifact(run_id, str(root / PARAMS))
    for path in (AUDIT_METRICS, REPORT_METRICS):
        client.log_artifact(run_id, str(root / path), "report")
