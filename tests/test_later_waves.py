"""Waves out of the ordinary: of held-out people alone, of too few, without the remain set, on a new base."""

import json
from pathlib import Path
from typing import Any

import psutil
import pytest

from amun.core.log import LOG_VARIABLE
from amun.core.paths import ADVERSARIAL, AUDIT_LOGITS, CALIBRATION, TEST, TRAIN, UNLEARNED, WAVE_BASE
from tests.processes import kill_dvc
from tests.readme import read_blocks
from tests.registry import find_version, list_attempts
from tests.workspaces import MODEL, Finished, Site, describe, list_people, read_tree, set_key

RETRAIN = {"method": "retrain"}
OUTPUTS = ("data", "models", "references", "wave", "metrics", "plots")


def read_outputs(site: Site) -> dict[str, dict[str, bytes]]:
    return {name: read_tree(site.root / name) for name in OUTPUTS}


def load_metrics(site: Site, stage: str) -> Any:
    return json.loads((site.root / f"metrics/{stage}.json").read_text(encoding="utf-8"))


def assert_clean(site: Site) -> None:
    """Checks that nothing is uncommitted and that DVC has nothing to do."""
    assert site.git("status", "--porcelain") == ""
    assert json.loads(site.run("dvc", "status", "--json")) == {}


def assert_log(finished: Finished, request_id: str, person: str) -> None:
    """Checks that each line of wave 2 is JSON which says when, what and of which wave, and that none names a person."""
    assert finished.returncode == 0, describe(finished)
    assert finished.stderr == ""
    lines = [json.loads(line) for line in finished.stdout.splitlines()]
    assert {(line["level"], type(line["time"]), type(line["message"])) for line in lines} == {("info", str, str)}
    first = next(place for place, line in enumerate(lines) if line["message"] == "in the wave")
    last = next(place for place, line in enumerate(lines) if line["message"].startswith("wave 2 complete"))
    assert {(line["model"], line["wave"]) for line in lines[first : last + 1]} == {(MODEL, 2)}
    told = [(line["message"], line["request"]) for line in lines if "request" in line]
    assert told == [("in the wave", request_id), ("honoured by the wave", request_id)]
    assert person not in finished.stdout
    (example,) = map(json.loads, read_blocks("operations.md#is-all-well", "json"))
    (honoured,) = (line for line in lines if line["message"] == example["message"])
    assert list(honoured) == list(example)


def test_held_out_people_need_no_unlearning(site: Site) -> None:
    person = list_people(site)[1][1]
    # without a server of the session it starts its own
    kept = {name: value for name, value in site.variables.items() if name != "PREFECT_API_URL"}
    alone = Site(site.root, kept | {LOG_VARIABLE: "json"})
    (request,) = alone.load("request", "add", person)
    assert_log(alone.start("amun", "wave", "run"), request["request_id"], person)
    assert not [process for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == str(site.root)]

    wave = site.load("wave", "show", "2")
    assert (wave["state"], wave["version"], wave["summary"]["method"]) == ("complete", "3", "none")
    assert wave["summary"]["num_forget"] == 0
    assert wave["summary"]["num_held_out"] > 0
    assert len(site.read(ADVERSARIAL)) == 0
    assert (site.root / UNLEARNED).read_bytes() == (site.root / WAVE_BASE).read_bytes()
    assert find_version(site, 2)[0].tags["amun.weights_digest"] == find_version(site, 1)[0].tags["amun.weights_digest"]
    assert list_attempts(site, 2) == []
    assert "the model is unchanged" in str(find_version(site, 2)[0].description)
    report = load_metrics(site, "report")
    assert report["ft_auc"] is report["standard_error"] is report["trace"] is None
    assert_clean(site)


