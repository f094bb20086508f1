"""Weights that the registry has damaged are given back to it from DVC, or it is said how a person does."""

import shutil
from pathlib import Path

import pytest

from amun.core.errors import AmunError
from amun.core.keys import load_secret
from amun.core.paths import UNLEARNED, WAVE_BASE
from tasks.tools.contents import locate_cached
from tasks.tools.environment import MLFLOW_VARIABLE
from tasks.tools.registered import get_registered
from tasks.tools.registry import WEIGHTS
from tasks.tools.sound import read_stored
from tasks.workspace.weights import fetch_weights
from tests.tasks.tools.test_sound import flip
from tests.workspaces import MODEL, Site


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_damaged_weights_in_the_registry_are_mended_from_dvc(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, secret = site.root, load_secret(site.root)
    monkeypatch.setenv(MLFLOW_VARIABLE, f"sqlite:///{root}/.amun/mlflow.db")
    champion = get_registered(MODEL, 2)
    registered = next((root / ".amun/mlartifacts").rglob(f"{champion.run_id}/artifacts/{WEIGHTS}"))
    sound = registered.read_bytes()
    assert fetch_weights(root, champion, tmp_path / "fetched", secret) == []
    flip(registered)
    said = fetch_weights(root, champion, tmp_path / "fetched", secret)
    assert said == [f"version 2: {WEIGHTS} in the registry is not what was registered: brought back from DVC"]
    assert registered.read_bytes() == (tmp_path / "fetched").read_bytes() == sound

    flip(registered)
    md5 = read_stored(root)[str(UNLEARNED)]
    flip(locate_cached(root, [md5])[md5])
    before = shutil.copyfile(root / WAVE_BASE, tmp_path / "before").read_bytes()
    with pytest.raises(AmunError, match=rf"^version 2: .*nor does DVC have it; .*--run-id {champion.run_id}"):
        fetch_weights(root, champion, root / WAVE_BASE, secret)
    assert (root / WAVE_BASE).read_bytes() == before


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_workspace_that_was_moved_says_where_it_was(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MLFLOW_VARIABLE, f"sqlite:///{site.root}/.amun/mlflow.db")
    champion, files = get_registered(MODEL, 2), site.root / ".amun/mlartifacts"
    files.rename(tmp_path / "elsewhere")
    with pytest.raises(
        AmunError, match=rf"^MLflow has the files of version 2 in {files}/{MODEL}, .* move the workspace"
    ):
        fetch_weights(site.root, champion, tmp_path / "fetched", load_secret(site.root))
    files.symlink_to(tmp_path / "elsewhere")
    assert fetch_weights(site.root, champion, tmp_path / "fetched", load_secret(site.root)) == []
