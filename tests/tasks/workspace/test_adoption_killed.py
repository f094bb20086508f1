"""`amun erase adopt`, killed while it removes weights from a real MLflow: the next call ends it, and no other goes."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from amun.core.paths import PARTIAL_ADVERSARIAL
from amun.ledger import Ledger
from flows.cli import main, shared
from tasks.tools import dvc
from tasks.tools.registered import ERASED_TAG, list_registered, list_versions
from tasks.tools.registry import SERVING_FILE, WEIGHTS, ensure_model, open_registry
from tasks.tools.registry_tables import CHAMPION
from tests.amun.ledger.helpers import MODEL
from tests.die import wrap
from tests.tasks.tools.test_registry_weights import register
from tests.tasks.workspace.test_clear_copies import History, write

LEFT = PARTIAL_ADVERSARIAL / "digest/0.parquet"

# in this order each finds what those before it have left to do
KILLS = [
    ("after", "amun.ledger.clear_waves:ClearBook.begin_clearing"),
    ("before", "tasks.workspace.clearing:_erase_versions"),
    ("before", "tasks.tools.registry_weights:erase_file"),
    # the model that serves is gone, and the other file of the version is not
    ("after", "tasks.tools.registry_weights:erase_file"),
    ("before", "tasks.tools.registry_weights:mark_copies"),
    ("after", "tasks.tools.registry_weights:mark_copies"),
    ("after", "tasks.workspace.left_weights:erase_weights"),
    ("before", "tasks.tools.registry_left:erase_file"),
    ("after", "tasks.tools.registry_left:erase_file"),
    ("after", "tasks.workspace.left_weights:erase_left_file"),
    ("after", "tasks.workspace.clearing:_erase_versions"),
    ("before", "tasks.tools.content_places:ContentFolder.remove"),
    ("after", "tasks.tools.content_places:ContentFolder.remove"),
    ("before", "tasks.workspace.clearing:_remove_files"),
    ("after", "tasks.workspace.clearing:_remove_files"),
    ("before", "tasks.workspace.clearing:erase_traces"),
    ("after", "tasks.workspace.clearing:erase_traces"),
    ("before", "amun.ledger.clear_waves:ClearBook.finish_clearing"),
]


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[History]:
    """A workspace whose base is sealed, with a version for each wave; somebody has deleted that of wave 1 by hand.

    A stage that was killed has left a file in clear.
    """
    root = tmp_path / "workspace"
    root.mkdir()
    (tmp_path / "remote").mkdir()
    monkeypatch.chdir(root)
    monkeypatch.setenv("AMUN_LEDGER_URL", f"sqlite:///{tmp_path}/ledger.db")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(root / ".amun/dvc"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    with Ledger.create(os.environ["AMUN_LEDGER_URL"]) as ledger:
        history = History(root, ledger)
        history.seal_base()
        dvc.set_remote(root, str(tmp_path / "remote"))
        history.push()
        write(root / LEFT, 7, None)
        monkeypatch.setattr(shared, "open_here", lambda: history.workspace)
        assert run_apart(partial(register_waves, tmp_path, history.commits)) == 0
        yield history


def register_waves(root: Path, commits: list[str]) -> None:
    experiment_id, client = ensure_model(root, MODEL), open_registry()
    for wave, commit in enumerate(commits):
        register(root, experiment_id, {"amun.commit": commit}, MODEL)
        tags = {"amun.weights_digest": "digest", "amun.wave": str(wave), "amun.commit": commit}
        for key, value in tags.items():
            client.set_model_version_tag(MODEL, str(wave + 1), key, value)
    client.set_registered_model_alias(MODEL, CHAMPION, str(len(commits)))
    client.delete_model_version(MODEL, "2")


def run_apart(function: Callable[[], None]) -> int:
    """Returns how a process has ended that does this; none of its databases is open here."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 1
    try:
        function()
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        os._exit(code)


def adopt(moment: str = "", target: str = "") -> None:
    if target:
        wrap(target, moment)
    main(["erase", "adopt", "--accept-lost-waves"])


def list_files(root: Path) -> list[str]:
    """Returns the names of the files of weights that MLflow has."""
    return sorted(path.name for path in root.rglob("*") if path.name in (Path(SERVING_FILE).name, WEIGHTS))


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
def test_killed_at_each_step_of_mlflow_the_next_call_ends_it(history: History, tmp_path: Path) -> None:
    artifacts = tmp_path / ".amun/mlartifacts"
    num_files, last_with_left = [len(list_files(artifacts))], ("", "")
    for moment, target in KILLS:
        assert run_apart(partial(adopt, moment, target)) == -signal.SIGKILL, f"{moment} {target}"
        num_files.append(len(list_files(artifacts)))
        last_with_left = (moment, target) if LEFT.exists() else last_with_left
        # from the intent on it is known, and nothing is recorded as gone before it is
        cleared = history.ledger.list_cleared(MODEL)
        assert (set(cleared), {wave.destroyed_at for wave in cleared.values()}) == ({0, 1}, {None})
    assert num_files == sorted(num_files, reverse=True)
    assert last_with_left == ("before", "tasks.workspace.clearing:_remove_files")
    assert run_apart(adopt) == 0
    assert None not in {wave.destroyed_at for wave in history.ledger.list_cleared(MODEL).values()}
    assert history.find_cached() == history.sealed
    assert {
        f"{path.parent.name}{path.name}" for path in (tmp_path / "remote").rglob("*") if path.is_file()
    } == history.sealed
    # of the three versions' six files the two of the one that serves are left
    assert list_files(artifacts) == sorted([Path(SERVING_FILE).name, WEIGHTS])
    assert {version.number: ERASED_TAG in version.tags for version in list_versions(MODEL)} == {1: True, 3: False}
    assert [version.version for version in list_registered(MODEL)] == [1, 3]
