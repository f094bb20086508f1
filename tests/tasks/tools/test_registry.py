"""What a registry that dies, or gives other bytes, is answered."""

import os
from pathlib import Path

import pytest

from amun.core.errors import AmunError, InputError
from amun.core.keys import file_digest
from tasks.tools.registered import WaveVersion, require_own_model
from tasks.tools.registry import WEIGHTS, fetch_weights, open_registry, translate_errors
from tests.mlflow_server import run_mlflow
from tests.workspaces import MODEL, Site

KEY = bytes(32)


def test_server_that_dies_before_the_weights_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tmp_path / WEIGHTS
    weights.write_bytes(b"weights")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"):
        monkeypatch.setenv(name, os.environ.get(name, "1"))
    with run_mlflow(tmp_path) as (url, kill):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        client = open_registry()
        run_id = client.create_run("0").info.run_id
        client.log_artifact(run_id, str(weights))
        champion = WaveVersion(1, run_id, file_digest(KEY, weights), 0, "")
        fetch_weights(champion, tmp_path / "fetched", KEY)
        assert (tmp_path / "fetched").read_bytes() == b"weights"

        kill()
        with pytest.raises(AmunError, match=f"MLflow at {url} failed: ") as refused:
            fetch_weights(champion, tmp_path / "later", KEY)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "later").exists()


def test_file_of_ours_that_is_missing_is_no_fault_of_the_registry(tmp_path: Path) -> None:
    with pytest.raises(AmunError, match=f"^{tmp_path}/report.json: No such file or directory$"), translate_errors():
        (tmp_path / "report.json").read_text(encoding="utf-8")


def test_champion_that_another_workspace_has_made_is_not_replaced(
    wave_one: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{wave_one.root}/.amun/mlflow.db")
    require_own_model(wave_one.root, MODEL, None, is_recorded=True)
    require_own_model(wave_one.root, "another", None, is_recorded=False)
    with pytest.raises(InputError, match=rf"a champion of {MODEL} from another workspace \(version 2 of wave 1, "):
        require_own_model(wave_one.root, MODEL, None, is_recorded=False)
