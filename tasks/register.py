"""Steps *register* and *promote*: the unlearned model as a version in MLflow, then as the champion."""

import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import mlflow.pytorch
import pandas as pd
import torch
from mlflow.artifacts import download_artifacts
from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunStatus
from mlflow.models import ModelSignature, infer_signature
from prefect import task

from amun.data.samples import read_samples
from amun.errors import AmunError
from amun.keys import file_digest, keyed_digest, load_secret
from amun.ledger import Claim
from amun.paths import (
    ADVERSARIAL,
    ADVERSARIAL_METRICS,
    AUDIT_METRICS,
    CALIBRATION,
    REPORT_METRICS,
    TEST,
    TRAIN,
    TRAIN_EPOCHS,
    TRAIN_METRICS,
    UNLEARN_EPOCHS,
    UNLEARN_METRICS,
    UNLEARNED,
)
from amun.stages.common import load_for
from amun.wave import Wave, read_wave
from tasks import pipeline, registry
from tasks.figures import draw_figures
from tasks.gate import check_report, read_decisions
from tasks.options import NETWORK_OPTIONS
from tasks.record import read_metrics
from tasks.registry import SERVING_FILE
from tasks.source import describe_revision
from tasks.workspace import Workspace, require_lease

METRICS_PER_CALL = 1000  # MLflow takes no more


@dataclass(frozen=True)
class Registered:
    """A version in the registry."""

    version: int
    run_id: str


@task(name="register", **NETWORK_OPTIONS)
def register_version(workspace: Workspace, claim: Claim, commit: str) -> Registered:
    """Registers the wave's model with figures, digests and lineage; a version it already has is returned as it is."""
    require_lease(claim)
    with registry.translate_errors():
        return _register(workspace, claim, commit)


def _register(workspace: Workspace, claim: Claim, commit: str) -> Registered:
    root, wave = workspace.root, read_wave(workspace.root)
    pipeline.check_digests(root)
    experiment_id = registry.ensure_model(root, claim.model)
    client = registry.open_registry()
    if (known := registry.find_version(claim.model, claim.number, commit)) is not None:
        client.set_terminated(str(known.run_id), RunStatus.to_string(RunStatus.FINISHED))
        return Registered(int(known.version), str(known.run_id))
    tags = _describe(root, wave, commit)
    run_id = registry.start_run(experiment_id, f"{claim.model}-wave-{claim.number:04d}", claim.number, tags)
    client.log_batch(run_id, params=list(_list_params(workspace)))
    metrics = list(_list_metrics(root, wave.kind))
    for start in range(0, len(metrics), METRICS_PER_CALL):
        client.log_batch(run_id, metrics=metrics[start : start + METRICS_PER_CALL])
    client.log_inputs(run_id, list(_list_datasets(root)))
    _log_files(root, run_id)
    model_uri, model_id = _log_model(workspace, run_id)
    # of the file at hand, so that promoting compares it with what the registry took
    tags |= _digest_files(root, run_id, model_uri) | {
        "amun.weights_digest": file_digest(load_secret(root), root / UNLEARNED)
    }
    require_lease(claim)
    description = _write_description(root, wave)
    version = client.create_model_version(
        claim.model, model_uri, run_id, tags=tags, description=description, model_id=model_id
    )
    client.set_terminated(run_id, RunStatus.to_string(RunStatus.FINISHED))
    return Registered(int(version.version), run_id)


@task(name="promote", **NETWORK_OPTIONS)
def promote_version(workspace: Workspace, claim: Claim, registered: Registered, commit: str) -> None:
    """Makes the version the champion, once its files are what was registered.

    Raises:
        AmunError: the registry holds other bytes than were registered.
    """
    with registry.translate_errors():
        version = registry.find_version(claim.model, claim.number, commit)
        if version is None:
            raise AmunError(f"version {registered.version} of {claim.model} has vanished from the registry")
        for tag, digest in _digest_files(workspace.root, str(version.run_id), str(version.source)).items():
            if version.tags[tag] != digest:
                raise AmunError(f"version {version.version}: {tag} does not fit the file in the registry; not promoted")
        require_lease(claim)
        registry.promote(claim.model, registered.version)


def _describe(root: Path, wave: Wave, commit: str) -> dict[str, str]:
    secret, unlearned = load_secret(root), read_metrics(root, UNLEARN_METRICS)
    return {
        "amun.wave": str(wave.number),
        "amun.kind": wave.kind,
        "amun.parent_version": "" if wave.base_version is None else str(wave.base_version),
        "amun.commit": commit,
        "amun.method": unlearned["method"],
        "amun.attempt": str(unlearned["attempt"]),
        "amun.gate": "; ".join(_tell_decision(made) for made in read_decisions(root)),
        "amun.warning": check_report(root),
        "amun.num_forget": str(len(wave.forget_ids)),
        "amun.forget_digest": keyed_digest(secret, "forget-set", "\n".join(wave.forget_ids).encode()),
        "amun.base_digest": wave.base_digest,
        "amun.source_revision": describe_revision(root),
    }


