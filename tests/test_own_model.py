"""A user's own architecture and trainer, from `amun init` through a whole wave."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from amun.core.paths import AUDIT_LOGITS, BASE_MODEL, TARGET_LOGITS, TRAIN_EPOCHS, UNLEARN_EPOCHS, UNLEARNED
from tests.readme import fill_in, read_blocks, type_over
from tests.warm import WarmProcess, run_warm
from tests.workspaces import Site, choose_people, make_clone

(ARCHITECTURE,) = read_blocks("models.md#your-own-architecture", "python")
(TRAINER,) = read_blocks("models.md#your-own-trainer", "python")
PARAMETERS = [
    *read_blocks("models.md#your-own-architecture", "yaml"),
    *read_blocks("models.md#your-own-trainer", "yaml"),
]
# every model that the trainer has made bears its mark: 100 more in each logit, which changes no answer
MARK = "    torch.nn.init.constant_(model[1][3].bias, 100.0)\n"
BIAS = "1.3.bias"


def use_own_code(params: Any) -> None:
    for block in PARAMETERS:
        type_over(params, block)
    params["references"] |= {"num_audit": 2, "num_target": 2}
    params["unlearning"]["attempts"] = [{"method": "retrain"}]


@pytest.fixture(scope="module")
def own(folder: Path, variables: dict[str, str], warm: WarmProcess) -> Site:
    """A workspace with a model of the user's own, after its first wave."""
    site = make_clone(folder / "own", variables)
    (site.root / "custom/networks.py").write_text(ARCHITECTURE, encoding="utf-8")
    trainer = fill_in(TRAINER, {"    return model\n": f"{MARK}    return model\n"})
    (site.root / "custom/training.py").write_text(trainer, encoding="utf-8")
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
        assert own.read_weights(path)[BIAS].tolist() == [100.0] * 10
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
