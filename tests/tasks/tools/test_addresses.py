"""The addresses of `amun serve` count while it runs, and whatever else the file holds counts for nothing."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from amun.core.paths import SERVERS, STATE
from tasks.tools.addresses import find_addresses, read_addresses, write_addresses
from tasks.tools.environment import API_VARIABLE, MLFLOW_VARIABLE, choose_port, find_free_port, set_environment
from tasks.tools.servers import answers


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / STATE).mkdir()
    monkeypatch.setattr(os, "environ", {"PATH": os.environ["PATH"], API_VARIABLE: ""})
    return tmp_path


def test_running_servers_are_used(root: Path) -> None:
    write_addresses(root, "http://127.0.0.1:5000", "http://127.0.0.1:4200/api")
    set_environment(root)
    assert os.environ[MLFLOW_VARIABLE] == "http://127.0.0.1:5000"
    assert os.environ[API_VARIABLE] == "http://127.0.0.1:4200/api"


def test_address_of_the_user_comes_first(root: Path) -> None:
    os.environ[MLFLOW_VARIABLE] = "http://mlflow.example.org"
    write_addresses(root, "http://127.0.0.1:5000", "http://127.0.0.1:4200/api")
    set_environment(root)
    assert os.environ[MLFLOW_VARIABLE] == "http://mlflow.example.org"


@pytest.mark.parametrize("content", ["", '{"torn', "[]", "{}", '{"holder": "x"}'])
def test_file_that_is_none_counts_for_nothing(root: Path, content: str) -> None:
    (root / SERVERS).write_text(content, encoding="utf-8")
    assert read_addresses(root) is None
    set_environment(root)
    assert os.environ[MLFLOW_VARIABLE] == f"sqlite:///{root / STATE / 'mlflow.db'}"


def test_servers_of_an_ended_process_are_remembered_and_not_used(root: Path) -> None:
    write_addresses(root, "http://127.0.0.1:5000", "http://127.0.0.1:4200/api")
    told = read_addresses(root)
    assert told is not None
    machine, _, start = told.holder.rpartition(":")
    ended = replace(told, holder=f"{machine}:{float(start) - 1000}")
    (root / SERVERS).write_text(json.dumps(vars(ended)), encoding="utf-8")
    assert read_addresses(root) == ended
    assert find_addresses(root) is None


def test_port_is_the_first_free_one() -> None:
    free = find_free_port()
    assert choose_port(None, free) == free
    assert not answers(f"http://127.0.0.1:{free}")
