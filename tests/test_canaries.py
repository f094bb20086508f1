"""Two people ask: canaries are forgotten along, the run is judged by all, and none of them is ever trained on again."""

from pathlib import Path
from typing import Any

import pytest

from amun.core.paths import EXCLUSIONS, FORGOTTEN, TRAIN
from amun.evidence.wave import read_forgotten, read_wave
from tests.registry import find_version
from tests.workspaces import Site, describe, list_people, make_clone, set_key

pytestmark = pytest.mark.long
NUM_POOL, MOST = 250, 100


@pytest.fixture(scope="module")
def site(folder: Path, variables: dict[str, str]) -> Site:
    """A workspace whose base has learned noisy digits by heart, with a pool of canaries."""

    def change(params: Any) -> None:
        params["model"]["options"]["channels"] = [16, 32, 32]
        params["data"] |= {"options": {"noise": 0.3}, "subject_max_samples": 5, "canaries": NUM_POOL}
        params["training"]["epochs"] = 40
        params["references"] |= {"num_audit": 8, "num_target": 2}
        params["unlearning"] |= {
            "epochs": 10,
            "attempts": [{"method": "never_seen", "learning_rate": 0.05, "forget_weight": 2}, {"method": "retrain"}],
        }
        params["gate"] |= {"max_memory_left": 0.9, "insufficient": "retrain"}
        set_key(params, "audit.canaries", MOST)

    site = make_clone(folder / "canaries", variables)
    site.change_params(change)
    site.run("amun", "init")
    return site


def run_night(site: Site, *people: str) -> str:
    if people:
        site.run("amun", "request", "add", *people)
    finished = site.start("amun", "wave", "run")
    assert finished.returncode == 0, describe(finished)
    return finished.stdout


def count_left(site: Site) -> int:
    status = site.load("status")
    assert status["num_canaries"] == NUM_POOL
    left: int = status["num_canaries_left"]
    return left


def list_canaries(site: Site) -> set[str]:
    """Returns whose samples are canaries' in the last wave."""
    train = site.read_owners(TRAIN)
    return set(train.subject_ids[train.is_among(read_wave(site.root).forgetting.canary_ids)].tolist())


def test_canaries_are_taken_used_up_and_gone_for_good(site: Site) -> None:
    trained = list_people(site)[0]
    assert count_left(site) == NUM_POOL
    asked = trained[:2]
    site.run("amun", "request", "add", *asked)
    planned = site.run("amun", "wave", "plan")
    assert f"with up to {MOST} canaries, where these let it be shown" in planned
    said = run_night(site)
    canaries = list_canaries(site)
    assert f"so that the run can be judged: {len(canaries)} canaries" in said
    assert 12 <= len(canaries) <= MOST
    assert not canaries & set(asked)
    wave = site.load("wave", "show", "1")
    assert wave["summary"]["insufficient"] == ""
    # the pool is drawn anew in each run, and one attempt in five is refused
    assert wave["summary"]["decisions"][0]["method"] == "never_seen", said
    assert (wave["summary"]["num_subjects"], wave["summary"]["num_canaries"]) == (2, len(canaries))
    assert wave["summary"]["calibration"]["is_apart"] is not None
    assert len(wave["requests"]) == 2, "nobody has asked for canaries"
    assert find_version(site, 1)[0].tags["amun.num_canaries"] == str(len(canaries))
    assert f"2 people and {len(canaries)} canaries" in str(find_version(site, 1)[0].description)
    (outcome,) = site.load("request", "show", wave["requests"][0])["outcomes"]
    assert outcome["receipt"]["num_canaries"] == len(canaries)
    assert NUM_POOL - len(canaries) - 2 <= count_left(site) <= NUM_POOL - len(canaries)
    told = site.run("amun", "wave", "show", "1", "--worst")
    assert all(person in told for person in asked)
    assert not [person for person in canaries if person in told]

    # a canary who asks is somebody: nothing of theirs is left to forget
    used = sorted(canaries)[0]
    said = run_night(site, used)
    assert "wave 2 complete" in said
    assert site.load("wave", "show", "2")["summary"]["num_forget"] == 0
    assert "wave 1" in site.run("amun", "subject", "trace", used)

    # others are taken the next time
    run_night(site, *trained[2:4])
    others = list_canaries(site)
    assert not others & (canaries | {used})

    gone = {key for forgotten in read_forgotten(site.root) for key in forgotten.canary_keys}
    site.run("amun", "base", "rebuild")
    assert not (canaries | others) & set(site.read_owners(TRAIN).subject_ids.tolist())
    assert gone <= set((site.root / EXCLUSIONS).read_text(encoding="utf-8").split('"'))
    assert (site.root / FORGOTTEN).read_text(encoding="utf-8").count("canary_keys") == 1 + bool(others)
    assert site.git("status", "--porcelain") == ""
