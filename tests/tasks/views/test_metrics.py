"""The metrics say how a model stands, by names that Prometheus' own linter takes; rules and dashboard fit them."""

import json
import re
import sqlite3
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from amun.core.params import read_params
from amun.evidence.attempts import Judged, Receipt, Summary
from amun.evidence.figures import ReportFigures
from amun.ledger import Ledger, NewAlert, ParkedAs
from tasks.tools.environment import LEDGER_VARIABLE, find_free_port
from tasks.views.metrics import start_metrics, write_metrics
from tasks.workspace.workspace import Workspace
from tests.amun.ledger.helpers import MODEL, add, build_base, claim_wave
from tests.debian import provide_program
from tests.test_docs import is_there
from tests.workspaces import ROOT

RULES, DASHBOARD = ROOT / "infra/prometheus/alerts.yaml", ROOT / "infra/grafana/amun.json"
RULE_TESTS = ROOT / "tests/prometheus_rules.yaml"
NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path, read_params(ROOT / "params.yaml"))


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """A ledger in which there is something of everything."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    monkeypatch.setenv(LEDGER_VARIABLE, url)
    with Ledger.create(url) as opened:
        build_base(opened, ["ann", "bob", "joe", "zoe"])
        add(opened, "ann", now=NOW - 40 * DAY)
        opened.park_wave(claim_wave(opened, now=NOW - 40 * DAY), "why", NOW - 40 * DAY)
        attempt = Judged(attempt=1, method="retrain", passed=True, reason="exact")
        test = ReportFigures(accuracy=0.97, memory_left=0.1, memory_left_upper=0.3, num_standing_out=0)
        opened.complete_wave(
            claim_wave(opened, now=NOW - DAY),
            version="2",
            parent_version="1",
            commit="c0ffee",
            summary=Summary(method="retrain", decisions=(attempt,), test=test, stage_seconds=12.5),
            receipt=Receipt(),
            erase_after=NOW,
            now=NOW - DAY,
        )
        add(opened, "bob", "joe", "a stranger", now=NOW)
        opened.record_night(MODEL, NOW - DAY, is_good=True)
        opened.raise_alerts(MODEL, [NewAlert("wave-parked", "1", "wave 1 is parked")], ["webhook"], NOW)
        claim_wave(opened, now=NOW)
        yield opened


def read(text: str) -> dict[str, float]:
    """Returns the value of each sample of this model by name, with the state where it has one."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert {sample.labels["model"] for sample in samples} == {MODEL}
    return {
        " ".join([one.name, *(one.labels[key] for key in one.labels if key != "model")]): one.value for one in samples
    }


def test_metrics_say_how_a_model_stands(workspace: Workspace, ledger: Ledger) -> None:
    text = write_metrics(workspace)
    assert "stranger" not in text
    values = read(text)
    due = ledger.get_request("R-000002").due_at
    told = {
        "amun_ledger_up": 1,
        "amun_requests_pending": 0,
        "amun_requests_overdue": 0,
        "amun_requests_unmatched": 1,
        "amun_requests_held": 0,
        "amun_request_due_timestamp_seconds": due.timestamp(),
        "amun_request_last_night_timestamp_seconds": (due - 11 * DAY).timestamp(),
        "amun_erasures_pending": 1,
        "amun_erasures_overdue": 1,
        "amun_night_end_timestamp_seconds": (NOW - DAY).timestamp(),
        "amun_night_last_success_timestamp_seconds": (NOW - DAY).timestamp(),
        "amun_waves_total complete": 2,
        "amun_waves_total parked": 1,
        "amun_waves_total waiting": 0,
        "amun_waves_total nothing": 0,
        "amun_wave_open_timestamp_seconds": NOW.timestamp(),
        "amun_wave_number": 2,
        "amun_wave_last_success_timestamp_seconds": (NOW - DAY).timestamp(),
        "amun_wave_requests": 1,
        "amun_wave_compute_seconds": 12.5,
        "amun_wave_attempts": 1,
        "amun_wave_accuracy_ratio": 0.97,
        "amun_wave_memory_left_ratio": 0.1,
        "amun_wave_memory_left_upper_ratio": 0.3,
        "amun_wave_people_standing_out": 0,
        "amun_alerts_undelivered": 1,
    }
    assert {name: values[name] for name in told} == pytest.approx(told)
    assert values.keys() - told.keys() == {"amun_disk_free_bytes", "amun_disk_size_bytes"}
    assert 0 < values["amun_disk_free_bytes"] < values["amun_disk_size_bytes"]


