"""A version's weights go from MLflow's files, its figures stay, and whoever copied it is told."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.store.artifact import s3_artifact_repo
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from amun.core.errors import AmunError
from amun.vault.sealed_weights import PlainFile
from tasks.tools.registered import ERASED_TAG, list_versions
from tasks.tools.registry import SERVING_FILE, WEIGHTS, ensure_model, erase_file, open_registry
from tasks.tools.registry_weights import describe_serving_file, erase_weights
from tasks.tools.s3 import open_client
from tests.mlflow_server import run_mlflow

MODEL = "ours"


def register(root: Path, experiment_id: str) -> tuple[str, list[str]]:
    """Registers a version as a wave does; returns its run, and the folders of its files."""
    client = open_registry()
    run_id = client.create_run(experiment_id).info.run_id
    (root / WEIGHTS).write_bytes(b"sealed")
    client.log_artifact(run_id, str(root / WEIGHTS))
    client.log_dict(run_id, {"accuracy": 0.9}, "report/report.json")
    logged = client.create_logged_model(experiment_id, source_run_id=run_id)
    folder = root / "model"
    (folder / SERVING_FILE).parent.mkdir(parents=True, exist_ok=True)
    (folder / SERVING_FILE).write_bytes(b"weights in clear")
    (folder / "MLmodel").write_text("flavors: {}\n", encoding="utf-8")
    client.log_model_artifacts(logged.model_id, str(folder))
    client.create_model_version(MODEL, f"models:/{logged.model_id}", run_id, model_id=logged.model_id)
    return run_id, [str(logged.artifact_location), client.get_run(run_id).info.artifact_uri]


def list_files(folder: str) -> set[str]:
    """Returns the paths of all files in a folder of MLflow's."""
    repository = get_artifact_repository(folder)
    waiting: list[str | None] = [None]
    found = set[str]()
    while waiting:
        for entry in repository.list_artifacts(waiting.pop()):
            if entry.is_dir:
                waiting.append(entry.path)
            else:
                found.add(entry.path)
    return found


@pytest.mark.parametrize("place", ["database", "server"])
def test_weights_go_and_all_else_stays(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"):
        monkeypatch.setenv(name, os.environ.get(name, "1"))
    if place == "database":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
        check(tmp_path)
    else:
        with run_mlflow(tmp_path) as (url, _):
            monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
            check(tmp_path)


def check(root: Path) -> None:
    experiment_id, client = ensure_model(root, MODEL), open_registry()
    made = [register(root, experiment_id) for _ in range(3)]
    client.create_registered_model("prod")
    copied = client.copy_model_version(f"models:/{MODEL}/1", "prod")
    # somebody has deleted the logged model, which leaves its files
    client.delete_logged_model(str(client.get_model_version(MODEL, "2").source).removeprefix("models:/"))
    served = PlainFile(size=16, md5=hashlib.md5(b"weights in clear", usedforsecurity=False).hexdigest())
    assert [describe_serving_file(MODEL, number) for number in (1, 2, 3)] == [served] * 3
    assert erase_weights(MODEL, 1) == [f"prod/{copied.version}"]
    assert erase_weights(MODEL, 2) == []
    assert [describe_serving_file(MODEL, number) for number in (1, 2, 3)] == [None, None, served]
    for number, (run_id, (model, run)) in enumerate(made, start=1):
        is_there = number == 3
        assert (SERVING_FILE in list_files(model), WEIGHTS in list_files(run)) == (is_there, is_there)
        assert "MLmodel" in list_files(model)
        assert "report/report.json" in list_files(run)
        assert client.get_run(run_id).info.lifecycle_stage == "active"
    assert [ERASED_TAG in version.tags for version in list_versions(MODEL)] == [True, True, False]
    assert [ERASED_TAG in version.tags for version in list_versions("prod")] == [True]
    assert erase_weights(MODEL, 1) == [f"prod/{copied.version}"]


def test_file_that_is_still_listed_is_not_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / WEIGHTS).write_bytes(b"sealed")
    monkeypatch.setattr(
        "mlflow.store.artifact.local_artifact_repo.LocalArtifactRepository.delete_artifacts", lambda *_: None
    )
    with pytest.raises(AmunError, match=rf"^MLflow still has {WEIGHTS} in {tmp_path} after removing it"):
        erase_file(str(tmp_path), WEIGHTS)


@pytest.fixture
def forgetful(aws: dict[str, str]) -> Iterator[None]:
    """The S3 server, which MLflow forgets afterwards: it keeps a client, wherever the variables point to."""
    assert aws
    s3_artifact_repo._cached_get_s3_client.cache_clear()
    yield
    s3_artifact_repo._cached_get_s3_client.cache_clear()


@pytest.mark.usefixtures("forgetful")
def test_of_a_file_on_s3_no_version_and_no_mark_is_left() -> None:
    client, folder = open_client(), "mlflow/1/models/m-1/artifacts"
    client.create_bucket(Bucket="registry")
    client.put_bucket_versioning(Bucket="registry", VersioningConfiguration={"Status": "Enabled"})
    for key in (f"{folder}/{SERVING_FILE}", f"{folder}/MLmodel", f"{folder}/{SERVING_FILE}.json"):
        for content in (b"first", b"second"):
            client.put_object(Bucket="registry", Key=key, Body=content)
    client.delete_object(Bucket="registry", Key=f"{folder}/{SERVING_FILE}")
    for _ in range(2):
        erase_file(f"s3://registry/{folder}", SERVING_FILE)
    left = client.list_object_versions(Bucket="registry", Prefix="mlflow/")
    kept = [
        entry["Key"].removeprefix(f"{folder}/")
        for kind in ("Versions", "DeleteMarkers")
        for entry in left.get(kind, [])
    ]
    assert sorted(kept) == ["MLmodel", "MLmodel", f"{SERVING_FILE}.json", f"{SERVING_FILE}.json"]