def _tell_decision(made: dict[str, Any]) -> str:
    outcome = "passed" if made["passed"] else "refused"
    warning = f" (warning: {made['warning']})" if made["warning"] else ""
    return f"attempt {made['attempt']} {made['method']} {outcome}: {made['reason']}{warning}"


def _write_description(root: Path, wave: Wave) -> str:
    """Returns what the version's page says first: what was forgotten, how, and what the test half shows."""
    unlearned, reported = read_metrics(root, UNLEARN_METRICS), read_metrics(root, REPORT_METRICS)
    if wave.kind == "base":
        return f"Wave {wave.number}: a new base. Test accuracy {reported['accuracy']:.1%}."
    auc = reported["ft_auc"]
    shown = (
        "too few samples to show an FT AUC" if auc is None else f"FT AUC {auc:.3f} ± {reported['standard_error']:.3f}"
    )
    return (
        f"Wave {wave.number}: forgets {len(wave.forgetting.subject_keys)} subjects, {len(wave.forget_ids)} training "
        f"samples, from version {wave.base_version}, by attempt {unlearned['attempt']} ({unlearned['method']}). "
        f"Test accuracy {reported['accuracy']:.1%} (before {reported['accuracy_base']:.1%}); {shown}."
    )


def _list_params(workspace: Workspace) -> Iterator[Param]:
    flat = pd.json_normalize(workspace.params.model_dump(mode="json")).iloc[0].to_dict()
    yield from (Param(str(name), str(value)) for name, value in flat.items())


def _list_metrics(root: Path, kind: str) -> Iterator[Metric]:
    trained = [("train", TRAIN_METRICS)] if kind == "base" else []
    for prefix, path in (
        *trained,
        ("adversarial", ADVERSARIAL_METRICS),
        ("calibration", AUDIT_METRICS),
        ("test", REPORT_METRICS),
    ):
        for name, value in read_metrics(root, path).items():
            # a figure of too few samples is null, and a metric must be a number
            if value is not None:
                yield Metric(f"{prefix}.{name}", float(value), 0, 0)
    stage, epochs = ("train", TRAIN_EPOCHS) if kind == "base" else ("unlearn", UNLEARN_EPOCHS)
    for row in pd.read_csv(root / epochs).to_dict("records"):
        for name in ("loss", "accuracy"):
            yield Metric(f"{stage}.{name}", row[name], 0, int(row["epoch"]))


def _list_datasets(root: Path) -> Iterator[DatasetInput]:
    secret, digests = load_secret(root), pipeline.read_digests(root)
    for path in (TRAIN, CALIBRATION, TEST, ADVERSARIAL):
        digest = keyed_digest(secret, "dataset", digests[str(path)].encode())
        yield DatasetInput(Dataset(path.stem, digest, "dvc", str(path)), [])


def _log_files(root: Path, run_id: str) -> None:
    client = registry.open_registry()
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / registry.WEIGHTS
        weights.write_bytes((root / UNLEARNED).read_bytes())
        client.log_artifact(run_id, str(weights))
        for picture in draw_figures(root, Path(folder)):
            client.log_artifact(run_id, str(picture), "plots")
    for path in (AUDIT_METRICS, REPORT_METRICS):
        client.log_artifact(run_id, str(root / path), "report")


def _log_model(workspace: Workspace, run_id: str) -> tuple[str, str]:
    """Logs the model for serving, as pt2; its input example is noise, for MLflow stores it in clear."""
    train = read_samples(workspace.root / TRAIN)
    model = load_for(workspace.params, train, torch.device("cpu"), workspace.root / UNLEARNED)
    noise = torch.rand((2, *train.payloads.shape[1:]), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        signature: ModelSignature = infer_signature(noise.numpy(), model(noise).numpy())
    with mlflow.start_run(run_id=run_id):
        logged = mlflow.pytorch.log_model(
            model,
            name="model",
            serialization_format="pt2",
            input_example=noise.numpy(),
            signature=signature,
            pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}"],
        )
    return logged.model_uri, logged.model_id


def _digest_files(root: Path, run_id: str, model_uri: str) -> dict[str, str]:
    """Returns the keyed digests of the two model files as the registry gives them now."""
    secret = load_secret(root)
    with tempfile.TemporaryDirectory() as folder:
        weights = download_artifacts(run_id=run_id, artifact_path=registry.WEIGHTS, dst_path=folder)
        serving = Path(download_artifacts(artifact_uri=model_uri, dst_path=str(Path(folder) / "model")))
        if not zipfile.is_zipfile(serving / SERVING_FILE) or zipfile.ZipFile(serving / SERVING_FILE).testzip():
            raise AmunError(f"the registry gives a damaged {SERVING_FILE}; run the wave again")
        return {
            "amun.weights_digest": file_digest(secret, Path(weights)),
            "amun.serving_digest": file_digest(secret, serving / SERVING_FILE),
        }
