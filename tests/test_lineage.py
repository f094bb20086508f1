"""The lineage at the command line: the versions, one in full, and what lies between two."""

import json
import sys
from pathlib import Path

import pytest

from tasks.tools.environment import MLFLOW_VARIABLE
from tasks.tools.registered import list_versions
from tasks.tools.registry import ask_versions
from tests.registry import find_version, open_client
from tests.test_bad_input import assert_one_line
from tests.workspaces import MODEL, Site, choose_people


def test_list_follows_descent(wave_one: Site) -> None:
    base, unlearned = wave_one.load("model", "list")
    assert (base["number"], base["wave"], base["parent"], base["num_subjects"]) == (1, 0, None, 0)
    assert (unlearned["number"], unlearned["wave"], unlearned["parent"], unlearned["num_subjects"]) == (2, 1, "1", 13)
    assert unlearned["aliases"] == ["champion"]
    test = wave_one.load("wave", "show", "1")["summary"]["test"]
    assert [unlearned[name] for name in ("accuracy", "ft_auc", "standard_error")] == [
        test[name] for name in ("accuracy", "ft_auc", "standard_error")
    ]


def test_show_tells_how_a_version_was_made(wave_one: Site) -> None:
    details = wave_one.load("model", "show", "2")
    assert details["origin"]["commit"] == wave_one.git("rev-list", "-n", "1", "wave/0001")
    assert [decision["passed"] for decision in details["decisions"]] == [False, True]
    assert details["parameters"]["unlearning.attempts.2"] == "method amun, learning_rate 0.03"
    assert "unlearning.attempts.1" not in details["parameters"]
    assert "data/train.parquet" in details["data"]
    assert details["digests"]["weights"] == find_version(wave_one, 1)[0].tags["amun.weights_digest"]
    assert {"model.safetensors", "data/model.pt2", "report/report.json"} <= set(details["files"])
    shown = wave_one.run("amun", "model", "show", "2")
    assert "attempt 2 amun passed" in shown
    assert "subject-" not in shown + json.dumps(details)


def test_report_is_one_page_that_names_nobody(wave_one: Site, tmp_path: Path) -> None:
    people = choose_people(wave_one)
    for options, words in (
        ((), ("Of 13 requests, 13 are under way and in time.", "R-000013", "Version that serves", "attempt 1 (amun)")),
        (("--wave", "1"), ("wave 1", "What the wave shows", "How sure the model is")),
    ):
        page = tmp_path / f"report{len(options)}.html"
        assert wave_one.run("amun", "report", "--out", str(page), *options) == f"written: {page}\n"
        text = page.read_text(encoding="utf-8")
        assert [word for word in words if word not in text] == []
        assert [person for person in people if person in text] == []
        assert page.stat().st_mode & 0o777 == 0o600
    assert wave_one.git("status", "--porcelain") == ""
    assert_one_line(wave_one.start("amun", "report", "--out", str(page)), 2, "exists already")
    assert_one_line(wave_one.start("amun", "report", "--out", "report.html"), 2, "git would keep it")
    assert_one_line(wave_one.start("amun", "report", "--wave", "9"), 2, "9")


def test_diff_tells_what_changed(wave_one: Site) -> None:
    difference = wave_one.load("model", "diff", "1", "2")
    summary = wave_one.load("wave", "show", "1")["summary"]
    forgotten = {name: summary[name] for name in ("num_subjects", "num_forget", "num_held_out")}
    assert difference["forgotten"] == [{"number": 1, **forgotten, "num_canaries": 0}]
    assert difference["recalled"] == difference["commits"] == []
    assert difference["parameters"] == {}
    assert set(difference["data"]) == {
        "wave/adversarial.parquet",
        "wave/held_out_adversarial.parquet",
        "wave/unlearned.safetensors",
    }
    back = wave_one.load("model", "diff", "2", "1")
    assert (back["forgotten"], back["recalled"]) == ([], difference["forgotten"])


def test_foreign_version_is_shown_apart_and_a_mark_is_shown(site: Site) -> None:
    client = open_client(site)
    run_id = find_version(site, 0)[1].info.run_id
    client.create_model_version(MODEL, f"runs:/{run_id}/report", run_id)
    client.set_model_version_tag(MODEL, "2", "amun.rolled_back", "wrong labels")
    shown = site.run("amun", "model", "list")
    assert "rolled back: wrong labels" in shown
    assert shown.splitlines()[-1] == "in MLflow, but registered by no wave: version 3"
    assert site.load("model", "show", "3")["version"]["wave"] is None
    assert_one_line(site.start("amun", "model", "diff", "2", "3"), 2, "version 3", "no wave")


def test_database_is_read_as_the_client_of_mlflow_reads_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    client = open_client(site)
    run_id = find_version(site, 0)[1].info.run_id
    for number in (3, 4):
        assert int(client.create_model_version(MODEL, f"runs:/{run_id}/report", run_id).version) == number
    client.create_model_version(MODEL, str(site.root / "report"))
    client.set_registered_model_alias(MODEL, "a-name-of-theirs", "2")
    client.delete_model_version(MODEL, "3")
    monkeypatch.setenv(MLFLOW_VARIABLE, f"sqlite:///{site.root / '.amun/mlflow.db'}")
    read = list_versions(MODEL)
    assert [version.number for version in read] == [1, 2, 4, 5]
    assert [version.aliases for version in read] == [(), ("a-name-of-theirs", "champion"), (), ()]
    assert read == ask_versions(MODEL)
    assert list_versions("another") == ask_versions("another") == []


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["model", "list"],
        ["request", "list"],
        ["wave", "list"],
        ["receipt", "list"],
        ["consumer", "list"],
    ],
)
def test_short_commands_import_no_heavy_tool(command: list[str], wave_one: Site) -> None:
    program = (
        f"import atexit, sys; from flows.cli import main; tools = {{'torch', 'mlflow', 'prefect', 'dvc', 'pandas'}};"
        f"atexit.register(lambda: print('imported', sorted(tools & set(sys.modules)))); main({command!r})"
    )
    assert wave_one.run(sys.executable, "-c", program).splitlines()[-1] == "imported []"


def test_unknown_version(wave_one: Site) -> None:
    assert_one_line(wave_one.start("amun", "model", "show", "99"), 2, "no version 99", "amun model list")
