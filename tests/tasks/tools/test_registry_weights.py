"""A version's weights go from MLflow's files, its figures stay, and whoever copied it is told."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from mlflow.cli import gc
from mlflow.exceptions import MlflowException
from mlflow.store.artifact import s3_artifact_repo
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from amun.core.errors import AmunError
from amun.vault.sealed_weights import PlainFile
from tasks.tools.registered import ERASED_TAG, list_versions
from tasks.tools.registry import SERVING_FILE, WEIGHTS, ensure_model, erase_file, open_registry
from tasks.tools.registry_left import erase_left_file, list_left_files
from tasks.tools.registry_weights import describe_serving_file, erase_weights
from tasks.tools.s3 import open_client
from tests.mlflow_server import run_mlflow

MODEL = "ours"


def register(
    root: Path, experiment_id: str, tags: dict[str, str] | None = None, model: str = MODEL
) -> tuple[str, list[str]]:
    """Registers a version as a wave does; returns its run, and the folders of its files."""
    client = open_registry()
    run_id = client.create_run(experiment_id, tags=tags).info.run_id
    (root / WEIGHTS).write_bytes(b"sealed")
    client.log_artifact(run_id, str(root / WEIGHTS))
    client.log_dict(run_id, {"accuracy": 0.9}, "report/report.json")
    logged = client.create_logged_model(experiment_id, source_run_id=run_id)
    folder = root / "model"
    (folder / SERVING_FILE).parent.mkdir(parents=True, exist_ok=True)
    (folder / SERVING_FILE).write_bytes(b"weights in clear")
    (folder / "MLmodel").write_text(f"flavors: {{}}\nrun_id: {run_id}\n", encoding="utf-8")
    client.log_model_artifacts(logged.model_id, str(folder))
    client.create_model_version(model, f"models:/{logged.model_id}", run_id, model_id=logged.model_id)
    return run_id, [str(logged.artifact_location), client.get_run(run_id).info.artifact_uri]


def register_another(experiment_id: str, run_id: str) -> None:
    """Registers a version of another model as somebody does who has made another one in a wave's run."""
    logged = open_registry().create_logged_model(experiment_id, source_run_id=run_id)
    open_registry().create_model_version("prod", f"models:/{logged.model_id}", run_id, model_id=logged.model_id)


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
        root = tmp_path / "artifacts"  # as the folder that MLflow makes in each run's and each model's
        root.mkdir()
        check(root)
        check_left(root)
    else:
        with run_mlflow(tmp_path) as (url, _):
            monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
            check(tmp_path)
            check_left(tmp_path)


def check(root: Path) -> None:
    experiment_id, client = ensure_model(root, MODEL), open_registry()
    made = [register(root, experiment_id) for _ in range(3)]
    client.create_registered_model("prod")
    copied = client.copy_model_version(f"models:/{MODEL}/1", "prod")
    register_another(experiment_id, made[0][0])
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
    assert [ERASED_TAG in version.tags for version in list_versions("prod")] == [True, False]
    # the mark alone tells: the copy's file was the version's own, and MLflow goes on to offer it
    assert client.get_model_version("prod", copied.version).status == "READY"
    assert erase_weights(MODEL, 1) == [f"prod/{copied.version}"]


def check_left(root: Path) -> None:
    """Takes versions out of the registry by hand, which leaves their files, and looks for these and no others."""
    experiment_id, client = ensure_model(root, MODEL), open_registry()
    assert list_left_files(MODEL) == []
    commits = ["a" * 40, "b" * 40, None, "c" * 40]
    made = [register(root, experiment_id, {"amun.commit": commit} if commit else {}) for commit in commits]
    first, second, theirs, last = (
        client.search_model_versions(f"name = '{MODEL}' and run_id = '{run_id}'")[0] for run_id, _ in made
    )
    copied = client.copy_model_version(f"models:/{MODEL}/{first.version}", "prod")
    register_another(experiment_id, made[0][0])
    for version in (first, second, theirs):
        client.delete_model_version(MODEL, version.version)
    client.delete_run(made[1][0])
    # what has a run that no wave has made is left out
    found = list_left_files(MODEL)
    expected = {(folder, commit) for (_, folders), commit in zip(made[:2], commits, strict=False) for folder in folders}
    assert {(file.folder, file.commit) for file in found} == expected
    copies = [copy for file in found if file.commit == commits[0] for copy in erase_left_file(file)]
    assert copies == [f"prod/{copied.version}"]
    assert {file.commit for file in list_left_files(MODEL)} == {commits[1]}
    assert SERVING_FILE not in list_files(made[0][1][0])
    for run_id, folders in (made[2], made[3]):
        assert [SERVING_FILE in list_files(folders[0]), WEIGHTS in list_files(folders[1])] == [True, True], run_id
    assert last.version in {version.version for version in client.search_model_versions(f"name = '{MODEL}'")}


