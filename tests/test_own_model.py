"""A user's own architecture and trainer, from `amun init` through a whole wave."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from amun.core.paths import AUDIT_LOGITS, BASE_MODEL, TARGET_LOGITS, TRAIN_EPOCHS, UNLEARN_EPOCHS, UNLEARNED
from tests.warm import WarmProcess, run_warm
from tests.workspaces import Site, choose_people, make_clone

# every model that the trainer has made bears its mark: 100 more in each logit
ARCHITECTURE = """
import torch
from torch import nn


class Marked(nn.Module):
    def __init__(self, num_pixels, num_classes, width):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(num_pixels, width), nn.ReLU(), nn.Linear(width, num_classes))
        self.register_buffer("mark", torch.tensor(0.0))

    def forward(self, images):
        return self.layers(images.view(images.shape[0], -1)) + self.mark


def build(num_classes, image_shape, width):
    return Marked(image_shape[0] * image_shape[1] * image_shape[2], num_classes, width)
"""
TRAINER = """
import torch
from torch.nn.functional import cross_entropy


def train(model, samples, params, seed):
    optimizer = torch.optim.Adam(model.parameters(), lr=params.options["rate"])
    for _ in range(params.epochs):
        for batch in torch.randperm(len(samples.labels)).split(params.batch_size):
            optimizer.zero_grad()
            cross_entropy(model(samples.images[batch]), samples.labels[batch]).backward()
            optimizer.step()
    model[1].mark.fill_(100.0)
    return model
"""


def use_own_code(params: Any) -> None:
    params["model"] |= {"architecture": "custom.networks:build", "options": {"width": 32}}
    params["training"] |= {"function": "custom.training:train", "options": {"rate": 0.01}}
    params["references"] |= {"num_audit": 2, "num_target": 2}
    params["unlearning"]["attempts"] = [{"method": "retrain"}]


@pytest.fixture(scope="module")
def own(folder: Path, variables: dict[str, str], warm: WarmProcess) -> Site:
    """A workspace with a model of the user's own, after its first wave."""
    site = make_clone(folder / "own", variables)
    (site.root / "custom/networks.py").write_text(ARCHITECTURE, encoding="utf-8")
    (site.root / "custom/training.py").write_text(TRAINER, encoding="utf-8")
    site.git("add", "custom")
    site.git("commit", "--quiet", "--message", "Our model")
    site.change_params(use_own_code)
    with run_warm(warm):
        site.run("amun", "init")
        site.run("amun", "request", "add", *choose_people(site))
        site.run("amun", "wave", "run")
    return site


def test_base_references_and_retraining_come_from_the_users_trainer(own: Site) -> None:
    for path in (BASE_MODEL, UNLEARNED):
        assert own.read_weights(path)["1.mark"] == 100
    for path in (AUDIT_LOGITS, TARGET_LOGITS):
        assert own.read(path).payloads.mean() > 50
    wave = own.load("wave", "list")[1]
    assert (wave["state"], wave["version"], wave["summary"]["method"]) == ("complete", "2", "retrain")
    assert 0 < own.load("wave", "compare", "1")["comparison"]["accuracy"] == wave["summary"]["test"]["accuracy"]


def test_curves_hold_what_was_measured_alone(own: Site) -> None:
    (base,) = pd.read_csv(own.root / TRAIN_EPOCHS).to_dict("records")
    assert base["epoch"] == 1
    measured = json.loads((own.root / "metrics/train.json").read_text(encoding="utf-8"))
    assert base["accuracy"] == pytest.approx(measured["train_accuracy"], abs=1e-5)
    assert len(pd.read_csv(own.root / UNLEARN_EPOCHS)) == 1


def test_wave_comes_out_the_same_and_changed_code_is_noticed(own: Site) -> None:
    assert own.run("amun", "wave", "reproduce", "1").splitlines()[-1] == "wave 1: same bytes"
    assert json.loads(own.run("dvc", "status", "--json")) == {}
    with (own.root / "custom/training.py").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    changed = json.loads(own.run("dvc", "status", "--json"))
    # the base stages are frozen: they are what they were
    assert set(changed) == {"power", "adversarial", "unlearn", "audit", "report"}
    assert all({"changed deps": {"custom": "modified"}} in entries for entries in changed.values())
    own.run("amun", "request", "add", "subject-00001")
    refused = own.start("amun", "wave", "run")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "uncommitted changes in custom/training.py" in refused.stderr
