"""A wave from a person's request to the registered model, through real git, DVC, Prefect and MLflow."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import httpx
import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
import torch

from amun.core.keys import load_secret, subject_keys
from amun.core.paths import AUDIT_METRICS, LEDGER, PARAMS, REPORT_METRICS, TEST, TRAIN, UNLEARNED
from amun.evidence.wave import read_wave
from amun.ledger import Claim, Ledger, describe_holder
from amun.ledger.holder import tell_holder
from amun.model.building import load_for
from amun.model.training import compute_logits
from amun.params import load_params
from amun.store.store import read_shape
from tasks.views.trace import INCLUSIONS
from tasks.workspace.store_files import CONTENT
from tests.footers import assert_shows_nobody, find_store_files, is_sealed
from tests.readme import read_blocks
from tests.registry import find_version, list_attempts, open_client
from tests.test_bad_input import assert_one_line
from tests.workspaces import (
    MODEL,
    Finished,
    Site,
    choose_people,
    describe,
    dump_ledger,
    dump_requests,
    list_people,
    read_tree,
)

FOREIGN_WORDS = ("Traceback", "Warning", "WARNING", "INFO", "ERROR", "alembic", "prefect", "mlflow")
SUBJECT = re.compile(r"subject-\d{5}")


def find_commit(site: Site, number: int) -> str:
    return site.git("rev-list", "-n", "1", f"wave/{number:04d}")


def test_init_ends_with_wave_zero(init_run: tuple[Site, Finished]) -> None:
    site, finished = init_run
    assert finished.returncode == 0, describe(finished)
    (wave,) = site.load("wave", "list")
    assert (wave["number"], wave["kind"], wave["state"], wave["version"]) == (0, "base", "complete", "1")
    assert wave["summary"]["num_forget"] == 0
    assert wave["commit"] == find_commit(site, 0) == site.git("rev-parse", "HEAD")
    assert site.load("status")["champion"] == 1


@pytest.mark.parametrize("run", ["init_run", "wave_run"])
def test_output_is_our_own(run: str, request: pytest.FixtureRequest) -> None:
    _, finished = request.getfixturevalue(run)
    assert not [word for word in FOREIGN_WORDS if word in describe(finished)], describe(finished)
    assert ("attempt" in finished.stdout) == (run == "wave_run"), "a base is no attempt"
    assert finished.stderr == ""


def test_init_twice_is_once(wave_zero: Site) -> None:
    before = read_tree(wave_zero.root, ".amun", ".git", ".dvc")
    assert "is a workspace" in wave_zero.run("amun", "init")
    assert read_tree(wave_zero.root, ".amun", ".git", ".dvc") == before
    assert len(wave_zero.load("wave", "list")) == 1


def test_wave_is_complete(wave_run: tuple[Site, Finished]) -> None:
    site, finished = wave_run
    assert finished.returncode == 0, describe(finished)
    assert "attempt 1 refused" in finished.stdout
    assert "attempt 2 passed" in finished.stdout
    wave = site.load("wave", "list")[1]
    assert (wave["number"], wave["kind"], wave["state"]) == (1, "deletion", "complete")
    assert (wave["version"], wave["parent_version"], wave["attempt"]) == ("2", "1", 2)
    assert (wave["num_requests"], wave["summary"]["num_subjects"]) == (13, 13)
    assert wave["summary"]["method"] == "amun"
    assert wave["summary"]["num_forget"] >= 20
    assert wave["summary"]["num_held_out"] > 0
    assert wave["commit"] == find_commit(site, 1) == site.git("rev-parse", "HEAD")


def test_every_request_is_completed_with_a_receipt(wave_one: Site) -> None:
    requests = wave_one.load("request", "list")
    assert [request["subject_id"] for request in requests] == choose_people(wave_one)
    for request in requests:
        (outcome,) = request["outcomes"]
        assert (outcome["model"], outcome["state"], outcome["wave_number"]) == (MODEL, "completed", 1)
        receipt = outcome["receipt"]
        assert (receipt["tag"], receipt["version"], receipt["method"]) == ("wave/0001", 2, "amun")
        assert receipt["commit"] == find_commit(wave_one, 1)
    shown = wave_one.load("request", "show", requests[0]["request_id"])
    assert shown == requests[0] | {"twins": None}


def test_version_tells_what_it_is(wave_one: Site) -> None:
    version, run = find_version(wave_one, 1)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "wave-0001"
    assert version.tags["amun.commit"] == find_commit(wave_one, 1)
    assert version.tags["amun.parent_version"] == "1"
    assert version.tags["amun.num_forget"] == str(wave_one.load("wave", "show", "1")["summary"]["num_forget"])
    digests = ("forget", "base", "weights", "serving")
    assert all(re.fullmatch("[0-9a-f]{32}", version.tags[f"amun.{name}_digest"]) for name in digests)
    parent, _ = find_version(wave_one, 0)
    assert version.tags["amun.base_digest"] == parent.tags["amun.weights_digest"]
    assert open_client(wave_one).get_model_version_by_alias(MODEL, "champion").version == version.version


def test_tags_of_a_version_hold_no_id_of_a_person_nor_a_sample(wave_one: Site) -> None:
    version, _ = find_version(wave_one, 1)
    people, samples = choose_people(wave_one), read_wave(wave_one.root).forget_ids
    keyed = [key for person in people for key in subject_keys(load_secret(wave_one.root), person)]
    assert len(samples) >= len(people)
    # MLflow keeps them when the version is deleted
    told = json.dumps(version.tags)
    assert [each for each in (*people, *keyed, *samples) if each in told] == []


def test_page_of_the_model_is_a_history(wave_one: Site) -> None:
    page = str(open_client(wave_one).get_registered_model(MODEL).description)
    rows = [line for line in page.splitlines() if re.match(r"\| \d", line)]
    assert [row.replace("&emsp;", "").split(" | ")[:2] for row in rows] == [["| 2", "1"], ["| 1", "0"]]
    assert "13 people" in rows[0]
    assert "#/compare-runs?runs=" in page
    version, run = find_version(wave_one, 1)
    told = str(version.description)
    assert told.startswith("Wave 1 forgot 13 people (")
    assert "attempt 1, amun (learning rate 1000.0): refused" in told
    assert "attempt 2, amun (learning rate 0.03): passed" in told
    assert "with 95 % confidence" in told
    assert run.data.tags["mlflow.note.content"].startswith(told)


def test_run_holds_the_figures_that_compare_waves(wave_one: Site) -> None:
    version, run = find_version(wave_one, 1)
    report = json.loads((wave_one.root / REPORT_METRICS).read_text(encoding="utf-8"))
    assert run.data.params == {
        "wave": "1",
        "kind": "deletion",
        "people": "13",
        "samples": str(report["num_forget"]),
        "method": "amun",
        "attempt": "2",
        "learning_rate": "0.03",
    }
    assert run.data.metrics["accuracy/before"] == report["accuracy_base"]
    assert run.data.metrics["accuracy/after"] == report["accuracy"]
    assert run.data.metrics["ft_auc/before"] == report["ft_auc_base"]
    assert run.data.metrics["ft_auc/after"] == report["ft_auc"]
    told = wave_one.load("wave", "show", "1")["summary"]["test"]
    assert run.data.metrics["trace/after"] == report["trace"] == told["trace"]
    assert 0.5 < report["trace"] < 1
    assert run.data.metrics["trace_by_person/after"] == report["trace_by_person"] == told["trace_by_person"]
    assert f"it is {report['trace_by_person']:.3f} ± " in str(version.description)
    assert run.data.metrics["weights_by_person/after"] == report["weights_by_person"] == told["weights_by_person"]
    assert f"likewise of people, {report['weights_by_person']:.3f} ± " in str(version.description)
    assert run.data.metrics["duration/seconds"] > 0
    model = open_client(wave_one).get_logged_model(str(version.source).removeprefix("models:/"))
    shown = {metric.key: metric.value for metric in model.metrics or []}
    assert shown["ft_auc/after"] == report["ft_auc"]
    assert "calibration/ft_auc" in shown


def test_run_names_its_data_sets_by_keyed_digests(wave_one: Site) -> None:
    _, run = find_version(wave_one, 1)
    assert run.inputs is not None
    inputs = {entry.dataset.name: entry.dataset for entry in run.inputs.dataset_inputs}
    assert set(inputs) == {"train", "calibration", "test", "adversarial"}
    assert all(re.fullmatch("[0-9a-f]{32}", dataset.digest) for dataset in inputs.values())
    assert json.loads(str(inputs["train"].profile)) == {"num_rows": len(wave_one.read(TRAIN))}


def test_every_attempt_has_a_run_below_the_waves(wave_one: Site) -> None:
    refused, passed = list_attempts(wave_one, 1)
    assert (refused.info.run_name, refused.info.status) == ("attempt 1 refused, wave-0001", "FINISHED")
    assert "lower the learning rate" in refused.data.tags["amun.reason"]
    assert passed.info.run_name == "attempt 2 passed, wave-0001"
    assert passed.data.params["learning_rate"] == "0.03"
    assert passed.data.params["unlearning.epochs"] == "2"
    audited = json.loads((wave_one.root / AUDIT_METRICS).read_text(encoding="utf-8"))
    assert passed.data.metrics["calibration/ft_auc"] == audited["ft_auc"]
    assert passed.data.metrics["calibration/trace"] == audited["trace"] != 0.5
    assert passed.data.params["calibration/num_forget"] == str(audited["num_forget"])
    client = open_client(wave_one)
    for run, epochs in ((passed, 2), (find_version(wave_one, 0)[1], 12)):
        for name in ("by_epoch/loss", "by_epoch/accuracy"):
            history = client.get_metric_history(run.info.run_id, name)
            assert [metric.step for metric in history] == [*range(1, epochs + 1)]


def test_flow_run_is_found_by_its_wave_and_shows_it(wave_one: Site) -> None:
    _, run = find_version(wave_one, 1)
    flow_run = run.data.tags["amun.flow_run"]
    found = ask_prefect(wave_one, "flow_runs", {"flow_runs": {"tags": {"all_": [f"model:{MODEL}", "wave:1"]}}})
    assert flow_run in [entry["id"] for entry in found]
    # the session's server has pages of its own
    assert f"/runs/flow-run/{flow_run})" in run.data.tags["mlflow.note.content"]
    tasks = ask_prefect(wave_one, "task_runs", {"flow_runs": {"id": {"any_": [flow_run]}}})
    assert {"freeze", "unlearn attempt 2", "audit attempt 2", "gate attempt 2"} <= {task["name"] for task in tasks}
    assert all("wave:1" in task["tags"] for task in tasks)
    logged = ask_prefect(wave_one, "logs", {"logs": {"flow_run_id": {"any_": [flow_run]}}})
    assert [line["message"] for line in logged if "AttemptError" in line["message"]], "attempt 1 diverges"
    assert [line["message"] for line in logged if "Traceback" in line["message"]] == []
    shown = ask_prefect(wave_one, "artifacts", {"artifacts": {"flow_run_id": {"any_": [flow_run]}}})
    artifacts = {artifact["key"]: artifact for artifact in shown if artifact["key"]}
    assert set(artifacts) == {f"{MODEL}-figures", f"{MODEL}-summary"}
    version, _ = find_version(wave_one, 1)
    assert str(version.description) in artifacts[f"{MODEL}-summary"]["data"]
    (accuracy, _, ft_auc, _, trace, _, by_person, weights) = json.loads(artifacts[f"{MODEL}-figures"]["data"])
    report = json.loads((wave_one.root / REPORT_METRICS).read_text(encoding="utf-8"))
    assert accuracy["after"] == f"{report['accuracy']:.1%}"
    assert ft_auc["after"] == f"{report['ft_auc']:.3f}"
    assert ft_auc["exact retraining"] == "not computed"
    assert (trace["before"], trace["after"]) == ("", f"{report['trace']:.3f}")
    assert by_person["after"] == f"{report['trace_by_person']:.3f}"
    assert weights["after"] == f"{report['weights_by_person']:.3f}"


def test_server_writes_changes_of_task_runs_together(variables: dict[str, str]) -> None:
    settings = httpx.get(f"{variables['PREFECT_API_URL']}/admin/settings", timeout=30).json()
    recorder = settings["server"]["services"]["task_run_recorder"]
    # one by one they stand in the next task's way
    assert (recorder["read_batch_size"], recorder["batch_size"], recorder["flush_interval"]) == (100, 100, 1)


def ask_prefect(site: Site, noun: str, content: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns what the session's Prefect server has of this kind."""
    answer = httpx.post(f"{site.variables['PREFECT_API_URL']}/{noun}/filter", json=content, timeout=30)
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()
    return found


