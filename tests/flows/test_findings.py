"""`amun check` names each wrong setting in a line, before anything is begun for it, and changes nothing."""

import json
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from dvc.repo import Repo

from amun.core.keys import create_secret
from amun.core.params import read_params
from amun.core.paths import KEK, PARAMS, TRAIN, UNLEARNED, WAVE
from amun.ledger import Ledger
from amun.model.architectures import build_model
from amun.model.weights import save_weights
from amun.store.samples import Samples, write_samples
from amun.vault.vault import create_vault
from flows.cli import doctor, main
from tasks.tools.dvc import LOCK_FILE, set_remote
from tasks.tools.environment import API_VARIABLE, LEDGER_VARIABLE, MLFLOW_VARIABLE, find_free_port
from tasks.tools.git import run_git
from tasks.workspace.machine_notes import list_notes
from tasks.workspace.workspace import open_clone
from tests.amun.shipped import ROOT
from tests.amun.store.sources.test_torchvision import write_fashion_mnist
from tests.answering import serve
from tests.workspaces import read_tree, set_key

MEMORY: list[str] = []
SHIPPED = ("params.yaml", "dvc.yaml", ".gitattributes", ".gitignore")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A clone that is the current folder, and in which no wave was ever run."""
    root = tmp_path / "workspace"
    root.mkdir()
    for package in ("amun", "tasks", "flows"):
        (root / package).symlink_to(ROOT / package)
    for name in SHIPPED:
        shutil.copy(ROOT / name, root)
    run_git(root, "init", "--quiet")
    run_git(root, "add", *SHIPPED)
    run_git(root, "commit", "--quiet", "--message", "no wave yet")
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "path", [*sys.path])
    # whatever swap the machine has that runs the tests
    monkeypatch.setattr("tasks.workspace.machine_notes.list_memory_notes", lambda: MEMORY)
    before = dict(os.environ)
    for name in (MLFLOW_VARIABLE, LEDGER_VARIABLE, API_VARIABLE, "http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        os.environ.pop(name, None)
    yield root
    # a command sets the variables of its tools
    os.environ.clear()
    os.environ.update(before)


def change(root: Path, key: str, value: Any) -> None:
    """Changes a parameter and commits it."""
    params = yaml.safe_load((root / PARAMS).read_text(encoding="utf-8"))
    set_key(params, key, value)
    (root / PARAMS).write_text(yaml.safe_dump(params), encoding="utf-8")
    run_git(root, "commit", "--quiet", "--all", "--message", "other parameters")


def retrain_nothing(root: Path) -> None:
    """Asks for models to be retrained beside a base where nothing ever is."""
    for key, value in (
        ("unlearning.attempts", [{"method": "never_seen", "learning_rate": 0.05, "forget_weight": 2}]),
        ("gate.insufficient", "pass_with_warning"),
        ("data.remain", "none"),
        ("references.num_retrained", 6),
    ):
        change(root, key, value)


def switch_on_after(before: dict[str, Any], now: int) -> Callable[[Path], None]:
    """Asks for so many models where the base of the last wave has others, or none."""

    def arrange(root: Path) -> None:
        (root / WAVE).parent.mkdir()
        (root / WAVE).write_text(json.dumps({"number": 3} | before), encoding="utf-8")
        run_git(root, "add", str(WAVE))
        change(root, "references.num_retrained", now)
        record_base(root, {})

    return arrange


def keep_traces(num_asked: int, *traces: float, is_old: bool = False) -> dict[str, Any]:
    people = {"num_people": 75, "num_strangers": 80}
    weights = {} if is_old else {"weights_by_person": list(traces)}
    return {"retrained": {"num_asked": num_asked, **people, "trace_by_person": list(traces), **weights}}


class Typed:
    """A command: its exit code and what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *command: str):
        with pytest.raises(SystemExit) as ended:
            main(command)
        self.exit_code = ended.value.code or 0
        self.out, self.err = capsys.readouterr()


