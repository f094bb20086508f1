"""Splits: every subject whole in one of them, labels in proportion."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amun.data.splits import SPLITS, assign_subjects, split_subjects

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
