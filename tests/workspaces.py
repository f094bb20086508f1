"""Workspaces for the end-to-end tests: real clones in which the installed `amun` runs, each time a process."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from torch import Tensor

from amun.core.keys import SECRET_VARIABLE
from amun.core.paths import CALIBRATION, KEK, KEYS, LEDGER, PARAMS, SECRET, STATE, TEST, TRAIN
from amun.model.weights import read_weights
from amun.store.samples import Samples, StoredOwners, read_samples
from amun.store.store import read_owners
from amun.vault.database import KEYS_VARIABLE
from amun.vault.kek import KEK_VARIABLE
from flows.demo import ensure_clone
from tests.warm import find_process, pick_early

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
MODEL = "digits-cnn"
LIMIT_SECONDS = 600  # for a machine that does much else
# what decides where the tools work: a test says it, never the shell that started the tests
_FOREIGN_PREFIXES = ("AMUN_", "AWS_", "DVC_", "GIT_", "MLFLOW_", "PREFECT_")
_AUTHOR = ("-c", "user.name=somebody", "-c", "user.email=somebody@localhost")

Finished = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Site:
    """A clone of the project, and the variables with which its commands run."""

    root: Path
    variables: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its commands; the project's own programs are not on the path."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN_PREFIXES)}
        path = [folder for folder in kept["PATH"].split(os.pathsep) if folder != str(BIN)]
        return kept | {"PATH": os.pathsep.join(path)} | self.variables

    def start(self, *arguments: str) -> Finished:
        """Runs a program to its end, whatever that is.

        DVC alone finds the others on its path, as it does in a person's shell; `amun` must do without. Where a process
        is kept that has imported the libraries, and was started as this site's programs are, `amun` is a copy of it.
        """
        warm = find_process()
        if arguments[0] == "amun" and warm is not None and warm.early == pick_early(self.variables):
            return warm.run(list(arguments), self.root, self.environment, LIMIT_SECONDS)
        path = f"{BIN}{os.pathsep}{self.environment['PATH']}"
        return subprocess.run(
            [shutil.which(arguments[0], path=path) or arguments[0], *arguments[1:]],
            cwd=self.root,
            env=self.environment | ({"PATH": path} if arguments[0] == "dvc" else {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_SECONDS,
        )

    def run(self, *arguments: str) -> str:
        """Returns what a program prints that must succeed."""
        finished = self.start(*arguments)
        assert finished.returncode == 0, f"{arguments} ended with {finished.returncode}:\n{describe(finished)}"
        return finished.stdout

    def load(self, *arguments: str) -> Any:
        """Returns the JSON that an `amun` command prints."""
        return json.loads(self.run("amun", *arguments, "--json"))

    def git(self, *arguments: str) -> str:
        """Returns what git prints, less the last newline."""
        return subprocess.run(
            ["git", *_AUTHOR, *arguments],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.rstrip("\n")

    def change_params(self, change: Callable[[Any], None]) -> None:
        """Changes `params.yaml` and commits it, as a person would."""
        path = self.root / PARAMS
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        change(content)
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        self.git("commit", "--quiet", "--message", "Other parameters", "--", str(PARAMS))

    def name_keys(self) -> dict[str, str]:
        """Returns the variables that name the workspace's keys to another clone."""
        own = {KEYS_VARIABLE: f"sqlite:///{self.root / KEYS}", KEK_VARIABLE: f"file:{self.root / KEK}"}
        return own | {name: value for name, value in self.variables.items() if name in own}

    def name_secrets(self) -> dict[str, str]:
        """Returns the variables with which another clone joins the workspace, less its servers."""
        secret = (self.root / SECRET).read_text(encoding="ascii").strip()
        return self.name_keys() | {SECRET_VARIABLE: secret}

    @contextmanager
    def use_keys(self) -> Iterator[None]:
        """Opens in this process what the workspace has sealed."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.name_keys().items():
                patch.setenv(name, value)
            yield

    def read(self, path: Path) -> Samples:
        """Returns the samples of one of the workspace's store files."""
        with self.use_keys():
            return read_samples(self.root / path)

    def read_owners(self, path: Path) -> StoredOwners:
        """Returns whose the samples of one of the workspace's store files are."""
        with self.use_keys():
            return read_owners(self.root / path)

    def read_weights(self, path: Path) -> dict[str, Tensor]:
        """Returns the weights in one of the workspace's files."""
        with self.use_keys():
            return read_weights(self.root / path)

    def copy(self, root: Path, **variables: str) -> "Site":
        """Returns a copy that goes on by itself: nothing in it points back here."""
        shutil.copytree(self.root, root, symlinks=True)
        move_registry(root / STATE / "mlflow.db", str(self.root), str(root))
        return Site(root, self.variables | variables)