def test_what_is_not_known_is_left_out(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    monkeypatch.setenv(LEDGER_VARIABLE, url)
    with Ledger.create(url) as opened:
        build_base(opened, ["ann"])
    values = read(write_metrics(workspace))
    assert not [name for name in values if name.startswith(("amun_wave_", "amun_night_", "amun_request_"))]
    assert (values["amun_waves_total complete"], values["amun_requests_pending"]) == (1, 0)


def test_who_matches_nobody_yet_has_a_due_date_too(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    monkeypatch.setenv(LEDGER_VARIABLE, url)
    with Ledger.create(url) as opened:
        build_base(opened, ["ann"])
        (stranger,) = add(opened, "a stranger", now=NOW - DAY)
        add(opened, "ann", now=NOW)
        due = opened.get_request(stranger).due_at
    assert read(write_metrics(workspace))["amun_request_due_timestamp_seconds"] == due.timestamp()


def test_a_wave_that_waits_has_not_failed(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    monkeypatch.setenv(LEDGER_VARIABLE, url)
    counted: tuple[ParkedAs, ...] = ("waiting", "waiting", "nothing", "parked")
    with Ledger.create(url) as opened:
        build_base(opened, ["ann"])
        for parked_as in counted:
            add(opened, "ann", now=NOW)
            opened.park_wave(claim_wave(opened, now=NOW), "why", NOW, parked_as)
    values = read(write_metrics(workspace))
    states = ("complete", "parked", "waiting", "nothing")
    assert [values[f"amun_waves_total {state}"] for state in states] == [1, 1, 2, 1]


def test_a_ledger_that_is_away_is_told(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LEDGER_VARIABLE, f"sqlite:///{tmp_path / 'nothing.db'}")
    values = read(write_metrics(workspace))
    assert values.keys() == {"amun_ledger_up", "amun_disk_free_bytes", "amun_disk_size_bytes"}
    assert values["amun_ledger_up"] == 0


def test_a_ledger_that_cannot_be_read_is_told(workspace: Workspace, ledger: Ledger, tmp_path: Path) -> None:
    assert ledger.list_waves(MODEL)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as database, database:
        database.execute("UPDATE waves SET summary = '{\"decisions\": 3}' WHERE number = 2")
    assert read(write_metrics(workspace))["amun_ledger_up"] == 0


def test_they_are_served_as_text_and_as_openmetrics(workspace: Workspace, ledger: Ledger) -> None:
    port = find_free_port()
    stop = start_metrics(workspace, "127.0.0.1", port)
    try:
        url = f"http://127.0.0.1:{port}/metrics"
        with urllib.request.urlopen(url) as answer:
            assert read(answer.read().decode()).keys() == read(write_metrics(workspace)).keys()
        asked = urllib.request.Request(url, headers={"Accept": "application/openmetrics-text; version=1.0.0"})
        with urllib.request.urlopen(asked) as answer:  # noqa: S310
            assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
            told: Any = parse_openmetrics(answer.read().decode())  # type: ignore[no-untyped-call]
            families = {family.name: family.type for family in told}
        assert (families["amun_waves"], families["amun_requests_pending"]) == ("counter", "gauge")
        # what happens between two questions is in the second answer
        ledger.record_night(MODEL, NOW, is_good=True)
        with urllib.request.urlopen(url) as answer:
            again = read(answer.read().decode())
        assert again["amun_night_end_timestamp_seconds"] == pytest.approx(NOW.timestamp())
    finally:
        stop()
    # its port is free again
    start_metrics(workspace, "127.0.0.1", port)()


@pytest.fixture(scope="module")
def promtool() -> str:
    """Prometheus' own program that checks metrics and rules."""
    return provide_program("promtool", "prometheus")


def run(*command: str, said: str = "", folder: Path = ROOT) -> str:
    """Returns what a program says of its input; it must find no fault."""
    finished = subprocess.run(command, input=said, cwd=folder, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout + finished.stderr


def test_prometheus_finds_no_fault_in_names_and_rules(
    workspace: Workspace, ledger: Ledger, promtool: str, tmp_path: Path
) -> None:
    assert ledger.list_waves(MODEL)
    assert run(promtool, "check", "metrics", said=write_metrics(workspace)) == ""
    run(promtool, "check", "rules", str(RULES))
    for path in (RULES, RULE_TESTS):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    run(promtool, "test", "rules", RULE_TESTS.name, folder=tmp_path)


def test_each_panel_of_the_dashboard_has_data(
    workspace: Workspace, ledger: Ledger, promtool: str, tmp_path: Path
) -> None:
    assert ledger.list_waves(MODEL)
    # asked thrice, Prometheus would have these series
    families = text_string_to_metric_families(write_metrics(workspace))
    series = [(write_series(one), one.value) for family in families for one in family.samples]
    rules = [
        {"alert": f"NoData{number}", "expr": f"absent({expression})"}
        for number, expression in enumerate(list_expressions())
    ]
    expected = [{"alertname": rule["alert"], "eval_time": "2m", "exp_alerts": []} for rule in rules]
    told = [{"series": name, "values": " ".join([f"{value:f}"] * 3)} for name, value in series]
    content = {
        "rules.yaml": {"groups": [{"name": "dashboard", "rules": rules}]},
        "test.yaml": {
            "rule_files": ["rules.yaml"],
            "evaluation_interval": "1m",
            "tests": [{"interval": "1m", "input_series": told, "alert_rule_test": expected}],
        },
    }
    for name, written in content.items():
        (tmp_path / name).write_text(yaml.safe_dump(written), encoding="utf-8")
    assert f"{len(rules)} rules found" in run(promtool, "check", "rules", "rules.yaml", folder=tmp_path)
    run(promtool, "test", "rules", "test.yaml", folder=tmp_path)


def write_series(sample: Sample) -> str:
    """Returns the name and labels of a sample as Prometheus writes them."""
    labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
    return f"{sample.name}{{{labels}}}"


def list_expressions() -> list[str]:
    """Returns the expressions of the dashboard, of one model."""
    dashboard: Any = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return [target["expr"].replace("$model", MODEL) for panel in dashboard["panels"] for target in panel["targets"]]


def test_rules_and_dashboard_speak_of_what_there_is(workspace: Workspace, ledger: Ledger) -> None:
    assert ledger.list_waves(MODEL)
    there = {name.partition(" ")[0] for name in read(write_metrics(workspace))}
    rules = [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
    shown = set(re.findall(r"amun_\w+", " ".join(list_expressions())))
    assert set(re.findall(r"amun_\w+", " ".join(rule["expr"] for rule in rules))) <= there
    assert there - shown - {"amun_ledger_up", "amun_wave_number", "amun_wave_requests"} == {
        "amun_request_last_night_timestamp_seconds",
        "amun_wave_open_timestamp_seconds",
    }
    files = yaml.safe_load(RULE_TESTS.read_text(encoding="utf-8"))["tests"]
    tested = {test["alertname"] for file in files for test in file["alert_rule_test"]}
    assert tested == {rule["alert"] for rule in rules}
    pages = [rule["annotations"]["runbook"] for rule in rules]
    assert [page for page in pages if not is_there(ROOT / "README.md", *page.partition("#")[::2])] == []


def test_panels_of_the_dashboard_do_not_lie_on_each_other() -> None:
    dashboard: Any = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    spans = [(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])) for at in places]
    cells = [(x, y) for columns, rows in spans for x in columns for y in rows]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(places)
