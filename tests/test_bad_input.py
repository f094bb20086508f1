"""Bad input gets one line that says what, where and what to do, exit code 2 or 1, and leaves nothing half-done."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amun.core.locks import hold_lock
from amun.core.paths import INIT_LOCK, PARAMS, STATE
from amun.vault.kek import KEK_VARIABLE
from tasks.tools.environment import find_free_port
from tests.workspaces import (
    BIN,
    Finished,
    Site,
    describe,
    dump_ledger,
    dump_requests,
    list_people,
    make_clone,
    read_tree,
    set_key,
)


@pytest.fixture(scope="module")
def fresh(folder: Path, variables: dict[str, str]) -> Site:
    """A clone in which nothing was run."""
    return make_clone(folder / "fresh", variables)


@pytest.fixture
def clone(fresh: Site, tmp_path: Path) -> Site:
    """A clone in which nothing was run, for one test alone."""
    shutil.copytree(fresh.root, tmp_path / "clone", symlinks=True)
    return Site(tmp_path / "clone", fresh.variables)


def assert_one_line(finished: Finished, exit_code: int, *words: str) -> None:
    """Checks that a command has refused in one line that holds these words."""
    assert finished.returncode == exit_code, describe(finished)
    assert finished.stdout == ""
    (line,) = finished.stderr.splitlines()
    assert line.startswith("amun: ")
    assert [word for word in words if word not in line] == [], line


def assert_init_refused(site: Site, exit_code: int, *words: str, arguments: tuple[str, ...] = ()) -> None:
    """Checks that `amun init` refuses in one line and creates nothing."""
    before = read_tree(site.root, ".git")
    assert_one_line(site.start("amun", "init", *arguments), exit_code, *words)
    assert read_tree(site.root, ".git") == before
    assert site.git("tag") == ""


PARAMETERS: dict[str, tuple[Callable[[Any], Any], tuple[str, ...]]] = {
    "unknown key": (lambda params: set_key(params, "training.epoch", 3), ("training.epoch", "unknown key")),
    "missing key": (lambda params: params["training"].pop("epochs"), ("training.epochs", "missing")),
    "missing section": (lambda params: params.pop("gate"), ("gate", "missing")),
    "5e-4": (
        lambda params: set_key(params, "training.weight_decay", "5e-4"),
        ("training.weight_decay", "5e-4", "write 0.0005"),
    ),
    "negative batch": (
        lambda params: set_key(params, "adversarial.batch_size", -64),
        ("adversarial.batch_size", "-64"),
    ),
    "text for a number": (lambda params: set_key(params, "training.epochs", "many"), ("training.epochs", "'many'")),
    "unknown method": (
        lambda params: set_key(params, "unlearning.attempts", [{"method": "hope", "learning_rate": 0.1}]),
        ("unlearning.attempts", "hope", "amun_a"),
    ),
    "unknown model": (
        lambda params: set_key(params, "model.architecture", "resnet19"),
        ("model.architecture", "resnet19", "resnet18"),
    ),
    "unknown option of the model": (
        lambda params: set_key(params, "model.options", {"widths": [3]}),
        ("model.options", "small_cnn", "widths"),
    ),
    "no images": (lambda params: params["data"].update(source="cifar10", root="nowhere"), ("data.root", "nowhere")),
    "retraining without the remain set": (
        lambda params: set_key(params, "data.remain", "none"),
        ("unlearning.attempts 3", "retrain", "data.remain"),
    ),
    "a fallback that needs the remain set": (
        lambda params: (
            params["data"].update(remain="none"),
            params["gate"].update(insufficient="retrain"),
            params["unlearning"]["attempts"].pop(),
        ),
        ("gate.insufficient", "pass_with_warning"),
    ),
}


@pytest.mark.parametrize("case", PARAMETERS)
def test_parameters(case: str, clone: Site) -> None:
    change, words = PARAMETERS[case]
    clone.change_params(change)
    assert_init_refused(clone, 2, "params.yaml" if "model" not in case else "model.", *words)


def test_parameters_that_are_no_yaml(clone: Site) -> None:
    (clone.root / PARAMS).write_text("model: [", encoding="utf-8")
    assert_init_refused(clone, 2, "params.yaml", "not valid YAML")


def test_missing_parameters(clone: Site) -> None:
    (clone.root / PARAMS).unlink()
    assert_init_refused(clone, 2, "params.yaml", "not found")


@pytest.mark.parametrize("command", [("init",), ("status",), ("wave", "run"), ("request", "add", "subject-00001")])
def test_no_git_repository(command: tuple[str, ...], variables: dict[str, str], tmp_path: Path) -> None:
    folder = Site(tmp_path, variables | {"GIT_CEILING_DIRECTORIES": str(tmp_path.parent)})
    assert_one_line(folder.start("amun", *command), 2, str(tmp_path), "no git repository")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("wave", "run"),
        ("wave", "list"),
        ("wave", "reproduce", "1"),
        ("base", "rebuild"),
        ("request", "add", "subject-00001"),
    ],
)
@pytest.mark.cold
def test_not_initialised(command: tuple[str, ...], fresh: Site) -> None:
    assert_one_line(fresh.start("amun", *command), 2, str(fresh.root), "amun init")
    assert not (fresh.root / ".amun").exists()
    assert fresh.git("status", "--porcelain") == ""


def test_dvc_before_init_says_what_to_do(clone: Site) -> None:
    finished = clone.start("dvc", "repro")
    assert finished.returncode != 0
    (line,) = (line for line in describe(finished).splitlines() if "amun: " in line)
    assert "amun init" in line
    assert "Traceback" not in describe(finished)


def test_uncommitted_changes_at_init(clone: Site) -> None:
    (clone.root / "README.md").write_text("mine", encoding="utf-8")
    (clone.root / "init.log").write_text("of this very command", encoding="utf-8")
    assert_init_refused(clone, 2, "uncommitted changes in README.md; commit or restore them first")


def test_detached_head_at_init(clone: Site) -> None:
    clone.git("checkout", "--quiet", "--detach")
    assert_init_refused(clone, 2, "HEAD is detached", "git switch")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("s3://bucket/prefix", ("s3://bucket", "does not answer")),
        ("ftp://somewhere/else", ("ftp://somewhere/else", "folders")),
        ("/dev/null/folder", ("/dev/null/folder",)),
    ],
)
def test_remote_that_does_not_answer(address: str, words: tuple[str, ...], clone: Site) -> None:
    closed = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{find_free_port()}",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }
    site = Site(clone.root, clone.variables | closed)
    assert_init_refused(site, 2, *words, arguments=("--remote", address))


def test_ledger_that_is_none(clone: Site) -> None:
    site = Site(clone.root, clone.variables | {"AMUN_LEDGER_URL": "somewhere"})
    assert_init_refused(site, 2, "ledger", "sqlite:///")


def test_secret_that_is_none(clone: Site) -> None:
    site = Site(clone.root, clone.variables | {"AMUN_SECRET": "swordfish"})
    assert_init_refused(site, 2, "AMUN_SECRET", "64 hexadecimal digits")


def test_key_encryption_key_without_its_key_store(clone: Site, tmp_path: Path) -> None:
    kek = tmp_path / "kek"
    kek.write_text("swordfish", encoding="ascii")
    site = Site(clone.root, clone.variables | {KEK_VARIABLE: f"file:{kek}"})
    assert_init_refused(site, 2, "AMUN_KEK", str(kek), "no key store")
    assert kek.read_text(encoding="ascii") == "swordfish"


def test_second_init_waits_for_what_the_first_makes(clone: Site) -> None:
    command = [str(BIN / "amun"), "init"]
    with (
        hold_lock(clone.root / INIT_LOCK),
        subprocess.Popen(
            command, cwd=clone.root, env=clone.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline().startswith("  waiting for another process")
        assert not (clone.root / STATE / "mlflow.db").exists()
        process.kill()


def test_wrong_sqlalchemy(clone: Site, tmp_path: Path) -> None:
    # what `pip install sqlalchemy==2.1` leaves, found before the installed one
    metadata = tmp_path / "elsewhere/sqlalchemy-2.1.0.dist-info/METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: SQLAlchemy\nVersion: 2.1.0\n", encoding="ascii")
    site = Site(clone.root, clone.variables | {"PYTHONPATH": str(metadata.parent.parent)})
    assert_init_refused(site, 2, "SQLAlchemy 2.1.0", "make setup")


def test_other_code_than_installed(site: Site) -> None:
    with (site.root / "tasks/tools/git.py").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert_one_line(site.start("amun", "status"), 2, str(site.root / "tasks"), "pip install")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("wave", "show", "99"), ("99", "amun wave list")),
        (("wave", "compare", "99"), ("99", "amun wave list")),
        (("wave", "reproduce", "99"), ("99", "amun wave list")),
        (("request", "show", "nonsense"), ("nonsense", "amun request list")),
        (("request", "withdraw", "nonsense"), ("nonsense", "amun request list")),
        (("request", "list", "--state", "lost"), ("lost", "pending")),
        (("request", "add", ""), ("subject id is empty",)),
    ],
)
def test_unknown_name(command: tuple[str, ...], words: tuple[str, ...], wave_one: Site) -> None:
    before = dump_ledger(wave_one)
    assert_one_line(wave_one.start("amun", *command), 2, *words)
    assert dump_ledger(wave_one) == before


@pytest.fixture(scope="module")
def pending(wave_one: Site, folder: Path) -> Site:
    """A workspace with a request that waits."""
    site = wave_one.copy(folder / "pending")
    site.run("amun", "request", "add", list_people(site)[0][0])
    return site


def assert_wave_refused(site: Site, exit_code: int, *words: str) -> None:
    """Checks that `amun wave run` refuses in one line and opens no wave; the ledger says that a night has failed."""
    before = dump_requests(site), site.git("status", "--porcelain")
    assert_one_line(site.start("amun", "wave", "run"), exit_code, *words)
    assert (dump_requests(site), site.git("status", "--porcelain")) == before
    assert "night-failed" in [alert["kind"] for alert in site.load("alert", "list")]


def test_uncommitted_changes_at_a_wave(pending: Site, tmp_path: Path) -> None:
    site = pending.copy(tmp_path / "workspace")
    (site.root / "README.md").write_text("mine", encoding="utf-8")
    for path in ("notes", "custom/net.py"):
        (site.root / path).write_text("mine", encoding="utf-8")
    assert_wave_refused(site, 2, "uncommitted changes in README.md, custom/net.py; commit")


def test_detached_head_at_a_wave(pending: Site, tmp_path: Path) -> None:
    site = pending.copy(tmp_path / "workspace")
    site.git("checkout", "--quiet", "--detach")
    assert_wave_refused(site, 2, "HEAD is detached")


def test_prefect_that_does_not_answer(pending: Site, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{find_free_port()}/api"
    assert_wave_refused(pending.copy(tmp_path / "workspace", PREFECT_API_URL=url), 1, "PREFECT_API_URL", url)


def test_help_needs_no_workspace(variables: dict[str, str], tmp_path: Path) -> None:
    assert "request" in Site(tmp_path, variables).run("amun", "--help")
    assert (BIN / "amun").exists()
