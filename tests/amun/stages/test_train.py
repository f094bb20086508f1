"""The stage `train` with a base that was trained elsewhere: it is held to what its owner says of it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from amun.core.errors import InputError
from amun.core.params import ModelParams
from amun.core.paths import ADOPTED, ADOPTED_WEIGHTS, BASE_MODEL, CALIBRATION, FORGOTTEN, TRAIN
from amun.evidence.adoption import Adopted
from amun.evidence.wave import write_json
from amun.model.architectures import build_model
from amun.model.weights import save_weights
from amun.stages.train import train
from amun.store.samples import Samples, write_samples
from tests.amun.sealing import make_vault
from tests.amun.shipped import PARAMS

ARCHITECTURE = ModelParams(name="plain", architecture="tests.amun.stages.test_train:build_plain", options={})


def build_plain(num_classes: int, image_shape: tuple[int, int, int]) -> nn.Module:
    """Returns a model that says the brightest channel."""
    linear = nn.Linear(image_shape[0], num_classes, bias=False)
    nn.init.eye_(linear.weight)
    return nn.Sequential(nn.Flatten(), linear)


def make_samples(kind: str, num_right: int, num_wrong: int) -> Samples:
    """Returns images of two classes, each of a person of its own, that the plain model takes for right or wrong."""
    seen = np.arange(num_right + num_wrong) % 2
    labels = np.where(np.arange(len(seen)) < num_right, seen, 1 - seen)
    images = torch.zeros((len(seen), 2, 1, 1), dtype=torch.uint8)
    images[torch.arange(len(seen)), torch.tensor(seen)] = 255
    names = np.array([f"{kind}{number}" for number in range(len(seen))])
    return Samples(names, names, torch.tensor(labels), images)


@pytest.mark.parametrize(("accuracy", "is_refused"), [(1.0, True), (0.55, False)])
def test_adopted_base_that_is_worse_than_its_owner_says_is_refused(
    accuracy: float, *, is_refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_vault(Path())
    write_samples(TRAIN, make_samples("a", 60, 0), seal=None)
    write_samples(CALIBRATION, make_samples("b", 30, 30), seal=None)
    write_json(FORGOTTEN, [])
    write_json(ADOPTED, Adopted(source="net.safetensors", digest="0" * 64, accuracy=accuracy))
    save_weights(ADOPTED_WEIGHTS, build_model(ARCHITECTURE, 2, (2, 1, 1), seed=0))
    params = PARAMS.model_copy(update={"model": ARCHITECTURE})
    if is_refused:
        with pytest.raises(InputError, match=r"held-out samples is 50\.0%, clearly below the 100\.0% of --accuracy"):
            train(params, torch.device("cpu"))
    else:
        train(params, torch.device("cpu"))
    assert BASE_MODEL.exists() is not is_refused
