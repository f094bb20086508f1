"""The trace of the method: what an attacker who holds the base sees of the adversarial examples that were learned.

AMUN teaches the new model the base's wrong label of each forget sample's nearest adversarial example. Whoever holds the
base rebuilds that example for any candidate, and looks at whether the new model has learned it.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from amun.audit.roc import auc_standard_error, auc_standard_error_by_person, compute_auc
from amun.core.params import AdversarialParams, Params
from amun.core.paths import ADVERSARIAL, TRAIN, WAVE_BASE
from amun.evidence.wave import MIN_PEOPLE, MIN_REPORTED
from amun.model.building import load_for
from amun.model.training import compute_logits
from amun.search.catalogue import search_together
from amun.store.drawing import draw_people
from amun.store.image_sets import AnyImages
from amun.store.samples import LabelledSamples, Samples, count_samples, read_samples
from amun.store.store import read_shape

LabelledImages = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Trace:
    """What whoever holds the base sees of the people to forget; None where too few could tell.

    Attributes:
        auc: 0 to 1, by which the rise of confidence tells forget samples' examples from others'.
        standard_error: of it, people drawn with all of their samples.
        auc_by_person: likewise, of people, each by the mean rise of all their examples.
        standard_error_by_person: of that.
        num_people: whom the figures compare, to forget and held out; nobody where there is none.
    """

    auc: float | None = None
    standard_error: float | None = None
    auc_by_person: float | None = None
    standard_error_by_person: float | None = None
    num_people: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Rises:
    """By how much M samples, or their adversarial examples, tell that their people were forgotten.

    Attributes:
        values: (M,) float64, -1 to 1: how much likelier an unlearned model gives the base's wrong label of the example,
            or how far its weights lie up the loss on the sample (`amun.audit.weights`).
        subject_ids: (M,) whose sample each is.
    """

    values: Tensor
    subject_ids: npt.NDArray[np.str_]

    def average(self) -> Tensor:
        """Returns (P,) the mean rise of each person's examples."""
        names, people = np.unique(self.subject_ids, return_inverse=True)
        sums = np.bincount(people, weights=self.values.numpy(), minlength=len(names))
        return torch.from_numpy(sums / np.bincount(people, minlength=len(names)))


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


def measure_rise(base: nn.Module, unlearned: nn.Module, images: AnyImages, labels: Tensor) -> Tensor:
    """Returns (M,) float64 on the CPU: how much likelier the label of each image is to the new model, -1 to 1."""
    before, after = (compute_logits(model, images).double().softmax(1) for model in (base, unlearned))
    return (after - before).gather(1, labels.cpu()[:, None]).squeeze(1)


def compare_rises(forget: Rises, others: Rises) -> Trace:
    """Returns what the rises of the forget samples' examples tell, beside those of samples that were never trained on.

    Below 20 examples of either kind, or 12 people, there is no figure: it would be a few persons' score.
    """
    if min(len(forget.values), len(others.values)) < MIN_REPORTED:
        return Trace()
    values, owners = (forget.values, others.values), (forget.subject_ids, others.subject_ids)
    people, strangers = forget.average(), others.average()
    num_people = len(people), len(strangers)
    trace = Trace(compute_auc(*values), auc_standard_error_by_person(*values, *owners), num_people=num_people)
    if min(num_people) < MIN_PEOPLE:
        return trace
    return replace(
        trace,
        auc_by_person=compute_auc(people, strangers),
        standard_error_by_person=auc_standard_error(*num_people),
    )


def measure_trace(
    params: Params, device: torch.device, unlearned: nn.Module, others: Samples, figure_ids: list[str]
) -> Trace:
    """Returns the trace of an unlearned model: D_A against the examples of as many held-out samples.

    Args:
        params: all of `params.yaml`.
        device: of the model.
        unlearned: the model after the wave.
        others: adversarial images of held-out samples, and the base's labels of them.
        figure_ids: of the wave's samples, those that figures are of.
    """
    everybody = read_samples(ADVERSARIAL)
    forget = everybody.select(everybody.is_among(figure_ids))
    if min(len(forget), len(others)) < MIN_REPORTED:
        return Trace()
    base = load_for(params, read_shape(TRAIN), device, WAVE_BASE)
    of_forget, of_others = (
        Rises(
            measure_rise(base, unlearned, examples.images.to(device), examples.labels.to(device)), examples.subject_ids
        )
        for examples in (forget, others)
    )
    return compare_rises(of_forget, of_others)


def search_others(
    base: nn.Module, held_out: LabelledSamples, num_forget: int, params: AdversarialParams, device: torch.device
) -> Samples:
    """Returns the base's adversarial examples of held-out people, drawn whole, with about as many samples as to forget.

    None are searched where `measure_trace` would give no figure all the same.

    Args:
        base: the model before the wave, on `device`.
        held_out: of one half, those still held, of whom at least twelve people are drawn.
        num_forget: training samples of the wave.
        params: the search.
        device: to compute on.

    Returns:
        the samples that have an example: its image (float32 in [0, 1]) and the base's wrong label, on the CPU.
    """
    is_measured = min(count_samples(ADVERSARIAL), len(held_out)) >= MIN_REPORTED
    num_drawn, min_people = (num_forget, MIN_PEOPLE) if is_measured else (0, 0)
    drawn = held_out.take(draw_people(held_out.subject_ids, num_drawn, min_people=min_people))
    found = find_candidates(base, drawn.image_set(device).read_all(), drawn.labels.to(device), params)
    kept, (images, labels) = drawn.select(found.is_found.cpu().numpy()), found.examples
    return Samples(kept.sample_ids, kept.subject_ids, labels.cpu(), images.cpu())
