"""Weights of versions that somebody has deleted by hand go with whoever they have learned, and no others do."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from amun.core.errors import InputError
from amun.vault.sealed_weights import PlainFile
from tasks.tools.registry import SERVING_FILE, WEIGHTS, ensure_model, open_registry
from tasks.tools.registry_left import erase_left_file, list_left_files
from tasks.workspace import left_weights
from tasks.workspace.erased_weights import keep_erased_weights, read_erased_weights
from tasks.workspace.left_weights import erase_registered, find_left_weights, tell_unknown
from tasks.workspace.workspace import Workspace
from tests.amun.shipped import PARAMS
from tests.tasks.tools.test_registry_weights import register
from tests.tasks.workspace.test_learned import MODEL, History, plan

ELSEWHERE = 9  # a wave whose commit nobody here has
NOBODYS = f"models/m-0/artifacts/{SERVING_FILE}"  # nothing beside it tells who has made it


def test_what_has_learned_somebody_goes_and_what_nobody_can_judge_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    history = History(tmp_path)
    workspace, client, folders = Workspace(tmp_path, PARAMS), open_registry(), dict[str, int]()
    experiment_id = ensure_model(tmp_path, MODEL)
    for wave, commit in (history.commits | {ELSEWHERE: "e" * 40}).items():
        run_id, places = register(tmp_path, experiment_id, {"amun.commit": commit}, MODEL)
        folders |= dict.fromkeys(places, wave)
        client.delete_model_version(MODEL, client.search_model_versions(f"run_id = '{run_id}'")[0].version)
    nobodys = Path(client.get_experiment(experiment_id).artifact_location.removeprefix("file://"), NOBODYS)
    nobodys.parent.mkdir(parents=True)
    nobodys.write_bytes(b"weights in clear")

    # another clone can tell: whoever is recorded as erased is not asked for again
    with pytest.raises(InputError, match=rf"^MLflow has .*{'e' * 12} is not in {tmp_path}, .*`git pull` brings it"):
        find_left_weights(workspace, history.vault, [plan("bob", 2)], history.commits)
    for file in list_left_files(MODEL):
        if file.commit == "e" * 40:
            erase_left_file(file)

    left = find_left_weights(workspace, history.vault, [plan("bob", 2)], history.commits)
    assert sorted((folders[file.folder], file.name) for file in left.learned) == [
        (0, SERVING_FILE), (0, WEIGHTS), (1, SERVING_FILE), (1, WEIGHTS),
    ]  # fmt: skip
    assert [str(file) for file in left.unknown] == [nobodys.as_uri()]
    told = tell_unknown(left.unknown)
    assert (told.count("\n"), str(nobodys) in told, "1 file " in told) == (0, True, True)

    def keep(served: PlainFile) -> None:
        keep_erased_weights(workspace, history.vault, [served], datetime.now(UTC))

    assert erase_registered(MODEL, (), left.learned, keep) == ()
    after = find_left_weights(workspace, history.vault, [plan("bob", 2)], history.commits)
    assert after == left_weights.LeftWeights((), left.unknown)
    assert [file.size for file in read_erased_weights(workspace)] == [len(b"weights in clear")]
    # of whom nothing was learned nothing goes
    assert find_left_weights(workspace, history.vault, [plan("eve", 1)], history.commits).learned == ()
    assert find_left_weights(workspace, history.vault, [], history.commits) == left_weights.LeftWeights()