def test_run_holds_files_and_no_image_of_a_person(wave_one: Site) -> None:
    version, run = find_version(wave_one, 1)
    artifacts = wave_one.root / ".amun/mlartifacts" / MODEL
    files = set(read_tree(artifacts / run.info.run_id / "artifacts"))
    assert files == {
        "model.safetensors",
        "params.yaml",
        "plots/confidence.png",
        "plots/confidence.svg",
        "plots/roc.png",
        "plots/roc.svg",
        "report/audit.json",
        "report/report.json",
    }
    model = read_tree(artifacts / "models" / str(version.source).removeprefix("models:/") / "artifacts")
    assert {"MLmodel", "data/model.pt2", "requirements.txt"} <= set(model)
    assert "torch==" in model["requirements.txt"].decode()
    shown = {json.dumps(image) for image in json.loads(model["serving_input_example.json"])["inputs"]}
    assert len(shown) >= 2
    assert not shown & {json.dumps(image) for image in wave_one.read(TRAIN).images.tolist()}


def test_serving_file_gives_the_probabilities_of_named_classes(wave_one: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    (page,) = read_blocks("models.md#what-the-served-model-answers", "python")
    images = wave_one.read(TEST).images[:3]
    names: dict[str, Any] = {"mlflow": mlflow, "pandas": pd, "images": images.numpy()}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{wave_one.root / '.amun/mlflow.db'}")
    exec(page, names)  # noqa: S102 - what a reader is told to run
    served = names["served"]
    with wave_one.use_keys():
        params, train = load_params(wave_one.root / PARAMS), read_shape(wave_one.root / TRAIN)
        model = load_for(params, train, torch.device("cpu"), wave_one.root / UNLEARNED)
    for batch in (images, images[:1]):
        expected = compute_logits(model, batch).softmax(1)
        np.testing.assert_allclose(served.predict(batch.numpy()), expected, rtol=1e-4, atol=1e-5)
    assert served.metadata.get_output_schema().input_names() == [str(digit) for digit in range(10)]
    probabilities, labels = compute_logits(model, images).softmax(1).max(1)
    assert names["labels"].tolist() == [str(int(label)) for label in labels]
    np.testing.assert_allclose(names["probabilities"], probabilities, rtol=1e-4)


def test_commit_holds_exactly_what_a_wave_writes(wave_one: Site) -> None:
    assert wave_one.git("show", "--name-only", "--format=", "wave/0001^{commit}").split() == [
        "dvc.lock",
        "metrics/adversarial.json",
        "metrics/audit.json",
        "metrics/power.json",
        "metrics/report.json",
        "metrics/unlearn.json",
        "plots/confidence.csv",
        "plots/roc.csv",
        "plots/unlearn_epochs.csv",
        "wave/attempt.json",
        "wave/decisions.json",
        "wave/forgotten.json",
        "wave/plan.json",
        "wave/wave.json",
    ]
    assert wave_one.git("log", "-1", "--format=%an %cn", "wave/0001") == "amun amun"
    assert wave_one.git("rev-list", "--count", "wave/0000..HEAD") == "1"


def test_work_tree_is_clean(wave_one: Site) -> None:
    assert wave_one.git("status", "--porcelain") == ""
    assert json.loads(wave_one.run("dvc", "status", "--json")) == {}
    assert "up to date" in wave_one.run("dvc", "repro")
    assert wave_one.git("status", "--porcelain") == ""


def test_dvc_shows_the_wave(wave_one: Site) -> None:
    metrics = json.loads(wave_one.run("dvc", "metrics", "diff", "wave/0000", "--json"))
    assert "metrics/report.json" in metrics
    plots = wave_one.run("dvc", "plots", "show", "--json")
    assert {"ROC of the membership attack", "Confidence after"} <= set(json.loads(plots)["data"])
    assert "unlearn" in wave_one.run("dvc", "dag")


def test_git_holds_no_data(wave_one: Site) -> None:
    files = wave_one.git("ls-files").split("\n")
    pictures = (".parquet", ".png", ".jpg", ".jpeg", ".db", ".unfinished")
    of_docs = [f"docs/{name}.png" for name in ("month-deadlines", "month-events", "month-figures", "report")]
    assert [path for path in files if path.endswith(pictures)] == of_docs
    assert [path for path in files if path.endswith(".safetensors")] == [
        path for path in files if path.startswith("tests/oracle/")
    ]


def test_git_names_nobody(wave_one: Site) -> None:
    project = wave_one.git("rev-parse", "wave/0000~1")
    history = wave_one.git("log", "--patch", "--all", f"^{project}") + wave_one.git(
        "for-each-ref", "--format=%(contents)"
    )
    assert "wave 1 forgets" in history
    assert not SUBJECT.search(history)
    assert (wave_one.root / ".amun/secret").read_text(encoding="ascii").strip() not in history


def test_store_files_show_nobody_outside_of_their_pages(wave_one: Site) -> None:
    paths = find_store_files(wave_one.root)
    assert {wave_one.root / path for path in (*CONTENT, *INCLUSIONS.values())} < set(paths)
    with wave_one.use_keys():
        for path in paths:
            assert is_sealed(path), path
            assert_shows_nobody(path)


def test_stage_by_hand_gives_the_same_bytes(site: Site) -> None:
    before = (site.root / "dvc.lock").read_bytes()
    site.run("dvc", "repro", "-s", "-f", "unlearn")
    assert (site.root / "dvc.lock").read_bytes() == before
    assert site.git("status", "--porcelain") == ""


def test_nothing_pending_is_a_success(wave_one: Site) -> None:
    before = dump_requests(wave_one)
    assert "nothing to do" in wave_one.run("amun", "wave", "run")
    assert dump_requests(wave_one) == before


def test_dry_run_writes_nothing(site: Site) -> None:
    trained, _ = list_people(site)
    site.run("amun", "request", "add", *trained[:3])
    before = dump_ledger(site), read_tree(site.root, ".amun", ".git")
    said = site.run("amun", "wave", "run", "--dry-run")
    assert "wave 2 would forget 3 people" in said
    assert (dump_ledger(site), read_tree(site.root, ".amun", ".git")) == before


def claim_here(site: Site, lease_seconds: float = 600) -> Claim:
    """Returns the claim that this process, which lives, holds on the next wave."""
    with Ledger(f"sqlite:///{site.root / LEDGER}") as ledger:
        claim = ledger.claim_wave(
            MODEL, kind="deletion", holder=describe_holder(), now=datetime.now(UTC), lease_seconds=lease_seconds
        )
    assert isinstance(claim, Claim)
    return claim


def test_second_run_names_the_holder(site: Site) -> None:
    site.run("amun", "request", "add", list_people(site)[0][0])
    claim_here(site)
    before = dump_ledger(site)
    said = site.run("amun", "wave", "run")
    assert f"wave 2 is being run by {tell_holder(describe_holder())}" in said
    assert tell_holder(describe_holder()) in site.run("amun", "wave", "run", "--dry-run")
    assert tell_holder(describe_holder()) in site.run("amun", "base", "rebuild")
    assert dump_ledger(site) == before
    assert site.git("status", "--porcelain") == ""


def add(site: Site, *subjects: str) -> list[tuple[str, bool]]:
    """Returns what becomes of each demand: its state, and whether it is a new one."""
    finished = site.start("amun", "request", "add", *subjects, "--json")
    answers = [
        (outcome["state"], outcome["is_new"])
        for request in json.loads(finished.stdout)
        for outcome in request["outcomes"]
    ]
    assert finished.returncode == (3 if "unmatched" in dict(answers) else 0), describe(finished)
    return answers


def test_people_are_answered_as_they_stand(site: Site) -> None:
    forgotten, person, other = choose_people(site)[0], *list_people(site)[0][:2]
    assert add(site, forgotten, "nobody", person) == [
        ("already_forgotten", True),
        ("unmatched", True),
        ("pending", True),
    ]
    assert add(site, person) == [("pending", False)]
    claim_here(site)
    assert add(site, person, other) == [("in_wave", False), ("pending", True)]
    before = dump_ledger(site)
    refused = site.start("amun", "request", "add", list_people(site)[0][2], " ")
    assert refused.returncode == 2
    assert dump_ledger(site) == before


@pytest.mark.cold
def test_withdrawn_request_is_in_no_wave(site: Site) -> None:
    (added,) = site.load("request", "add", list_people(site)[0][0])
    withdrawn = site.load("request", "withdraw", added["request_id"])
    assert withdrawn["outcomes"][0]["state"] == "withdrawn"
    assert "nothing to do" in site.run("amun", "wave", "run")
    again = site.start("amun", "request", "withdraw", added["request_id"])
    assert (again.returncode, len(again.stderr.splitlines())) == (2, 1)


def test_overdue_request_fails_the_status(site: Site) -> None:
    with Ledger(f"sqlite:///{site.root / LEDGER}") as ledger:
        ledger.add_requests(
            [list_people(site)[0][0]], received_at=datetime(2020, 1, 31, tzinfo=UTC), now=datetime.now(UTC)
        )
    finished = site.start("amun", "status", "--json")
    assert finished.returncode == 1
    assert json.loads(finished.stdout)["overdue"] == 1


@pytest.mark.cold
def test_nobody_is_named_where_nobody_has_a_score(wave_one: Site) -> None:
    finished = wave_one.start("amun", "wave", "show", "1", "--worst")
    assert_one_line(finished, 2, "amun: nobody has a score: people, samples or references are too few")


def test_compare_adds_exact_retraining(site: Site) -> None:
    assert site.load("wave", "show", "1")["comparison"] is None
    assert "not computed" in site.run("amun", "wave", "list")
    compared = site.load("wave", "compare", "1")["comparison"]
    assert 0 < compared["accuracy"] <= 1
    assert 0 < compared["ft_auc"] < 1
    assert site.load("wave", "show", "1")["comparison"] == compared
    version, run = find_version(site, 1)
    assert run.data.metrics["ft_auc/retrained"] == compared["ft_auc"]
    assert run.data.metrics["trace/retrained"] == compared["trace"]
    assert run.data.metrics["trace_by_person/retrained"] == compared["trace_by_person"]
    assert run.data.metrics["weights_by_person/retrained"] == compared["weights_by_person"] != 0.5
    assert run.data.metrics["accuracy/retrained"] == compared["accuracy"]
    sentence = f"would have given FT AUC {compared['ft_auc']:.3f}, accuracy {compared['accuracy']:.1%}"
    assert str(version.description).count(sentence) == run.data.tags["mlflow.note.content"].count(sentence) == 1
    assert f"{compared['ft_auc']:.3f}" in str(open_client(site).get_registered_model(MODEL).description)
    assert site.git("status", "--porcelain") == ""
