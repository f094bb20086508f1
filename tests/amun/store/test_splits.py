"""Splits: every subject whole in one of them, labels in proportion."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amun.core.errors import InputError
from amun.store.splits import SPLITS, assign_subjects, check_splits, split_held_out, split_subjects

FRACTIONS = (0.5, 0.25, 0.25)


@settings(deadline=None)
@given(st.integers(1, 400), st.integers(1, 20), st.integers(0, 1000))
def test_subjects_have_between_one_and_max_samples(num_samples: int, max_samples: int, seed: int) -> None:
    subjects = assign_subjects(num_samples, max_samples, seed)
    assert len(subjects) == num_samples
    assert max(Counter(subjects.tolist()).values()) <= max_samples
    assert subjects.tolist() == assign_subjects(num_samples, max_samples, seed).tolist()


@settings(deadline=None)
@given(st.integers(10, 400), st.integers(1, 20), st.integers(0, 1000))
def test_every_subject_is_in_one_split(num_samples: int, max_samples: int, seed: int) -> None:
    subjects = assign_subjects(num_samples, max_samples, seed)
    labels = np.random.default_rng(seed).integers(0, 10, num_samples)
    splits = split_subjects(subjects, labels, FRACTIONS, seed)
    assert set(splits.tolist()) <= set(SPLITS)
    assert all(len(set(splits[subjects == subject])) == 1 for subject in np.unique(subjects))
    assert splits.tolist() == split_subjects(subjects, labels, FRACTIONS, seed).tolist()


def test_labels_are_in_proportion() -> None:
    subjects = assign_subjects(2000, 20, 0)
    labels = np.random.default_rng(0).integers(0, 10, 2000)
    splits = split_subjects(subjects, labels, FRACTIONS, 0)
    for split, fraction in zip(SPLITS, FRACTIONS, strict=True):
        for label in range(10):
            share = np.mean(splits[labels == label] == split)
            assert share == pytest.approx(fraction, abs=0.05)


def test_sizes_are_skewed_to_small() -> None:
    sizes = Counter(assign_subjects(5000, 20, 0).tolist()).values()
    assert sum(size == 1 for size in sizes) > sum(size == 10 for size in sizes) > 0


def test_class_that_nobody_in_train_has_is_refused() -> None:
    subjects, labels = np.array(["a", "a", "b", "c"]), np.array([0, 0, 1, 0])
    splits = np.array(["train", "train", "calibration", "test"])
    with pytest.raises(
        InputError, match=r"no training sample has the class dog: .* only 1 subject holds samples of that class"
    ):
        check_splits(splits, subjects, labels, ["cat", "dog"])
    check_splits(splits, subjects, np.zeros(4, dtype=np.int64), ["cat", "dog"])


def test_split_without_anybody_is_refused() -> None:
    splits, labels = np.array(["train", "train", "test"]), np.zeros(3, dtype=np.int64)
    with pytest.raises(
        InputError, match=r"nobody is in the split calibration: .* the largest of 2 subjects holds 2 of 3"
    ):
        check_splits(splits, np.array(["a", "a", "b"]), labels, ["cat"])


@settings(deadline=None)
@given(st.integers(3, 8), st.integers(1, 50), st.integers(0, 1000))
def test_few_subjects_of_any_size_fill_all_splits(num_subjects: int, largest: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    sizes = generator.integers(1, largest + 1, num_subjects)
    subjects = np.repeat(np.arange(num_subjects).astype(np.str_), 2 * sizes)
    labels = np.tile([0, 1], sizes.sum())
    check_splits(split_subjects(subjects, labels, FRACTIONS, seed), subjects, labels, ["cat", "dog"])


@settings(deadline=None)
@given(st.integers(10, 400), st.integers(1, 20), st.integers(0, 1000))
def test_given_training_samples_stay_and_held_out_people_are_whole_in_one_half(
    num_samples: int, max_samples: int, seed: int
) -> None:
    subjects = assign_subjects(num_samples, max_samples, seed)
    generator = np.random.default_rng(seed)
    labels, is_train = generator.integers(0, 10, num_samples), generator.random(num_samples) < 0.5
    splits = split_held_out(subjects, labels, is_train, 0.5, seed)
    assert ((splits == "train") == is_train).all()
    held_out = splits[~is_train]
    assert set(held_out.tolist()) <= {"calibration", "test"}
    assert all(len(set(held_out[subjects[~is_train] == subject])) == 1 for subject in np.unique(subjects[~is_train]))
