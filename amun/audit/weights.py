"""What the weights tell whoever holds yesterday's model: on whose images the way to today's goes up the loss.

To forget somebody is to go up the loss on their images. Whoever holds both models takes the gradient of that loss at
yesterday's weights and sees how far the difference of the weights goes along it. Nothing is asked of today's model.

Source: arXiv 2512.00272, which takes the difference against the gradient.

Note:
    Each image counts by its cosine alone, and a person by the mean of them. By the product itself the few images that
    the base was unsure of decide: chosen on two splits of the digits, measured on others (docs/audit.md).
"""

from itertools import chain

import torch
from torch import Tensor, nn

from amun.audit.trace import Rises, Trace, compare_rises
from amun.evidence.wave import MIN_PEOPLE, MIN_REPORTED
from amun.model.training import choose_pass_size, evaluating
from amun.store.drawing import draw_people
from amun.store.image_sets import AnyImages, as_set
from amun.store.samples import LabelledSamples


def measure_climb(base: nn.Module, unlearned: nn.Module, images: AnyImages, labels: Tensor) -> Tensor:
    """Returns (N,) float64 on the CPU, -1 to 1: how far the new weights lie up the loss on each image, as a cosine.

    It is 0 where the weights are the base's own, or the loss has no gradient, and NaN where weights or their difference
    are not finite: no direction leads there. Buffers, such as the means of a batch normalisation, and weights that the
    base does not train play no part.

    Args:
        base: the model from before, on the device of the images.
        unlearned: the model from after, on the same device.
        images: (N, C, H, W) float32 in [0, 1].
        labels: (N,) int64 true labels.
    """
    trained = {name: weights for name, weights in base.named_parameters() if weights.requires_grad}
    after = dict(unlearned.named_parameters())
    with torch.no_grad():
        way = _point(torch.cat([(after[name] - weights).flatten() for name, weights in trained.items()]))
    # one by one: of a batch there is no gradient of each, and to vectorise it takes longer (measured on both CNN and
    # ResNet-18) and the memory of a model for each image
    with evaluating(base):
        found = as_set(images)
        climbs = [
            _find_gradient(base, list(trained.values()), image[None], label[None]) @ way
            for image, label in zip(chain.from_iterable(found.stream_all(choose_pass_size(found))), labels, strict=True)
        ]
    return torch.stack(climbs).double().cpu() if climbs else torch.zeros(0, dtype=torch.float64)


def _find_gradient(base: nn.Module, trained: list[nn.Parameter], image: Tensor, label: Tensor) -> Tensor:
    """Returns the direction (P,) in which the loss on one image grows.

    With respect to the logits, the gradient of the loss is the probability p of each other class, and at the label
    what makes the sum 0. Only the direction counts. So p is divided by that of the likeliest other class: on an image
    that is known by heart every p would be rounded to 0.
    """
    logits = base(image)
    with torch.no_grad():
        others = logits.scatter(1, label[:, None], -torch.inf)
        way = (others - others.max()).exp()
        way = way.scatter(1, label[:, None], -way.sum(1, keepdim=True))
    gradients = torch.autograd.grad(logits, trained, way, materialize_grads=True)
    return _point(torch.cat([gradient.flatten() for gradient in gradients]))


def _point(vector: Tensor) -> Tensor:
    """Returns the vector at a length of 1; nothing stays nothing."""
    largest = vector.abs().max()
    # squares of what is very small are 0
    return vector if largest == 0 else nn.functional.normalize(vector / largest, dim=0)


def measure_weights(
    base: nn.Module, unlearned: nn.Module, forget: LabelledSamples, held_out: LabelledSamples, device: torch.device
) -> Trace:
    """Returns what the weights tell of the people to forget, beside held-out people with about as many samples.

    Args:
        base: the model before the wave, on `device`.
        unlearned: the one after, likewise.
        forget: the wave's training samples.
        held_out: of one half, those still held; the people are drawn whole, at least twelve of them.
        device: to compute on.
    """
    is_trained = any(weights.requires_grad for weights in base.parameters())
    if min(len(forget), len(held_out)) < MIN_REPORTED or not is_trained:
        return Trace()
    others = held_out.take(draw_people(held_out.subject_ids, len(forget), min_people=MIN_PEOPLE))
    of_forget, of_others = (
        Rises(measure_climb(base, unlearned, samples.image_set(device), samples.labels.to(device)), samples.subject_ids)
        for samples in (forget, others)
    )
    return compare_rises(of_forget, of_others)