def make_clone(root: Path, variables: dict[str, str]) -> Site:
    """Returns a clone of the project as it is here and now, with parameters that take seconds."""
    ensure_clone(ROOT, root)
    site = Site(root, variables)
    site.change_params(shrink)
    return site


def shrink(params: dict[str, Any]) -> None:
    """Makes the parameters small, the gate wide and lenient, and the first attempt one that cannot pass."""
    params["model"]["options"]["channels"] = [8, 16, 16]
    params["training"]["epochs"] = 12
    params["references"] |= {"num_audit": 4, "num_target": 2}
    params["adversarial"]["pgd_doubling"]["num_steps"] = 20
    params["unlearning"] |= {
        "epochs": 2,
        "attempts": [
            {"method": "amun", "learning_rate": 1000.0},
            {"method": "amun", "learning_rate": 0.03},
            {"method": "retrain"},
        ],
    }
    params["gate"] |= {
        "max_accuracy_drop": 0.5,
        "auc_margin": 0.4,
        "max_trace": None,
        # a dozen people on a model of seconds show nothing
        "insufficient": "pass_with_warning",
    }


def move_registry(database: Path, old: str, new: str) -> None:
    """Makes an MLflow database name its artifacts in another folder: it keeps their absolute addresses."""
    with closing(sqlite3.connect(database)) as connection, connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for _, column, kind, *_ in connection.execute(f"PRAGMA table_info({table})").fetchall():
                if kind.startswith(("VARCHAR", "TEXT")):
                    change = f"UPDATE {table} SET {column} = replace({column}, ?, ?)"  # noqa: S608
                    # addresses are quoted, plain paths are not
                    connection.execute(change, (Path(old).as_uri(), Path(new).as_uri()))
                    connection.execute(change, (old, new))


def list_people(site: Site) -> tuple[list[str], list[str]]:
    """Returns who has training samples and who has held-out ones alone, each with the largest first."""
    train, calibration, test = (site.read(path) for path in (TRAIN, CALIBRATION, TEST))
    return _rank(train), [*_rank(calibration), *_rank(test)]


def _rank(samples: Samples) -> list[str]:
    sizes = Counter(samples.subject_ids.tolist())
    return sorted(sizes, key=lambda subject: (-sizes[subject], subject))


def describe(finished: Finished) -> str:
    """Returns all that a command said."""
    return f"{finished.stdout}\n{finished.stderr}"


def choose_people(site: Site) -> list[str]:
    """Returns who asks first: twelve people with training samples, and one with held-out samples alone."""
    trained, held_out = list_people(site)
    return [*trained[20:32], held_out[0]]


def set_key(params: dict[str, Any], key: str, value: Any) -> None:
    """Sets one key of the parameters, `section.key`."""
    section, _, name = key.partition(".")
    params[section][name] = value


def read_tree(root: Path, *left_out: str) -> dict[str, bytes]:
    """Returns the content of all files under `root` but those in the named folders, by path."""
    paths = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in paths
        if path.relative_to(root).parts[0] not in left_out
    }


def dump_ledger(site: Site) -> list[str]:
    """Returns the ledger's content as SQL."""
    with closing(sqlite3.connect(site.root / LEDGER)) as connection:
        return list(connection.iterdump())


def dump_requests(site: Site) -> list[str]:
    """Returns the ledger's content as SQL, without when nights ended and what was told of them."""
    tables = tuple(f'INSERT INTO "{name}"' for name in ("nights", "alerts", "alert_deliveries"))
    return [line for line in dump_ledger(site) if not line.startswith(tables)]
