"""The trace of the method: what an attacker who holds the base sees of the adversarial examples that were learned.

AMUN teaches the new model the base's wrong label of each forget sample's nearest adversarial example. Whoever holds the
base rebuilds that example for any candidate, and looks at whether the new model has learned it.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from amun.audit.roc import compute_auc
from amun.model.training import compute_logits
from amun.params import AdversarialParams
from amun.search.catalogue import search_together

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
