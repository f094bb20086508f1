"""The accuracy that an exactly retrained model is expected to have with the images that are left.

The references, each trained on half of all images, tell it on people whom they never had. A model with fewer is right
less often. How much less differs from split to split, so two powers are used. An attempt is forgiven what a small
growth of the error explains. The chance that exact retraining keeps that bound is computed with a larger growth than
the average. With one power for both, the chance would assume that the bound is right.

Source: the error falls as a power of the number of images (Hestness et al. 2017, arXiv 1712.00409).
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from amun.audit.gather import find_strangers
from amun.audit.sizes import Sizes
from amun.core.params import Params
from amun.evidence.adoption import read_adopted
from amun.evidence.wave import MIN_REPORTED
from amun.store.samples import Owners, Samples

NUM_PLACES = 2  # of what is told of references: what one person of a half adds to it is less than that
# of the number of images, by which the error grows: 0.09 to 0.67 on seven splits of the digits, 0.35 on average
SLOW_POWER = 0.3
MEAN_POWER = 0.45


@dataclass(frozen=True)
class ExpectedAccuracy:
    """The accuracy of exactly retrained models, 0 to 1.

    Attributes:
        mean: where the error grows a little more than it does on average.
        at_best: where it grows slowly, to two places. No attempt is held to more.
        deviation: between trainings.
    """

    mean: float
    at_best: float
    deviation: float

    def find_chance(self, bound: float) -> float:
        """Returns the chance, 0 to 1, that an exactly retrained model is at least so accurate."""
        if self.deviation == 0:
            return float(self.mean >= bound)
        return float(ndtr((self.mean - bound) / self.deviation))


def is_retraining_alike(params: Params) -> bool:
    """Returns whether exact retraining follows a refusal, and tells of the base: trained by the references' recipe.

    Without the remaining samples nothing is retrained, and an adopted base was trained by a recipe of its own.
    """
    return any(attempt.is_exact for attempt in params.unlearning.attempts) and read_adopted() is None


def expect_accuracy(
    held_out: Samples, train: Owners, references: Samples, inclusion: Samples, sizes: Sizes, yardstick: float | None
) -> ExpectedAccuracy | None:
    """Returns what accuracy exact retraining would have on held-out samples, by the references that never had them.

    The references are the same each night. Were what they say told in full and without those who leave, these people's
    own score would follow from the figures of two nights: it is of all who were held before, and told to two places.

    Args:
        held_out: N samples of one half, as it is before those leave who ask tonight.
        train: whose the training samples are.
        references: logits (K, C) of these samples at least; no samples where there are no references.
        inclusion: (K,) likewise: 1 where the reference was trained on the sample.
        sizes: of the training sets.
        yardstick: the accuracy there of the last exactly trained version; None where a new one is built.

    Returns:
        None without references, with fewer than 20 samples, or without a yardstick, or where it is not known from how
        many images that learned and this matters. Also where somebody has samples in training as well: exact retraining
        keeps what the references have not seen.
    """
    if yardstick is None or not len(references) or len(held_out) < MIN_REPORTED:
        return None
    if not find_strangers(held_out, train).all():
        return None
    if sizes.yardstick is None and sizes.left > sizes.reference:
        return None
    sample_ids = held_out.sample_ids.tolist()
    is_right = (references.align(sample_ids).payloads.argmax(2) == held_out.labels[:, None]).numpy()
    is_unseen = inclusion.align(sample_ids).payloads.numpy() == 0
    num_unseen = is_unseen.sum(1)
    by_sample = (is_right & is_unseen).sum(1) / num_unseen
    deviations = [
        float((is_right[rows, each] - by_sample[rows]).mean()) for each, rows in enumerate(is_unseen.T) if rows.any()
    ]
    of_references, chance = float(by_sample.mean()), float(np.bincount(held_out.labels.numpy()).max()) / len(held_out)
    return ExpectedAccuracy(
        mean=extend_accuracy(of_references, sizes, yardstick, chance, MEAN_POWER),
        at_best=round(
            extend_accuracy(round(of_references, NUM_PLACES), sizes, yardstick, chance, SLOW_POWER), NUM_PLACES
        ),
        # each is of half of the samples; what scatters from sample to sample is half as much over all of them
        deviation=float(np.std(deviations)) / 2**0.5,
    )


def extend_accuracy(reference: float, sizes: Sizes, yardstick: float, chance: float, power: float) -> float:
    """Returns the accuracy of a model with the images that are left, from that of references with theirs.

    With more than a reference has it is interpolated, along the logarithm, to that of the last exactly trained version,
    which may have fewer images than the base. One that is less accurate than references with fewer images is a matter
    of luck: then more images are taken for no gain.

    Args:
        reference: accuracy, 0 to 1, of references on what they never had.
        sizes: of the training sets; the yardstick's is asked for only where more images are left than a reference has.
        yardstick: accuracy of the last exactly trained version.
        chance: of whoever always answers the largest class. Fewer images make a model no worse than that.
        power: by which the error grows as the number falls.
    """
    left = max(1, sizes.left)
    if left >= sizes.reference:
        reach = sizes.yardstick or 0
        way = math.log(left / sizes.reference, reach / sizes.reference) if reach > sizes.reference else 0.0
        return reference + way * max(0.0, yardstick - reference)
    error: float = (1 - reference) * (sizes.reference / left) ** power
    return 1 - min(error, 1 - min(chance, reference))
