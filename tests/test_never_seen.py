"""Whole waves by the methods that take their labels from the target references, and the gate's bound on the trace."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.views.descriptions import tell_bound
from tests.registry import find_version, list_attempts
from tests.workspaces import Site, describe, list_people, make_clone, set_key

NEVER_SEEN = {"method": "never_seen", "learning_rate": 0.03, "forget_weight": 2}
AMUN = {"method": "amun", "learning_rate": 0.03}
SOFT = {"method": "amun_soft", "learning_rate": 0.03, "label_mix": 0.0}
REFERENCE = {"method": "amun_reference", "learning_rate": 0.03}
RETRAIN = {"method": "retrain"}

pytestmark = pytest.mark.long


def choose_attempts(site: Site, *attempts: dict[str, Any], max_trace: float | None = None) -> None:
    """Makes a workspace try these attempts, by this bound on the trace."""

    def change(params: Any) -> None:
        set_key(params, "unlearning.attempts", list(attempts))
        set_key(params, "gate.max_trace", max_trace)
        set_key(params, "references.keep_weights", True)

    site.change_params(change)


def run_wave(site: Site, number: int) -> tuple[dict[str, Any], str]:
    """Lets some people be forgotten that no earlier wave has; returns the wave and what the run said."""
    site.run("amun", "request", "add", *list_people(site)[0][12 * number : 12 * number + 12])
    said = site.run("amun", "wave", "run")
    wave: dict[str, Any] = site.load("wave", "show", str(number))
    return wave, said


def test_waves_by_what_the_references_say(folder: Path, variables: dict[str, str]) -> None:
    site = make_clone(folder / "kept", variables)
    choose_attempts(site, NEVER_SEEN, RETRAIN)
    site.change_params(lambda params: params["references"].update(num_retrained=4))
    said = site.run("amun", "init")
    assert all(f"{name} by person of exact retraining, each without " in said for name in ("trace", "weights"))

    wave, _ = run_wave(site, 1)
    assert (wave["state"], wave["attempt"], wave["summary"]["method"]) == ("complete", 1, "never_seen")
    assert 0 < wave["summary"]["test"]["trace"] < 1
    for half in ("calibration", "test"):
        assert 0.5 < wave["summary"][half]["max_trace_by_person"] < 1.5
        assert 0.5 < wave["summary"][half]["max_weights_by_person"] < 1.5
    assert tell_bound(wave["summary"]["test"]["max_trace_by_person"]) in str(find_version(site, 1)[0].description)

    choose_attempts(site, SOFT, REFERENCE, RETRAIN)
    wave, _ = run_wave(site, 2)
    assert (wave["state"], wave["attempt"], wave["summary"]["method"]) == ("complete", 1, "amun_soft")

    # a number that would refuse any trace: what models retrained beside the base have shown stands in its place
    choose_attempts(site, REFERENCE, RETRAIN, max_trace=0.501)
    wave, _ = run_wave(site, 3)
    made = list_attempts(site, 3)[0]
    assert made.data.tags["amun.method"] == "amun_reference"
    assert "0.501" not in made.data.tags["amun.reason"]
    bounds = {f"calibration/max_{name}" for name in ("trace", "trace_by_person", "weights_by_person")}
    assert {"calibration/trace", *bounds} <= set(made.data.metrics)
    assert 0.5 < wave["summary"]["test"]["max_trace"] < 1.5
    seen = [json.loads(site.git("show", f"wave/000{number}:wave/wave.json"))["retrained"] for number in range(4)]
    assert (len(seen[0]["trace_by_person"]), seen[1:]) == (4, seen[:1] * 3), "waves take it from the wave before"

    page = folder / "kept.html"
    site.run("amun", "request", "show", site.load("request", "list")[0]["request_id"], "--html", str(page))
    assert "reference models trained on the samples" in page.read_text(encoding="utf-8")
    assert "wave 3: same bytes" in site.run("amun", "wave", "reproduce", "3")
    assert site.git("status", "--porcelain") == ""


def test_a_base_that_kept_no_references_refuses_the_attempt_and_says_why(wave_zero: Site, tmp_path: Path) -> None:
    site = wave_zero.copy(tmp_path / "workspace")
    choose_attempts(site, SOFT, AMUN, RETRAIN, max_trace=0.501)
    wave, said = run_wave(site, 1)
    assert (wave["attempt"], wave["summary"]["method"]) == (3, "retrain")
    refused = next(made for made in list_attempts(site, 1) if made.data.tags["amun.method"] == "amun")
    assert refused.data.metrics["calibration/trace"] > 0.501
    assert "more than 0.501" in refused.data.tags["amun.reason"]
    assert "attempt 2 refused: " in said
    assert "max(trace " in said
    assert "attempt 1 refused: unlearn: the target references' weights were not kept when the base was built" in said
    site.change_params(lambda params: params["references"].update(keep_weights=False))
    # a night without a request looks at no attempt
    checked = site.start("amun", "check")
    assert checked.returncode == 2, describe(checked)
    told = "unlearning.attempts 1: amun_soft needs the target references' weights, which are not kept"
    assert [told in line for line in checked.stdout.splitlines() if line.startswith("stops: ")] == [True]
