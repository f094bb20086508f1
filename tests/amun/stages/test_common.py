"""What stages share: the layout of a model's weights is that of the parameters, and changes nothing else."""

import pytest
import torch
from torch import Tensor, nn

from amun.data.store import StoreShape
from amun.models import copy_weights
from amun.params import Params
from amun.stages.common import MEMORY_FORMATS, build_for
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
