"""What MLflow keeps of what was deleted or loaded, as far as people's data rely on it; each with the real MLflow."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from mlflow.cli import gc

from amun.core.keys import create_secret, keyed_digest, load_secret
from amun.core.paths import TRAIN
from tasks.tools.registry import SERVING_FILE, WEIGHTS, ensure_model, open_registry
from tasks.tools.registry_left import erase_left_file, list_left_files
from tasks.tools.s3 import open_client
from tasks.views.wave_run import CONTEXTS, _list_datasets
from tests.tasks.tools.test_registry_weights import MODEL, list_files, register

PERSON = "anna"
DIGEST = "0123456789abcdef0123456789abcdef"
# a consumer that ends as it should; each names where the model is to be loaded from, and loads it
THEIRS = "import sys; from mlflow.artifacts import download_artifacts; download_artifacts(sys.argv[1])"
OURS = """import sys
from amun.core.temporary import catch_temporary, open_temporary
from mlflow.artifacts import download_artifacts
with open_temporary() as folder:
    download_artifacts(sys.argv[1], dst_path=str(folder))
    assert list(folder.rglob("*.pt2"))
with catch_temporary() as folder:
    download_artifacts(sys.argv[1])
    assert list(folder.rglob("*.pt2"))
"""


def collect_garbage() -> int:
    """Runs `mlflow gc` over all that is deleted; returns how many things it says are gone."""
    options = ("--backend-store-uri", os.environ["MLFLOW_TRACKING_URI"], "--older-than", "0d")
    ended = CliRunner().invoke(gc, options, catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    return ended.output.count("has been permanently deleted")


def write_data(root: Path) -> None:
    """Writes what a wave's data sets are told of: one person's three samples, and files that hold none."""
    create_secret(root)
    for path in CONTEXTS:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"subject_id": [PERSON] * 3 if path == TRAIN else []}), root / path)
    outputs = [{"path": str(path), "md5": DIGEST} for path in CONTEXTS]
    (root / "dvc.lock").write_text(yaml.safe_dump({"stages": {"prepare": {"outs": outputs}}}), encoding="ascii")


def read_rows(root: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(root / "mlflow.db")) as database:
        return database.execute(query).fetchall()


def test_gc_keeps_a_models_weights_and_rows_of_what_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    client, experiment_id = open_registry(), ensure_model(tmp_path, MODEL)
    write_data(tmp_path)
    made = [register(tmp_path, experiment_id, {"amun.commit": "a" * 40}) for _ in range(2)]
    for number, (run_id, _) in enumerate(made, start=1):
        client.log_inputs(run_id, list(_list_datasets(tmp_path)))
        client.set_model_version_tag(MODEL, str(number), "amun.wave", "7")
        source = str(client.get_model_version(MODEL, str(number)).source)
        client.delete_model_version(MODEL, str(number))
        client.delete_run(run_id)
        if number == 2:
            client.delete_logged_model(source.removeprefix("models:/"))
    assert all(SERVING_FILE in list_files(model) and WEIGHTS in list_files(run) for _, (model, run) in made)
    assert collect_garbage() == 3
    # a model that was deleted by itself goes with its files, one whose run was deleted stays
    assert [SERVING_FILE in list_files(model) for _, (model, _) in made] == [True, False]
    assert [list_files(run) for _, (_, run) in made] == [set(), set()]
    assert read_rows(tmp_path, "select name, version, key, value from model_version_tags") == [
        (MODEL, 1, "amun.wave", "7"),
        (MODEL, 2, "amun.wave", "7"),
    ]
    # of people these rows have a number and a keyed digest
    digest = keyed_digest(load_secret(tmp_path), "dataset", DIGEST.encode())
    columns = "select name, digest, dataset_source_type, dataset_source, dataset_schema, dataset_profile"
    assert read_rows(tmp_path, columns + " from datasets") == [
        (TRAIN.stem, digest, "dvc", str(TRAIN), None, '{"num_rows": 3}')
    ]
    (left,) = list_left_files(MODEL)
    assert erase_left_file(left) == []
    assert SERVING_FILE not in list_files(made[0][1][0])


def load(program: str, folder: Path) -> list[Path]:
    """Runs a consumer to its end with a TMPDIR of its own; returns the models that lie there afterwards."""
    folder.mkdir()
    command = [sys.executable, "-c", program, "s3://served/model"]
    subprocess.run(command, check=True, env=os.environ | {"TMPDIR": str(folder)}, capture_output=True)
    return list(folder.rglob("*.pt2"))


@pytest.mark.usefixtures("aws")
def test_who_loads_a_model_from_a_bucket_keeps_it(tmp_path: Path) -> None:
    client = open_client()
    client.create_bucket(Bucket="served")
    for name in ("MLmodel", SERVING_FILE):
        client.put_object(Bucket="served", Key=f"model/{name}", Body=b"in clear")
    (left,) = load(THEIRS, tmp_path / "theirs")
    assert left.read_bytes() == b"in clear"
    # our commands fetch into a folder of their own, or have all temporary files of the process in one
    assert load(OURS, tmp_path / "ours") == []
    assert list((tmp_path / "ours").iterdir()) == []