def test_too_few_wait_and_are_retrained_in_the_end(site: Site) -> None:
    outputs, head = read_outputs(site), site.git("rev-parse", "HEAD")
    (request,) = site.load("request", "add", list_people(site)[0][-1])

    def change(params: Any) -> None:
        # it forgets nothing, and those of wave 1 are no evidence that it does
        set_key(params, "unlearning.attempts", [{"method": "fine_tune", "learning_rate": 0.00000001}, RETRAIN])
        params["gate"].update(auc_margin=0.1, insufficient="wait")

    site.change_params(change)
    kill_dvc(site, "unlearn")

    waiting = site.run("amun", "wave", "run")
    assert waiting.count("wave 2 waits: ") == 1
    assert "too few" in waiting
    assert site.load("wave", "show", "2")["state"] == "parked"
    (outcome,) = site.load("request", "show", request["request_id"])["outcomes"]
    assert (outcome["state"], outcome["wave_number"]) == ("pending", None)
    assert site.git("tag", "--list", "wave/0002") == ""
    assert site.git("rev-parse", "HEAD~1") == head
    assert site.git("status", "--porcelain") == ""
    assert read_outputs(site) == outputs

    site.change_params(lambda params: set_key(params, "gate.insufficient", "retrain"))
    kill_dvc(site, "unlearn")
    said = site.run("amun", "wave", "run")
    assert said.count("are too few to show") == 1
    assert "attempt 2 passed: exact by construction\n" in said
    wave = site.load("wave", "show", "3")
    assert (wave["state"], wave["version"], wave["summary"]["method"]) == ("complete", "3", "retrain")
    (outcome,) = site.load("request", "show", request["request_id"])["outcomes"]
    assert (outcome["state"], outcome["wave_number"]) == ("completed", 3)
    assert not [path for path in site.git("ls-files").split("\n") if path.endswith((".parquet", "d.safetensors"))]
    assert_clean(site)

    assert wave["summary"]["num_forget"] < 20, "a person's own figures must not stand anywhere"
    metrics = find_version(site, 3)[1].data.metrics
    assert not [name for name in metrics if name.startswith(("ft_auc/", "trace/"))]
    (attempt,) = list_attempts(site, 3)
    assert not [name for name in attempt.data.metrics if "auc" in name or "trace" in name]
    assert "calibration/accuracy" in attempt.data.metrics
    assert (site.root / "plots/roc.csv").read_text(encoding="ascii").count("\n") == 1
    assert outcome["receipt"]["ft_auc"] is None


def test_without_the_remain_set_a_wave_that_fails_is_parked(site: Site) -> None:
    outputs = read_outputs(site)
    attempts = [{"method": "amun", "learning_rate": 1000.0}]

    def change(params: Any) -> None:
        set_key(params, "data.remain", "none")
        set_key(params, "gate.insufficient", "pass_with_warning")
        set_key(params, "unlearning.attempts", attempts)

    site.change_params(change)
    site.run("amun", "request", "add", *list_people(site)[0][:2])
    parked = site.start("amun", "wave", "run")
    assert parked.returncode == 1
    (line,) = parked.stderr.splitlines()
    assert line == "amun: wave 2 is parked: no attempt passed the gate; `amun wave show 2` says why"
    reason = site.load("wave", "show", "2")["note"].removeprefix("no attempt passed the gate; ")
    assert parked.stdout.count(reason) == 1
    assert site.load("status")["pending"] == 2
    assert site.git("status", "--porcelain") == ""
    assert site.git("tag", "--list", "wave/0002") == ""
    assert read_outputs(site) == outputs


@pytest.mark.parametrize("stage", ["train", "references"])
def test_thawed_by_hand_a_base_stage_refuses_forgotten_people(stage: str, site: Site) -> None:
    before = (site.root / "dvc.lock").read_bytes()
    site.run("dvc", "unfreeze", stage)
    finished = site.start("dvc", "repro", "-s", "-f", stage)
    assert finished.returncode != 0
    (line,) = (line for line in describe(finished).splitlines() if "amun: " in line)
    assert "forgotten people" in line
    assert "amun base rebuild" in line
    assert (site.root / "dvc.lock").read_bytes() == before


def test_new_base_never_saw_the_forgotten(readme_run: tuple[Site, dict[str, Finished]]) -> None:
    site, _ = readme_run
    rebuilt = site.load("wave", "list")[-1]
    assert (rebuilt["number"], rebuilt["kind"], rebuilt["state"], rebuilt["version"]) == (2, "base", "complete", "3")
    assert site.load("status")["champion"] == 3
    forgotten = {request["subject_id"] for request in site.load("request", "list", "--state", "completed")}
    assert forgotten
    for path in (TRAIN, CALIBRATION, TEST, AUDIT_LOGITS):
        assert not forgotten & set(site.read(path).subject_ids.tolist())
    assert len(json.loads((site.root / "data/exclusions.json").read_text(encoding="utf-8"))) == len(forgotten)
    assert (site.root / "dvc.yaml").read_text(encoding="utf-8").count("frozen: true") == 3
    assert_clean(site)


def test_wave_after_a_new_base(readme_run: tuple[Site, dict[str, Finished]], tmp_path: Path) -> None:
    site = readme_run[0].copy(tmp_path / "workspace")
    site.run("amun", "request", "add", *list_people(site)[0][:4])
    site.run("amun", "wave", "run")
    wave = site.load("wave", "show", "3")
    assert (wave["state"], wave["parent_version"], wave["version"]) == ("complete", "3", "4")
    recorded = json.loads((site.root / "wave/wave.json").read_text(encoding="utf-8"))
    rebuilt = json.loads(site.git("show", "wave/0002:metrics/audit.json"))
    assert (recorded["yardstick"], recorded["yardstick_wave"]) == (rebuilt["accuracy"], 2)
    assert_clean(site)
