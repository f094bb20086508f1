"""On paper: the files of a workspace, one for each that `dvc.yaml` writes, and what they take.

A bucket keeps those of all nights: nothing removes what earlier nights have sent. Held-out samples are left out, and so
are the weights of references, which are not kept as shipped.
"""

from dataclasses import dataclass

from amun.core.params import Params
from amun.costs.night import Load
from amun.evidence.wave import MIN_REPORTED

# of a sealed row beside its payload, by ids of 32 digits: 45 where a person has five samples, 58 where one
ROW_BYTES = 58
FLOAT_BYTES = 4


@dataclass(frozen=True)
class Sizes:
    """What a sample as bytes, and a version of the model, take, in bytes."""

    image: int
    weights: int


def list_row_bytes(sizes: Sizes, params: Params, num_classes: int) -> list[int]:
    """Returns the bytes of a training sample in each file that has all of them: images, and what references say.

    Of either set of references there is a file of logits, and one of who trained on what, a byte for each of them.
    """
    sets = [params.references.num_audit, params.references.num_target]
    payloads = [sizes.image, *(size for number in sets for size in (number, FLOAT_BYTES * num_classes * number))]
    return [payload + ROW_BYTES if payload else 0 for payload in payloads]


def list_base(sizes: Sizes, params: Params, num_images: int, num_classes: int) -> list[float]:
    """Returns the bytes of each file that a base has."""
    rows = [float(num_images * row) for row in list_row_bytes(sizes, params, num_classes)]
    return [*rows, sizes.weights, *[0.0] * 3]  # the two held-out splits, and weights of references


def list_pushed(sizes: Sizes, num_forget: int) -> list[float]:
    """Returns the bytes of the files that a night adds for one model: weights, and two of adversarial examples.

    The second is of as many held-out samples. Where there are too few to report anything, it has no row.
    """
    searched = float(num_forget * (FLOAT_BYTES * sizes.image + ROW_BYTES))
    return [sizes.weights, searched, searched if num_forget >= MIN_REPORTED else 0.0]


def list_kept(sizes: Sizes, params: Params, load: Load, num_classes: int, num_earlier: int) -> list[float]:
    """Returns the bytes of each file that lies in the bucket for one model after a night.

    Args:
        sizes: of a sample and of the model.
        params: how many references there are.
        load: how many images there are, and how many of them each night forgets.
        num_classes: of the model.
        num_earlier: nights before this one, like it.
    """
    pushed = list_pushed(sizes, load.num_forget)
    return list_base(sizes, params, load.num_images, num_classes) + pushed * (num_earlier + 1)


def find_too_many(sizes: Sizes, params: Params, num_classes: int, max_bytes: int) -> int:
    """Returns how many images are too many for one file: with them the largest is larger than `max_bytes`."""
    return max_bytes // max(list_row_bytes(sizes, params, num_classes)) + 1
