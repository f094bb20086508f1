"""What stages share: how a model's weights are laid out, and that no base is trained on anybody forgotten."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from amun.core.errors import InputError
from amun.core.keys import store_secret, subject_key
from amun.core.params import Params
from amun.core.paths import FORGOTTEN
from amun.evidence.wave import ForgottenWave, write_json
from amun.model.building import MEMORY_FORMATS, build_for
from amun.model.weights import copy_weights
from amun.store.forgetting import refuse_forgotten
from amun.store.samples import Samples
from amun.store.store import StoreShape
from tests.amun.sealing import SECRET
from tests.amun.shipped import PARAMS

IMAGES = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def lay(memory_format: str) -> Params:
    model = PARAMS.model.model_copy(update={"architecture": "small_resnet", "options": {"widths": [8, 16]}})
    runtime = PARAMS.runtime.model_copy(update={"memory_format": memory_format})
    return PARAMS.model_copy(update={"model": model, "runtime": runtime})


def build(memory_format: str) -> nn.Module:
    shape = StoreShape(num_samples=4, payload_shape=(3, 8, 8), num_classes=10)
    return build_for(lay(memory_format), shape, torch.device("cpu"), seed=0)


@pytest.mark.parametrize("name", ["contiguous", "channels_last"])
def test_weights_and_what_convolutions_give_lie_as_the_parameter_says(name: str) -> None:
    model, found = build(name), list[Tensor]()
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    for layer in convolutions:
        layer.register_forward_hook(lambda _, __, output: found.append(output))
    model(IMAGES)
    tensors = [*found, *(layer.weight for layer in convolutions if layer.kernel_size != (1, 1))]
    assert len(found) == len(convolutions) == 10
    assert all(tensor.is_contiguous(memory_format=MEMORY_FORMATS[name]) for tensor in tensors)


def test_the_layout_changes_neither_first_weights_nor_files_nor_logits_beyond_rounding() -> None:
    contiguous, channels_last = build("contiguous"), build("channels_last")
    stored, other = copy_weights(contiguous), copy_weights(channels_last)
    assert all(torch.equal(stored[name], other[name]) and other[name].is_contiguous() for name in stored)
    torch.testing.assert_close(channels_last(IMAGES), contiguous(IMAGES), rtol=1e-4, atol=1e-5)


def test_nobody_is_trained_on_who_is_forgotten_or_where_that_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = np.array(["a", "b", "c", "d"])
    samples = Samples(names, names, torch.zeros(4, dtype=torch.int64), IMAGES)
    with pytest.raises(InputError, match=r"forgotten\.json is missing"):
        refuse_forgotten(samples)
    store_secret(Path(), SECRET)
    write_json(FORGOTTEN, [ForgottenWave(number=1, subject_keys=["key"], forget_ids=["a", "x"], held_out_ids=["d"])])
    with pytest.raises(InputError, match="refused to train on 2 samples of forgotten people"):
        refuse_forgotten(samples)
    refuse_forgotten(samples.slice(1, 3))
    # another base may have named the samples otherwise, and the data may spell the name otherwise
    own = Samples(
        np.array(["v", "w", "x", "y"]),
        np.array(["Zo\u00eb", "Zoe\u0308", "KEY", "z"]),
        samples.labels,
        samples.payloads,
    )
    key = subject_key(bytes.fromhex(SECRET), "Zo\u00eb")
    write_json(FORGOTTEN, [ForgottenWave(number=1, subject_keys=[key, "KEY"], forget_ids=[], held_out_ids=[])])
    with pytest.raises(InputError, match="refused to train on 3 samples of forgotten people"):
        refuse_forgotten(own)
    refuse_forgotten(own.slice(3, 4))
    # a canary never trains again either, under whatever ids another base has its samples
    write_json(
        FORGOTTEN,
        [ForgottenWave(number=1, subject_keys=[], forget_ids=[], held_out_ids=[], canary_keys=[key, "KEY"])],
    )
    with pytest.raises(InputError, match="refused to train on 3 samples of forgotten people"):
        refuse_forgotten(own)
    refuse_forgotten(own.slice(3, 4))
