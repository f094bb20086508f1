"""People whose images are alike: the current ground's samples changed so, with a base and references of their own."""

from collections.abc import Callable

import numpy as np
import torch

from amun.core.params import Params
from amun.core.paths import CALIBRATION, TEST, TRAIN
from amun.evidence.wave import list_gone, read_forgotten
from amun.selftest.ground import keep_retrained
from amun.stages.references import train_references
from amun.stages.train import train
from amun.store.samples import Samples, read_samples, write_samples
from amun.vault.seal import digest_files, open_seal

NUM_IMAGES = 300  # of one person, or a third of the training images where they are fewer
_STYLE = 0.3  # how much of each of a person's images is the person's own pattern
_HALVES = (TRAIN, CALIBRATION, TEST)
Change = Callable[[Samples, np.random.Generator], Samples]


def give_styles(samples: Samples, random: np.random.Generator) -> Samples:
    """Returns the samples with a pattern of its own blended into all images of each person."""
    people, codes = np.unique(samples.subject_ids, return_inverse=True)
    patterns = torch.from_numpy(random.random((len(people), *samples.images.shape[1:])).astype(np.float32))
    images = (1 - _STYLE) * samples.images + _STYLE * patterns[torch.from_numpy(codes)]
    return Samples(samples.sample_ids, samples.subject_ids, samples.labels, (images * 255).round().to(torch.uint8))


def merge_people(samples: Samples, random: np.random.Generator) -> Samples:
    """Returns the training samples with one person who owns 300 of them: several people's, under one name."""
    people, sizes = np.unique(samples.subject_ids, return_counts=True)
    order = random.permutation(len(people))
    num_images = min(NUM_IMAGES, len(samples) // 3)
    merged = people[order[: 1 + int(np.searchsorted(np.cumsum(sizes[order]), num_images))]]
    is_merged = np.isin(samples.subject_ids, merged)
    subject_ids = np.where(is_merged, merged[0], samples.subject_ids)
    return Samples(samples.sample_ids, subject_ids, samples.labels, samples.payloads)


def remove_gone(params: Params) -> None:
    """Takes whom earlier waves have forgotten out of the current ground's samples: nothing trains on them."""
    gone = list_gone(read_forgotten())
    seal = open_seal(params.data.sealed, "selftest of who is held", *digest_files(_HALVES))
    for path in _HALVES:
        write_samples(path, read_samples(path, without=gone), seal)


def change_people(params: Params, device: torch.device, change: Change) -> None:
    """Changes the current ground's training samples, and held-out ones likewise, and builds base and references anew.

    Whose images are merged has none held out: those are left as they are.
    """
    seal = open_seal(params.data.sealed, "selftest", change.__name__, *digest_files(_HALVES))
    for number, path in enumerate(_HALVES):
        samples = read_samples(path)
        if change is give_styles or path == TRAIN:
            write_samples(path, change(samples, np.random.default_rng(number)), seal)
    train(params, device)
    train_references(params, device)
    keep_retrained(None)  # that of people who were not alike
