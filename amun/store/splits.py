"""Invented subjects, and splits by subject stratified by label."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from amun.core.counts import tell_count
from amun.core.errors import InputError
from amun.core.params import DataParams

Strings = npt.NDArray[np.str_]
Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

SPLITS = ("train", "calibration", "test")


def invent_subjects(num_samples: int, is_train: Mask | None, data: DataParams) -> Strings:
    """Returns (N,) subject ids for a source that names none; each is trained on with all samples or with none.

    Args:
        num_samples: of the source.
        is_train: (N,) bool, which are to be trained on; None where they are drawn.
        data: how many samples a subject may have, and the seed.
    """
    max_samples, seed = data.subject_max_samples, data.seed
    if is_train is None:
        return assign_subjects(num_samples, max_samples, seed)
    trained = assign_subjects(int(is_train.sum()), max_samples, seed)
    held_out = assign_subjects(int((~is_train).sum()), max_samples, seed, first=len(np.unique(trained)) + 1)
    subject_ids = np.empty(num_samples, dtype=np.result_type(trained, held_out))
    subject_ids[is_train], subject_ids[~is_train] = trained, held_out
    return subject_ids


def assign_subjects(num_samples: int, max_samples: int, seed: int, first: int = 1) -> Strings:
    """Returns (N,) subject ids for a source that names none: sizes 1 to `max_samples`, a size s as likely as 1 / s.

    They are numbered from `first` on.
    """
    generator = np.random.default_rng(seed)
    sizes = np.arange(1, max_samples + 1)
    drawn = generator.choice(sizes, size=num_samples, p=(1 / sizes) / (1 / sizes).sum())
    owners = np.repeat(np.arange(num_samples), drawn)[:num_samples]
    subject_ids = np.array([f"subject-{owner + first:05d}" for owner in owners], dtype=np.str_)
    return subject_ids[generator.permutation(num_samples)]


def deal_splits(subject_ids: Strings, labels: Indices, is_train: Mask | None, data: DataParams) -> Strings:
    """Returns (N,) the split of each sample, a subject's all in one; `is_train` (N,) is who is trained on, if given."""
    train_fraction, calibration_fraction = data.train_fraction, data.calibration_fraction
    if is_train is not None:
        share = calibration_fraction / (1 - train_fraction)
        return split_held_out(subject_ids, labels, is_train, share, data.seed)
    fractions = (train_fraction, calibration_fraction, 1 - train_fraction - calibration_fraction)
    return split_subjects(subject_ids, labels, fractions, data.seed)


def limit_group(num_samples: int, data: DataParams) -> float:
    """Returns how many samples people who share pictures may hold together, to be dealt as one: half of a split."""
    train_fraction, calibration_fraction = data.train_fraction, data.calibration_fraction
    return num_samples * min(train_fraction, calibration_fraction, 1 - train_fraction - calibration_fraction) / 2


def split_subjects(subject_ids: Strings, labels: Indices, fractions: tuple[float, float, float], seed: int) -> Strings:
    """Returns (N,) split names: every subject whole in one of `SPLITS`, labels in proportion.

    Subjects are dealt from the largest to the smallest, in random order among equals, each to the split that then
    comes nearest to its share of every label.
    """
    return np.array(SPLITS)[_deal_subjects(subject_ids, labels, fractions, seed)]


def split_held_out(
    subject_ids: Strings, labels: Indices, is_train: Mask, calibration_share: float, seed: int
) -> Strings:
    """Returns (N,) split names where the training samples are given; the others are dealt as by `split_subjects`.

    Args:
        subject_ids: (N,) whose each sample is.
        labels: (N,) classes.
        is_train: (N,) which samples were trained on.
        calibration_share: of the others, 0 to 1; what is left is the test half.
        seed: of the order among equals.
    """
    splits = np.full(len(labels), SPLITS[0], dtype=np.array(SPLITS).dtype)
    if not is_train.all():
        fractions = (calibration_share, 1 - calibration_share)
        splits[~is_train] = np.array(SPLITS[1:])[
            _deal_subjects(subject_ids[~is_train], labels[~is_train], fractions, seed)
        ]
    return splits


def _deal_subjects(subject_ids: Strings, labels: Indices, fractions: tuple[float, ...], seed: int) -> Indices:
    """Returns (N,) which of the parts of these sizes each sample is in, every subject whole in one."""
    names, owners = np.unique(subject_ids, return_inverse=True)
    counts = np.zeros((len(names), int(labels.max()) + 1))
    np.add.at(counts, (owners, labels), 1)
    missing = np.outer(fractions, counts.sum(axis=0))
    order = np.random.default_rng(seed).permutation(len(names))
    splits = np.empty(len(names), dtype=np.int64)
    for subject in order[np.argsort(-counts[order].sum(axis=1), kind="stable")]:
        # relative to the split's size, else the largest subjects would all go to the largest split
        splits[subject] = np.argmax((missing @ counts[subject]) / fractions)
        missing[splits[subject]] -= counts[subject]
    return splits[owners]


def check_splits(splits: Strings, subject_ids: Strings, labels: Indices, classes: Sequence[str]) -> None:
    """Refuses splits on which no model can be trained or judged.

    Args:
        splits: (N,) names, as `split_subjects` deals them.
        subject_ids: (N,) whose each sample is.
        labels: (N,) positions in `classes`.
        classes: names.

    Raises:
        InputError: a split is empty, or a class has samples but none in train: the model would have no output for it.
    """
    _, sizes = np.unique(subject_ids, return_counts=True)
    num_subjects, num_samples = tell_count(len(sizes), "subject"), tell_count(len(splits), "sample")
    largest = f"the largest of {num_subjects} holds {sizes.max(initial=0)} of {num_samples}"
    rule = "a subject stands whole in one split"
    if empty := [split for split in SPLITS if not (splits == split).any()]:
        raise InputError(f"params.yaml: data: nobody is in the split {' and '.join(empty)}: {rule}, and {largest}")
    untrained = np.setdiff1d(labels, labels[splits == "train"])
    if len(untrained):
        owners = tell_count(len(np.unique(subject_ids[labels == untrained[0]])), "subject holds", "subjects hold")
        more = f" (nor {tell_count(len(untrained) - 1, 'other class', 'other classes')})" if len(untrained) > 1 else ""
        raise InputError(
            f"params.yaml: data: no training sample has the class {classes[untrained[0]]}{more}: {rule}, "
            f"and only {owners} samples of that class; raise data.train_fraction, or take samples of more people"
        )
