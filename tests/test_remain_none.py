"""A model whose training data lie elsewhere: a wave needs the forget set, and no other training sample is read."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from amun.core.paths import CONFIDENCE, TRAIN
from amun.store.samples import write_samples
from amun.vault.seal import Seal
from amun.vault.vault import open_vault
from tests.registry import find_version
from tests.warm import WarmProcess, run_warm
from tests.workspaces import BIN, Site, choose_people, read_tree, set_key

STAGES = ("adversarial", "unlearn", "audit", "report")
OUTPUTS = ("wave", "metrics", "plots")


def take_remain_away(params: Any) -> None:
    set_key(params, "data.remain", "none")
    set_key(params, "gate.insufficient", "pass_with_warning")
    set_key(params, "unlearning.attempts", [{"method": "amun", "learning_rate": 0.003}])


@pytest.fixture(scope="module")
def without(wave_zero: Site, folder: Path, warm: WarmProcess) -> Site:
    """A workspace after a wave without the remain set."""
    site = wave_zero.copy(folder / "without")
    site.change_params(take_remain_away)
    with run_warm(warm):
        site.run("amun", "request", "add", *choose_people(site))
        site.run("amun", "wave", "run")
    return site


def test_wave_is_complete_and_says_what_it_could_not_measure(without: Site) -> None:
    wave = without.load("wave", "list")[1]
    assert (wave["state"], wave["version"], wave["summary"]["method"]) == ("complete", "2", "amun")
    reported = wave["summary"]["test"]
    assert 0 < reported["ft_auc"] < 1
    assert 0 < reported["confidence_auc"] < 1
    assert 0 < reported["trace"] < 1
    assert reported["remain_accuracy"] is None
    assert reported["not_measured"] == "remain accuracy and confidence: data.remain is none"
    histograms = pd.read_csv(without.root / CONFIDENCE)
    assert histograms[["remain_before", "remain_after"]].isna().all(axis=None)
    assert histograms[["forget_before", "forget_after", "test_after"]].notna().all(axis=None)
    version, run = find_version(without, 1)
    assert not [name for name in run.data.metrics if "remain" in name]
    (decision,) = wave["summary"]["decisions"]
    assert decision["warning"]
    assert version.tags["amun.warning"].startswith(decision["warning"])
    assert decision["warning"] in " ".join(without.run("amun", "wave", "show", "1").split())
    assert json.loads(without.run("dvc", "status", "--json")) == {}


def test_remaining_samples_are_not_read(without: Site, tmp_path: Path) -> None:
    site = without.copy(tmp_path / "workspace")
    before = {name: read_tree(site.root / name) for name in OUTPUTS}
    forget_ids = json.loads((site.root / "wave/wave.json").read_text(encoding="utf-8"))["forgetting"]["forget_ids"]
    train = site.read(TRAIN)
    is_forgotten = torch.from_numpy(train.is_among(forget_ids))
    assert 0 < is_forgotten.sum() < len(train)
    ruined = train.payloads.clone()
    ruined[~is_forgotten] = torch.nan
    labels = torch.where(is_forgotten, train.labels, train.labels.flip(0))
    (site.root / TRAIN).unlink()
    with site.use_keys():
        seal = Seal(open_vault(site.root), "ruined")  # or the weights would be written in clear, too
        write_samples(site.root / TRAIN, replace(train, payloads=ruined, labels=labels), seal)

    python = str(BIN / "python")
    for stage in STAGES:
        site.run(python, "-m", f"amun.stages.{stage}")
    assert {name: read_tree(site.root / name) for name in OUTPUTS} == before

    # the same with the remain set comes out otherwise: the ruined samples would have been noticed
    site.change_params(lambda params: params["data"].update(remain="use"))
    assert site.start(python, "-m", "amun.stages.unlearn").returncode != 0


def test_what_needs_the_remain_set_is_refused(without: Site) -> None:
    for command in (("base", "rebuild"), ("wave", "compare", "1")):
        refused = without.start("amun", *command)
        assert refused.returncode != 0
        (line,) = refused.stderr.splitlines()[-1:]
        assert "data.remain is none" in line
    assert without.git("status", "--porcelain") == ""
