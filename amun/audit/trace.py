"""The trace of the method: what an attacker who holds the base sees of the adversarial examples that were learned.

AMUN teaches the new model the base's wrong label of each forget sample's nearest adversarial example. Whoever holds the
base rebuilds that example for any candidate, and looks at whether the new model has learned it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from amun.audit.roc import compute_auc
from amun.core.params import AdversarialParams, Params
from amun.core.paths import ADVERSARIAL, TRAIN, WAVE_BASE
from amun.evidence.wave import MIN_REPORTED
from amun.model.building import load_for
from amun.model.training import compute_logits
from amun.search.catalogue import search_together
from amun.store.drawing import draw_rows
from amun.store.samples import Samples, count_samples, read_samples
from amun.store.store import read_shape

LabelledImages = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Candidates:
    """The adversarial examples of N candidates, of which M have one.

    Attributes:
        examples: images (M, C, H, W) float32 in [0, 1] and the base's wrong labels (M,) int64, in order.
        is_found: (N,) bool, which candidates have one.
    """

    examples: LabelledImages
    is_found: Tensor

    @property
    def num_missing(self) -> int:
        """How many candidates have no adversarial example."""
        return int((~self.is_found).sum())


def find_candidates(base: nn.Module, images: Tensor, labels: Tensor, params: AdversarialParams) -> Candidates:
    """Returns the nearest adversarial example of each candidate on the base; those that have none are left out.

    Args:
        base: the model from before, on the device of the images; it is not changed.
        images: (N, C, H, W) float32 in [0, 1].
        labels: (N,) int64 true labels.
        params: the search and its parameters.

    Raises:
        AmunError: the base's logits of a candidate are not finite.
    """
    found = search_together(base, images, labels, params, lambda position: f"candidate {position}")
    kept = found.select(found.is_found)
    return Candidates((kept.images, kept.labels), found.is_found)


def compute_trace(base: nn.Module, unlearned: nn.Module, forget: LabelledImages, others: LabelledImages) -> float:
    """Returns the AUC, 0 to 1, by which the rise of confidence tells forget samples' examples from others'.

    Exact retraining gives about 0.5; both more and less tell who was forgotten. The untouched base gives exactly 0.5.

    Args:
        base: the model from before, on the device of the images.
        unlearned: the model from after, on the same device.
        forget: adversarial images (M, C, H, W) of forget samples on the base, and its wrong labels (M,) of them.
        others: likewise, of samples that were never trained on; as many, or about.
    """
    return compute_auc(*(measure_rise(base, unlearned, *examples) for examples in (forget, others)))


def measure_rise(base: nn.Module, unlearned: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Returns (M,) float64 on the CPU: how much likelier the label of each image is to the new model, -1 to 1."""
    before, after = (compute_logits(model, images).double().softmax(1) for model in (base, unlearned))
    return (after - before).gather(1, labels.cpu()[:, None]).squeeze(1)


def measure_trace(params: Params, device: torch.device, unlearned: nn.Module, others: LabelledImages) -> float | None:
    """Returns the trace of an unlearned model: D_A against the examples of as many held-out samples.

    None below 20 examples of either kind: it would be a few persons' score.

    Args:
        params: all of `params.yaml`.
        device: of the model.
        unlearned: the model after the wave.
        others: adversarial images of held-out samples, on the device, and the base's labels of them.
    """
    forget = read_samples(ADVERSARIAL)
    if min(len(forget), len(others[1])) < MIN_REPORTED:
        return None
    base = load_for(params, read_shape(TRAIN), device, WAVE_BASE)
    return compute_trace(base, unlearned, (forget.images.to(device), forget.labels), others)


def search_others(
    base: nn.Module, held_out: Samples, num_forget: int, params: AdversarialParams, device: torch.device
) -> LabelledImages:
    """Returns the base's adversarial examples of as many held-out samples as there are to forget.

    None are searched where `measure_trace` would give no figure all the same.

    Args:
        base: the model before the wave, on `device`.
        held_out: of one half, those still held.
        num_forget: training samples of the wave.
        params: the search.
        device: to compute on.
    """
    is_measured = min(count_samples(ADVERSARIAL), len(held_out)) >= MIN_REPORTED
    drawn = held_out.take(draw_rows(len(held_out), num_forget if is_measured else 0))
    return find_candidates(base, drawn.images.to(device), drawn.labels.to(device), params).examples