def test_sound_settings_have_no_finding_and_the_next_runs(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = read_tree(root, ".git", "amun", "tasks", "flows")
    with warnings.catch_warnings(action="error"):
        typed = Typed(capsys, "check")
    (line,) = typed.out.splitlines()
    assert (typed.exit_code, typed.err, line.startswith("next runs: ")) == (0, "", True), typed.out
    assert Typed(capsys, "check", "--json").out == "[]\n"
    assert read_tree(root, ".git", "amun", "tasks", "flows") == before


def test_channels_that_tell_nobody_are_noted(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    change(root, "alerts.command", ["no-such-program"])
    for name in ("AMUN_ALERT_WEBHOOK", "AMUN_ALERT_HEARTBEAT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AMUN_ALERT_SMTP", "smtp://127.0.0.1")
    monkeypatch.setenv("AMUN_ALERT_WEBHOOK_KEY", "file:/key")
    typed = Typed(capsys, "check")
    told = [line for line in typed.out.splitlines() if "nobody is alerted: " in line]
    assert [line.partition("nobody is alerted: ")[2].partition(":")[0] for line in told] == [
        "AMUN_ALERT_SMTP",
        "AMUN_ALERT_WEBHOOK_KEY",
        "params.yaml",
    ]
    assert typed.exit_code == 0


def test_swap_and_core_dumps_are_noted_and_stop_nothing(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert root.exists()
    monkeypatch.setattr(f"{__name__}.MEMORY", ["swap on /dev/sda2 is not encrypted"])
    typed = Typed(capsys, "check")
    assert (typed.exit_code, "note: swap on /dev/sda2 is not encrypted\n" in typed.out) == (0, True)
    doctor.print_report(doctor.Report([], [], list_notes(open_clone(root))))
    assert capsys.readouterr().out == "nothing is wrong\nnote: swap on /dev/sda2 is not encrypted\n"
    change(root, "runtime.engine", "ray")
    assert "note: runtime.engine: ray: images are in clear on the nodes of the cluster" in Typed(capsys, "check").out
    change(root, "data.sealed", False)
    assert "swap" not in Typed(capsys, "check").out
    assert list_notes(open_clone(root)) == []


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("schedule.cron", "99 3 * * *", ("stops: ", "schedule.cron", "99 3 * * *")),
        ("schedule.cron", "0 3 31 2 *", ("stops: ", "schedule.cron", "no night")),
        ("schedule.timezone", "Berlin", ("stops: ", "schedule.timezone", "Europe/Berlin")),
        ("intake.source", "../nowhere", ("fails: ", "intake.source", "nowhere is no folder; make it")),
        ("model.architecture", "resnet19", ("stops: ", "model.architecture", "resnet19")),
        ("model.options", {"widths": [1]}, ("stops: ", "model.options", "widths")),
        ("data.root", "nowhere", ("stops: ", "nowhere")),
        ("runtime.engine", "ray", ("stops: ", "runtime.engine", "RAY_ADDRESS", "or write local")),
    ],
)
def test_wrong_parameter_is_one_line(
    key: str, value: object, words: tuple[str, ...], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if key == "data.root":
        change(root, "data.source", "folder")
    change(root, key, value)
    typed = Typed(capsys, "check")
    lines = [line for line in typed.out.splitlines() if not line.startswith(("next runs", "note: "))]
    assert (typed.exit_code, len(lines)) == (2, 1), typed.out
    assert [word for word in words if word not in lines[0]] == []


def test_cluster_that_is_away_stops_no_night(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(root, "runtime.engine", "ray")
    record_base(root, {})
    typed = Typed(capsys, "check")
    assert (typed.exit_code, "note: runtime.engine: ray needs RAY_ADDRESS" in typed.out) == (0, True), typed.out


def test_architecture_is_built_on_made_up_images(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(root, "data.images", {"colour": "rgb", "size": [4, 4], "resize": "stretch", "transparent": "white"})
    change(root, "model.options", {})
    change(root, "model.architecture", "alexnet")
    typed = Typed(capsys, "check")
    assert (typed.exit_code, typed.out.count("\n"), "alexnet" in typed.out) == (2, 1, True), typed.out


def test_check_downloads_nothing_and_opens_images_for_a_while(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = root / "raw"
    options = {"name": "FashionMNIST", "parts": [{"train": True}], "download": True}
    for key, value in (("source", "torchvision"), ("root", "raw"), ("options", options)):
        change(root, f"data.{key}", value)
    (root / ".git/info/exclude").write_text("raw\n", encoding="ascii")
    typed = Typed(capsys, "check")
    note = "note: params.yaml: data.root: raw: the data set is not there yet; `amun init` downloads it\n"
    assert (typed.exit_code, sets.exists(), note in typed.out) == (0, False, True), typed.out
    write_fashion_mnist(sets)
    monkeypatch.setattr("flows.findings.GLANCE_SECONDS", 0.0)
    typed = Typed(capsys, "check")
    note = "note: params.yaml: data.root: 0 of 6 images were looked at; `amun init` looks at all\n"
    assert (typed.exit_code, note in typed.out) == (0, True), typed.out


def test_options_that_the_champion_was_not_trained_with_are_a_failure(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names, images = np.array(["a", "b"]), torch.zeros((2, 1, 8, 8), dtype=torch.uint8)
    (root / TRAIN).parent.mkdir()
    write_samples(root / TRAIN, Samples(names, names, torch.tensor([0, 1]), images), seal=None)
    (root / UNLEARNED).parent.mkdir()
    model = read_params(root / PARAMS).model
    save_weights(root / UNLEARNED, build_model(model, 2, (1, 8, 8), seed=0))
    assert Typed(capsys, "check").exit_code == 0
    change(root, "model.options", {"channels": [32, 64, 128]})
    typed = Typed(capsys, "check")
    failing, _ = typed.out.splitlines()
    assert (typed.exit_code, failing.startswith("fails: ")) == (2, True), typed.out
    assert [word for word in ("model.options", str(UNLEARNED), "`amun base rebuild`") if word not in failing] == []


def test_keys_that_are_not_at_hand_stop(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    create_secret(root)
    typed = Typed(capsys, "check")
    assert (typed.exit_code, "stops: no key store at" in typed.out) == (2, True), typed.out
    create_vault(root)
    create_ledger(root)
    assert Typed(capsys, "check").exit_code == 0
    (root / KEK).chmod(0o440)
    typed = Typed(capsys, "check")
    assert (typed.exit_code, "has mode 440" in typed.out) == (2, True), typed.out
    change(root, "data.sealed", False)
    assert Typed(capsys, "check").exit_code == 0


@pytest.mark.parametrize("command", [("init",), ("serve",), ("wave", "run", "--dry-run")])
def test_other_commands_ask_first(command: tuple[str, ...], root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(root, "schedule.cron", "0 3 31 2 *")
    if command != ("init",):
        create_secret(root)
    before = read_tree(root, ".git", "amun", "tasks", "flows")
    typed = Typed(capsys, *command)
    assert (typed.exit_code, typed.out) == (2, "")
    assert typed.err.startswith("amun: params.yaml: schedule.cron: '0 3 31 2 *' names no night")
    assert read_tree(root, ".git", "amun", "tasks", "flows") == before


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    ("version", "exit_code"), [("2.22.0", 2), ("1.30.1", 2), ("3.0.0rc1", 0), ("3.17.2", 0), ("10.1", 0), ("<html>", 0)]
)
def test_old_mlflow_is_refused(version: str, exit_code: int, capsys: pytest.CaptureFixture[str]) -> None:
    with serve(200, version) as port:
        os.environ[MLFLOW_VARIABLE] = f"http://127.0.0.1:{port}"
        typed = Typed(capsys, "check")
    assert typed.exit_code == exit_code, typed.out
    assert (f"release {version}, and 3.0 or newer" in typed.out) == bool(exit_code)


@pytest.mark.usefixtures("root")
def test_mlflow_that_is_away_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    os.environ[MLFLOW_VARIABLE] = f"http://127.0.0.1:{find_free_port()}"
    typed = Typed(capsys, "check")
    assert (typed.exit_code, typed.out.count("\n"), "MLflow at http" in typed.out) == (1, 1, True), typed.out


@pytest.mark.usefixtures("root")
def test_prefect_that_is_away_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    os.environ[API_VARIABLE] = f"http://127.0.0.1:{find_free_port()}/api"
    typed = Typed(capsys, "check")
    assert (typed.exit_code, typed.out.count("\n"), f"stops: {API_VARIABLE}: " in typed.out) == (1, 1, True), typed.out


def test_ledger_that_is_not_there_stops_a_workspace_alone(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(root, "data.sealed", False)
    os.environ[LEDGER_VARIABLE] = f"sqlite:///{root.parent}/ledger.db"
    assert Typed(capsys, "check").exit_code == 0
    create_secret(root)
    typed = Typed(capsys, "check")
    assert (typed.exit_code, typed.out.count("\n"), "stops: no ledger at" in typed.out) == (2, 1, True), typed.out
    create_ledger(root)
    assert Typed(capsys, "check").exit_code == 0


def create_ledger(root: Path) -> None:
    """Makes the ledger that the environment names, with the workspace's model."""
    with Ledger.create(os.environ.setdefault(LEDGER_VARIABLE, f"sqlite:///{root.parent}/ledger.db")) as ledger:
        ledger.register_model(read_params(root / PARAMS).model.name)


def test_remotes_that_do_not_answer_fail_a_night(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(root, "data.sealed", False)
    create_secret(root)
    create_ledger(root)
    Repo.init(str(root)).close()
    (root / "remote").mkdir()
    set_remote(root, str(root / "remote"))
    run_git(root, "init", "--quiet", "--bare", str(root / "remote.git"))
    run_git(root, "remote", "add", "origin", str(root / "remote.git"))
    run_git(root, "config", "amun.remote", "origin")
    assert Typed(capsys, "check").exit_code == 0
    for name in ("remote", "remote.git"):
        (root / name).rename(root / f"{name} is away")
    typed = Typed(capsys, "check")
    data, lineage, _ = typed.out.splitlines()
    assert typed.exit_code == 1, typed.out
    assert data.startswith(f"fails: the DVC remote {root}/remote is not there")
    assert lineage.startswith("fails: git remote: git ls-remote: "), lineage


@pytest.mark.parametrize(("kept", "asked"), [({}, 0), (keep_traces(6, *[0.6] * 5), 6)], ids=["none", "one too small"])
def test_a_base_with_the_models_asked_for_has_no_note(
    kept: dict[str, Any], asked: int, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    switch_on_after(kept, asked)(root)
    assert "num_retrained" not in Typed(capsys, "check").out


def use_autocrlf(root: Path) -> None:
    run_git(root, "config", "core.autocrlf", "true")
    run_git(root, "rm", "--quiet", ".gitattributes")
    run_git(root, "commit", "--quiet", "--message", "as earlier releases were")


def use_proxy(_: Path) -> None:
    os.environ |= {"http_proxy": "http://proxy.test:3128", "AWS_ENDPOINT_URL": "http://store.test:9000"}


def change_epochs(root: Path) -> None:
    of_base = {"training.epochs": 7, "training.batch_size": 128, "training.fallback_gradient_norm": 1}
    record_base(root, of_base | {"runtime.device": "cuda"})


def use_base_of_earlier_release(root: Path) -> None:
    record_base(root, {"training.epochs": 60})


def record_base(root: Path, params: dict[str, Any]) -> None:
    """Records that a base was trained with these parameters."""
    trained = {"train": {"params": {str(PARAMS): params}}}
    (root / LOCK_FILE).write_text(yaml.safe_dump({"stages": trained}), encoding="utf-8")


def change_owner(root: Path) -> None:
    if os.getuid():
        pytest.skip("only root gives a folder away")
    run_git(root, "config", "--file", str(root.parent / "gitconfig"), "safe.directory", "*")
    os.environ["GIT_CONFIG_GLOBAL"] = str(root.parent / "gitconfig")
    os.chown(root, 54321, -1)


@pytest.mark.parametrize(
    ("arrange", "words"),
    [
        (use_autocrlf, ("core.autocrlf is true", "* -text")),
        (use_proxy, ("AWS_ENDPOINT_URL", "store.test", "http_proxy", "NO_PROXY")),
        (change_owner, ("belongs to user 54321",)),
        (
            change_epochs,
            ("training.epochs is 60, and was 7", "new value (unlearn)", "(train, references)", "`amun base rebuild`"),
        ),
        (lambda root: change(root, "references.num_audit", 4), ("audit.earlier_people is 200", "6 are needed")),
        (retrain_nothing, ("references.num_retrained is 6", "data.remain none", "write 0")),
        (switch_on_after({}, 6), ("is 6", "was 0 for the base", "nobody decides", "`amun base rebuild`")),
        (switch_on_after(keep_traces(4, *[0.6] * 4), 0), ("is 0", "was 4 for", "go on refusing", "base rebuild")),
        (switch_on_after(keep_traces(4, *[0.6] * 4), 6), ("is 6", "was 4 for the base", "base rebuild")),
        (switch_on_after(keep_traces(4, *[0.6] * 4, is_old=True), 4), ("is 4", "at the weights", "base rebuild")),
        (
            switch_on_after(keep_traces(6, 0.6, 0.5), 6),
            ("is 6", "bounds nothing: too few people for 4", "write 0"),
        ),
        (use_base_of_earlier_release, ("training.fallback_gradient_norm is 1.0, and was null for the base",)),
    ],
)
def test_what_a_person_should_know_is_a_note(
    arrange: Callable[[Path], None], words: tuple[str, ...], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrange(root)
    typed = Typed(capsys, "check")
    note, following = typed.out.splitlines()
    assert (typed.exit_code, note.startswith("note: "), following.startswith("next runs")) == (0, True, True), typed.out
    assert [word for word in words if word not in note] == []
