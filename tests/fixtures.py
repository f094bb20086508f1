"""One Prefect server, one workspace with its base and one with a first wave, for all end-to-end tests."""

import gc
import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import boto3
import pytest
import torch
from filelock import FileLock

from amun.receipts.signing import RECEIPT_KEY_VARIABLE
from amun.vault.database import KEYS_VARIABLE
from amun.vault.kek import KEK_VARIABLE
from tasks.tools.environment import API_VARIABLE, SILENCE, UTF8_VARIABLE
from tasks.tools.prefect_server import provide_prefect
from tasks.tools.servers import UI_VARIABLE
from tests.readme import WORKSPACE, list_commands
from tests.swift import BUCKET, RequestLog, ensure_environment, run_swift
from tests.warm import WarmProcess, run_warm
from tests.workspaces import BIN, ROOT, Finished, Site, choose_people, make_clone

OTHER_LOCALE = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
# what such a program becomes: it starts itself anew in UTF-8 mode (`ensure_utf8`)
ABROAD = OTHER_LOCALE | {UTF8_VARIABLE: "1"}
# Commands of the page that are typed into new interpreters in that locale: they take arguments from there, print into
# it, write files of their own, change keys, or destroy. `init_run` and `wave_run` start stages so.
NEW = tuple(
    f"amun {command}"
    for command in ("request add", "status", "model show", "subject export", "keys rotate", "erase run")
)
PREFECT_DATABASE = "prefect.db"
# What a server does for deployments and automations all the time; the session's server has none.
QUIET = {
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_FOREMAN_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_ENABLED": "false",
}
# of the processes that begin with the first files, one makes the workspaces that others wait for, the others need none
FIRST = ("test_readme.py", "test_untouched_base.py", "test_own_model.py", "test_wave.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the end-to-end tests first, those on which others wait at their head: no process is left with a long one."""

    def rank(item: pytest.Item) -> tuple[bool, int]:
        name = item.path.name
        is_first = item.path.parent == Path(__file__).parent
        return not is_first, FIRST.index(name) if is_first and name in FIRST else len(FIRST)

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """Keeps what was imported out of every later collection of garbage: it is a million objects that stay."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Computes on one thread, as a stage does: test processes share the cores, and threads wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def keys_of_nobody() -> Iterator[None]:
    """Forgets where the keys of whoever runs the tests lie: tests rotate and destroy keys."""
    with pytest.MonkeyPatch.context() as patch:
        for name in (KEYS_VARIABLE, KEK_VARIABLE, RECEIPT_KEY_VARIABLE):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(autouse=True)
def keys_of_no_other_test() -> Iterator[None]:
    """Takes away the address of a workspace's keys that a command in this process has set."""
    before = {name: os.environ.get(name) for name in (KEYS_VARIABLE, KEK_VARIABLE)}
    yield
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all workspaces of the session."""
    return tmp_path_factory.mktemp("workspaces")


@pytest.fixture(scope="session")
def variables(folder: Path, common: Path) -> Iterator[dict[str, str]]:
    """What every command's environment says: a Prefect server of the session, a home without anybody's settings."""
    home = folder / "home"
    home.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(folder / "prefect"))
        patch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        # empty: a server is started, and the variable gets back what it was when the session ends
        patch.setenv(API_VARIABLE, "")
        patch.setenv(UI_VARIABLE, "")
        # the server inherits what it leaves out; others that a test starts do not
        with FileLock(common / "prefect.lock"), pytest.MonkeyPatch.context() as quiet:
            for name, value in QUIET.items():
                quiet.setenv(name, value)
            give_prefect_database(common, folder / "prefect")
            provide_prefect(folder).wait()
            keep_prefect_database(common, folder / "prefect")
        yield {"HOME": str(home), API_VARIABLE: os.environ[API_VARIABLE]}


def keep_prefect_database(common: Path, home: Path) -> None:
    """Keeps what a Prefect server makes of nothing: its migrations take longer than the rest of its start."""
    if not (kept := common / PREFECT_DATABASE).exists():
        with closing(sqlite3.connect(home / PREFECT_DATABASE)) as made, closing(sqlite3.connect(kept)) as copy:
            made.backup(copy)


def give_prefect_database(common: Path, home: Path) -> None:
    """Puts what was kept, if anything, where a server will look for its database."""
    if (kept := common / PREFECT_DATABASE).exists():
        home.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(kept, home / PREFECT_DATABASE)


@pytest.fixture(scope="session")
def warm(variables: dict[str, str]) -> Iterator[WarmProcess]:
    """The process whose copies run the commands."""
    # as the project sets them before it imports
    process = WarmProcess(BIN, variables | SILENCE)
    yield process
    process.stop()


@pytest.fixture(autouse=True)
def run_as_marked(request: pytest.FixtureRequest) -> Iterator[None]:
    """Runs commands in copies of a process that has imported the libraries, those of a test that is `cold` anew."""
    is_cold = any(request.node.get_closest_marker(name) for name in ("cold", "long"))
    is_warm = not is_cold and "variables" in request.fixturenames and sys.platform == "linux"
    with run_warm(request.getfixturevalue("warm") if is_warm else None):
        yield


@pytest.fixture(scope="session")
def common(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder of what the first test process that needs it makes for all of them."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "common"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def init_run(folder: Path, common: Path, variables: dict[str, str]) -> tuple[Site, Finished]:
    """A clone, and what `amun init` said in it; its DVC remote is that of all workspaces."""
    root, said = common / "zero", common / "init.json"
    with FileLock(common / "init.lock"):
        if not said.exists():
            site = make_clone(root, variables)
            with run_warm(None):
                finished = site.start("amun", "init", "--remote", str(common / "Réserve"))
            said.write_text(json.dumps(vars(finished)), encoding="utf-8")
        site = Site(root, variables).copy(folder / "zero")
    return site, Finished(**json.loads(said.read_text(encoding="utf-8")))


@pytest.fixture(scope="session")
def wave_zero(init_run: tuple[Site, Finished]) -> Site:
    """A workspace after `amun init`: tests copy it."""
    return init_run[0]


@pytest.fixture(scope="session")
def wave_run(folder: Path, wave_zero: Site) -> tuple[Site, Finished]:
    """A workspace with a first wave, and what `amun wave run` said of it."""
    with run_warm(None):
        return make_first_wave(wave_zero, folder / "one")


@pytest.fixture(scope="session")
def wave_one(request: pytest.FixtureRequest, folder: Path, wave_zero: Site, warm: WarmProcess) -> Site:
    """A workspace after its first wave: tests read it, or copy it and go on there."""
    if (folder / "one").exists():
        made: tuple[Site, Finished] = request.getfixturevalue("wave_run")
        return made[0]
    # a process whose tests do not look at `wave_run` needs no interpreters for it
    with run_warm(warm):
        return make_first_wave(wave_zero, folder / "first")[0]


def make_first_wave(wave_zero: Site, root: Path) -> tuple[Site, Finished]:
    """Returns a copy of the workspace with a first wave, and what `amun wave run` said of it."""
    site = wave_zero.copy(root)
    site.run("amun", "request", "add", *choose_people(site))
    return site, site.start("amun", "wave", "run")


@pytest.fixture(scope="session")
def readme_run(
    folder: Path, common: Path, wave_zero: Site, variables: dict[str, str]
) -> tuple[Site, dict[str, Finished]]:
    """A workspace in which the commands of `docs/workspace.md` were typed in their order, and what each one said."""
    # below a folder as people name theirs, and as no address may hold it as it stands
    root, said = common / "Räume #1 für 50%20" / "readme", common / "readme.json"
    with FileLock(common / "readme.lock"):
        if not said.exists():
            site = wave_zero.copy(root)
            typed = list_commands(WORKSPACE)
            process = WarmProcess(BIN, variables | SILENCE | ABROAD)
            try:
                with run_warm(process):
                    finished = {command: vars(_place(site, command).start(*shlex.split(command))) for command in typed}
            finally:
                process.stop()
            said.write_text(json.dumps(finished), encoding="utf-8")
        copy = Site(root, variables).copy(folder / "readme")
    told = json.loads(said.read_text(encoding="utf-8"))
    return copy, {command: Finished(**finished) for command, finished in told.items()}


def _place(site: Site, command: str) -> Site:
    """Returns where a command is typed: `amun` copes with a locale of few letters, other programs do not."""
    if not command.startswith("amun "):
        return site
    return Site(site.root, site.variables | (OTHER_LOCALE if command.startswith(NEW) else ABROAD))


@pytest.fixture
def site(wave_one: Site, tmp_path: Path) -> Site:
    """A workspace after its first wave, for one test alone."""
    return wave_one.copy(tmp_path / "workspace")


@pytest.fixture(scope="session")
def s3_log() -> RequestLog:
    """What the S3 server has been asked for."""
    return RequestLog()


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory, common: Path, s3_log: RequestLog) -> Iterator[dict[str, str]]:
    """An S3 server with a bucket, as the variables that name it."""
    programs, folder = ensure_environment(common / "swift"), tmp_path_factory.mktemp("swift")
    with run_swift(folder, programs, s3_log) as variables, pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        boto3.Session().client("s3").create_bucket(Bucket=BUCKET)
        patch.undo()
        yield variables


@pytest.fixture
def aws(swift: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The S3 server's variables, set for this process as well."""
    for name, value in swift.items():
        monkeypatch.setenv(name, value)
    return swift


@pytest.fixture(scope="session")
def ray_packages(common: Path) -> Path:
    """Ray in a folder of its own: it is 70 MB, and nothing else needs it."""
    folder = common / "ray"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            install = ["install", "--quiet", "--no-compile", "--target", str(folder)]
            pins = ["--constraint", str(ROOT / "constraints.txt"), "ray"]
            subprocess.run([sys.executable, "-m", "pip", *install, *pins], check=True, stderr=subprocess.DEVNULL)
    return folder
