"""What an exactly retrained model owes to the number of its training images, beside the base and the references.

References are retrained exactly, too, each on half of all images. A model with fewer is right less often, and what it
says of people whom it never had scatters more. Both are foreseen here, so that a night is not called sufficient that
exact retraining itself would not pass, nor an attempt refused for what exact retraining would lose as well.

Source: the error falls as a power of the number of images (Hestness et al. 2017, arXiv 1712.00409). That the variance
falls with the number itself was measured on the digits (`python -m bench.left`).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from amun.core.paths import AUDIT_LOGITS, TRAIN
from amun.evidence.wave import MIN_REPORTED, Wave
from amun.store.samples import Samples
from amun.store.store import read_owners, read_shape

NUM_PLACES = 2  # of what is told of references: what one person of a half adds to it is less than that
ERROR_POWER = 1 / 2  # of image classifiers, by the source 0.3 to 0.5; 0.36 to 0.67 on three splits of the digits


@dataclass(frozen=True)
class Sizes:
    """How many images models are trained on.

    Attributes:
        base: the base, before any wave.
        reference: each reference.
        left: a model that is retrained exactly tonight.
    """

    base: int
    reference: int
    left: int

    @property
    def growth(self) -> float:
        """How many times the variance of the references that of an exactly retrained model is; 1 where it has as many.

        More images than a reference's would make it smaller; that is not made use of.
        """
        return max(1.0, self.reference / max(1, self.left))


@dataclass(frozen=True)
class ExpectedAccuracy:
    """The accuracy of exactly retrained models, 0 to 1: their mean and standard deviation between trainings."""

    mean: float
    deviation: float

    def find_chance(self, bound: float) -> float:
        """Returns the chance, 0 to 1, that an exactly retrained model is at least so accurate."""
        if self.deviation == 0:
            return float(self.mean >= bound)
        return float(ndtr((self.mean - bound) / self.deviation))


def read_sizes(wave: Wave) -> Sizes:
    """Returns the sizes of a wave in the current folder."""
    train = read_owners(TRAIN)
    return Sizes(
        base=len(train),
        reference=read_shape(AUDIT_LOGITS).num_samples // 2,
        left=int((~train.is_among(wave.gone_ids)).sum()),
    )


def expect_accuracy(
    held_out: Samples, references: Samples, inclusion: Samples, sizes: Sizes, yardstick: float | None
) -> ExpectedAccuracy | None:
    """Returns what accuracy exact retraining would have on held-out samples, by the references that never had them.

    The references are the same each night. Were what they say told in full and without those who leave, these people's
    own score would follow from the figures of two nights: it is told of all who were held before, and to two places.

    Args:
        held_out: N samples of one half, as it is before those leave who ask tonight.
        references: logits (K, C) of these samples at least; no samples where there are no references.
        inclusion: (K,) likewise: 1 where the reference was trained on the sample.
        sizes: of the training sets.
        yardstick: the accuracy there of the last exactly trained version; None where a new one is built.

    Returns:
        None without references, with fewer than 20 samples, or without a yardstick.
    """
    if yardstick is None or not len(references) or len(held_out) < MIN_REPORTED:
        return None
    sample_ids = held_out.sample_ids.tolist()
    is_right = (references.align(sample_ids).payloads.argmax(2) == held_out.labels[:, None]).numpy()
    is_unseen = inclusion.align(sample_ids).payloads.numpy() == 0
    num_unseen = is_unseen.sum(1)
    by_sample = (is_right & is_unseen).sum(1) / num_unseen
    deviations = [
        float((is_right[rows, each] - by_sample[rows]).mean()) for each, rows in enumerate(is_unseen.T) if rows.any()
    ]
    # each is of half of the samples; what scatters from sample to sample is half as much over all of them
    return ExpectedAccuracy(
        mean=round(extend_accuracy(round(float(by_sample.mean()), NUM_PLACES), sizes, yardstick), NUM_PLACES),
        deviation=float(np.std(deviations)) / 2**0.5,
    )


def extend_accuracy(reference: float, sizes: Sizes, yardstick: float) -> float:
    """Returns the accuracy of a model with the images that are left, from that of references with theirs.

    Between both sizes it is interpolated, along the logarithm, to that of the base. A base that is itself smaller than
    a reference is taken for as accurate: the references' accuracy is a mean, the base's is one draw.

    Args:
        reference: accuracy, 0 to 1, of references on what they never had.
        sizes: of the training sets.
        yardstick: accuracy of the last exactly trained version, taken for the base's.
    """
    left, smaller = max(1, sizes.left), min(sizes.base, sizes.reference)
    if left >= smaller:
        way = np.log(left / smaller) / np.log(sizes.base / smaller) if sizes.base > smaller else 0.0
        return float(reference + way * (yardstick - reference))
    return float(max(0.0, 1 - (1 - reference) * (smaller / left) ** ERROR_POWER))
