"""Models whose nearest adversarial examples are known, and the recorded one."""

import torch
from torch import Tensor, nn

from amun.core.params import AdversarialParams
from amun.search.catalogue import AdversarialExamples, find_adversarial
from tests.amun.shipped import PARAMS, load_oracle

NUM_PIXELS = 64


def choose_search(search: str, **changes: object) -> AdversarialParams:
    """Returns the shipped parameters for this search, with changes."""
    return PARAMS.adversarial.model_copy(update={"search": search, **changes})


def find(model: nn.Module, images: Tensor, labels: Tensor, params: AdversarialParams) -> AdversarialExamples:
    """Returns the examples of samples named id0, id1, ..."""
    return find_adversarial(model, images, labels, params=params, sample_ids=[f"id{n}" for n in range(len(images))])


def draw_linear(
    seed: int, num_samples: int, num_classes: int, sureness: float = 1
) -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    """Returns a linear model, images, its labels of them and their distances to the nearest boundary."""
    generator = torch.Generator().manual_seed(seed)
    weight = sureness * torch.randn(num_classes, NUM_PIXELS, generator=generator)
    images = 0.2 + 0.6 * torch.rand(num_samples, NUM_PIXELS, generator=generator)
    bias = -weight @ torch.full((NUM_PIXELS,), 0.5)
    logits = images @ weight.T + bias
    labels = logits.argmax(1)
    gaps = logits.gather(1, labels[:, None]) - logits
    norms = (weight[labels][:, None] - weight).norm(dim=2)
    distances = (gaps / norms).nan_to_num(torch.inf).amin(1)
    return make_linear(weight, bias), images.view(-1, 1, 8, 8), labels, distances


def make_linear(weight: Tensor, bias: Tensor) -> nn.Module:
    """Returns flattening followed by a linear layer with these weights."""
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    linear.load_state_dict({"weight": weight, "bias": bias})
    return nn.Sequential(nn.Flatten(), linear)


def make_recorded_cnn() -> nn.Module:
    """Returns the CNN whose weights are among the recorded figures."""
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(512, 10),
    )
    model.load_state_dict(load_oracle("digits_cnn"))
    return model
