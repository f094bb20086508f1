"""Labelled images of people, and the parameters with which they are learned and forgotten."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from amun.core.errors import InputError
from amun.core.params import Params, parse_part, read_params
from amun.core.paths import PARAMS
from amun.search.catalogue import check_blocks
from amun.store.rows import Strings
from amun.store.samples import Samples

_SHIPPED = Path(__file__).resolve().parents[2] / PARAMS


def make_params(**sections: dict[str, Any]) -> Params:
    """Returns the shipped parameters, with some of them changed.

    Args:
        sections: of `params.yaml`, each with the keys to change.

    Raises:
        InputError: a section or key is unknown, or a value is out of its range; the line names it.

    Examples:
        >>> make_params(training={"epochs": 5}).training.epochs
        5
    """
    content = read_params(_SHIPPED).model_dump(mode="json")
    for name, changes in sections.items():
        if name not in content:
            raise InputError(f"{name}: unknown section; known are {', '.join(content)}")
        content[name] |= changes
    try:
        params = parse_part(Params, content)
        # the attempts are those of a workspace: here each call names its method
        return params.model_copy(update={"adversarial": check_blocks(params.adversarial)})
    except ValueError as error:
        raise InputError(str(error)) from None


def make_samples(images: Tensor, labels: Tensor, subjects: Sequence[str]) -> Samples:
    """Returns labelled images, each with its person and an id by content: parts of them keep it, so does another call.

    Args:
        images: (N, C, H, W) float32 in [0, 1], or uint8.
        labels: (N,) int64 classes, from 0.
        subjects: N names of the persons they belong to.

    Raises:
        InputError: there are not as many of each, or the images are none, or have values below 0 or above 1.

    Examples:
        >>> import torch
        >>> samples = make_samples(torch.rand(3, 1, 8, 8), torch.tensor([0, 1, 1]), ["ann", "ann", "ben"])
        >>> len(samples.select(samples.subject_ids == "ann"))
        2
    """
    if not len(images) == len(labels) == len(subjects):
        numbers = f"{len(images)}, {len(labels)} and {len(subjects)}"
        raise InputError(f"images, labels and subjects: as many of each are needed, not {numbers}")
    if images.ndim != 4 or not (images.dtype.is_floating_point or images.element_size() == 1):
        raise InputError(f"images: (N, C, H, W) of floats in [0, 1] or of bytes are needed, not {tuple(images.shape)}")
    if images.dtype.is_floating_point and len(images) and not 0 <= images.min() <= images.max() <= 1:
        raise InputError("images: floats from 0 to 1 are needed, or bytes")
    names = np.array(subjects, dtype=np.str_)
    return Samples(_name(images, names), names, labels.long(), images)


def _name(images: Tensor, subjects: Strings) -> Strings:
    """Returns an id for each image, by what it shows and whose it is: the same in whatever call it comes."""
    times: Counter[str] = Counter()
    ids = []
    for image, subject in zip(images.cpu().numpy(), subjects.tolist(), strict=True):
        digest = hashlib.sha256(f"{subject}\0".encode() + image.tobytes()).hexdigest()
        times[digest] += 1
        ids.append(f"{digest}-{times[digest]}")
    return np.array(ids, dtype=np.str_)