def test_logged_model_that_mlflows_gc_leaves_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    client, folders = open_registry(), []
    experiment_id = ensure_model(tmp_path, MODEL)
    for told in ("", "metadata: {amun.commit: " + "d" * 40 + "}\n"):
        run_id, (folder, _) = register(tmp_path, experiment_id, {"amun.commit": "d" * 40})
        folders.append(folder)
        description = Path(folder.removeprefix("file://")) / "MLmodel"
        description.write_text(description.read_text(encoding="utf-8") + told, encoding="utf-8")
        client.delete_model_version(MODEL, client.search_model_versions(f"run_id = '{run_id}'")[0].version)
        client.delete_run(run_id)
    options = ("--backend-store-uri", os.environ["MLFLOW_TRACKING_URI"], "--older-than", "0d")
    gone = CliRunner().invoke(gc, options, catch_exceptions=False)
    assert (gone.exit_code, gone.output.count("has been permanently deleted")) == (0, 2), gone.output
    # of the runs nothing is left; who has made the models, their own files tell since they say it
    assert {(file.folder, file.commit) for file in list_left_files(MODEL)} == {
        (folders[0], None),
        (folders[1], "d" * 40),
    }
    # MLflow turns whatever keeps a file from being fetched into its own exception
    with monkeypatch.context() as patch:
        patch.setattr(LocalArtifactRepository, "download_artifacts", fail_to_fetch)
        with pytest.raises(AmunError, match=r"MLflow at .* failed: .*timed out"):
            list_left_files(MODEL)
    for content in (b"{", b"\xff", None):
        description.unlink() if content is None else description.write_bytes(content)
        assert {(file.folder, file.commit) for file in list_left_files(MODEL)} == {(each, None) for each in folders}


def fail_to_fetch(*_: object, **__: object) -> str:
    raise MlflowException("timed out")


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


@pytest.mark.usefixtures("forgetful")
def test_weights_on_s3_are_described_and_found_without_a_version_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    bucket, registry = open_client(), open_registry()
    bucket.create_bucket(Bucket="files")
    bucket.put_bucket_versioning(Bucket="files", VersioningConfiguration={"Status": "Enabled"})
    experiment_id = registry.create_experiment(MODEL, artifact_location="s3://files/mlflow")
    assert ensure_model(tmp_path, MODEL) == experiment_id
    register(tmp_path, experiment_id, {"amun.commit": "a" * 40})
    md5 = hashlib.md5(b"weights in clear", usedforsecurity=False).hexdigest()
    assert describe_serving_file(MODEL, 1) == PlainFile(size=16, md5=md5)
    assert list_left_files(MODEL) == []
    registry.delete_model_version(MODEL, "1")
    # of one there is nothing left but a version that was replaced
    first, second = list_left_files(MODEL)
    assert (first.name, second.name, first.commit, second.commit) == (WEIGHTS, SERVING_FILE, "a" * 40, "a" * 40)
    bucket.delete_object(Bucket="files", Key=str(first).removeprefix("s3://files/"))
    assert list_left_files(MODEL) == [first, second]
    for file in (first, second):
        erase_left_file(file)
    assert list_left_files(MODEL) == []
    kept = bucket.list_object_versions(Bucket="files", Prefix="mlflow/")
    names = [entry["Key"] for kind in ("Versions", "DeleteMarkers") for entry in kept.get(kind, [])]
    assert not [name for name in names if name.endswith((WEIGHTS, SERVING_FILE))]
    assert [name for name in names if name.endswith("MLmodel")]
    # where the file is erased, there is nothing to describe
    register(tmp_path, experiment_id, {"amun.commit": "b" * 40})
    assert erase_weights(MODEL, 2) == []
    assert describe_serving_file(MODEL, 2) is None
