"""The registry of searches for adversarial examples."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from amun.adversarial.pgd import AdversarialExamples, find_adversarial_pgd
from amun.params import AdversarialParams

SEARCHES: dict[str, Callable[..., AdversarialExamples]] = {"pgd_doubling": find_adversarial_pgd}


def find_adversarial(
    model: nn.Module, images: Tensor, labels: Tensor, *, params: AdversarialParams, sample_ids: Sequence[str]
) -> AdversarialExamples:
    """Returns the adversarial examples that the search named by `params.search` finds.

    Args:
        model: classifier on the device of the images; it is not changed.
        images: (N, C, H, W) float32 in [0, 1].
        labels: (N,) int64 true labels.
        params: the search and its parameters.
        sample_ids: N names for the error.

    Raises:
        AmunError: none was found for some samples; the line names them.
    """
    return SEARCHES[params.search](model, images, labels, params=params, sample_ids=sample_ids)
