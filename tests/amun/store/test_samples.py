"""The sample store gives back what it was given, and the same bytes for the same samples."""

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from amun.core.subject_ids import normalise
from amun.store.samples import Samples, concatenate, read_samples, write_samples

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=3)
DTYPES = st.sampled_from([torch.uint8, torch.float32, torch.int64])


@st.composite
def some_samples(draw: st.DrawFn) -> Samples:
    """Up to eight samples of some people, with payloads of any shape and kind."""
    ids = draw(st.lists(NAMES, max_size=8, unique=True))
    subjects = draw(st.lists(NAMES, min_size=len(ids), max_size=len(ids)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 100)))
    payloads = torch.randint(0, 256, (len(ids), *draw(SHAPES)), generator=generator).to(draw(DTYPES))
    return Samples(
        np.array(ids, dtype=np.str_),
        np.array(subjects, dtype=np.str_),
        torch.randint(0, 10, (len(ids),), generator=generator),
        payloads,
    )


def assert_equal(found: Samples, expected: Samples) -> None:
    assert found.sample_ids.tolist() == expected.sample_ids.tolist()
    assert found.subject_ids.tolist() == expected.subject_ids.tolist()
    assert torch.equal(found.labels, expected.labels)
    assert found.payloads.dtype == expected.payloads.dtype
    assert torch.equal(found.payloads, expected.payloads)


@settings(deadline=None)
@given(some_samples())
def test_store_gives_back_what_it_was_given(samples: Samples) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "store.parquet"
        write_samples(path, samples, seal=None)
        first = path.read_bytes()
        found = read_samples(path)
        assert_equal(found, samples)
        write_samples(path, found, seal=None)
        assert path.read_bytes() == first
        assert list(path.parent.iterdir()) == [path]


@settings(deadline=None)
@given(some_samples(), st.randoms(use_true_random=False))
def test_align_finds_each_sample(samples: Samples, random: Random) -> None:
    order = list(range(len(samples)))
    random.shuffle(order)
    wanted = [str(samples.sample_ids[position]) for position in order]
    aligned = samples.align(wanted)
    assert aligned.sample_ids.tolist() == wanted
    assert torch.equal(aligned.payloads, samples.payloads[order])


@settings(deadline=None)
@given(some_samples())
def test_two_parts_are_the_whole(samples: Samples) -> None:
    chosen = samples.is_among(samples.sample_ids[::2].tolist())
    first, second = samples.select(chosen), samples.select(~chosen)
    assert len(first) + len(second) == len(samples)
    whole = concatenate([first, second])
    assert_equal(whole.align(samples.sample_ids.tolist()), samples)


def test_bytes_are_images_between_zero_and_one() -> None:
    samples = Samples(
        np.array(["a"]), np.array(["b"]), torch.tensor([0]), torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8)
    )
    assert samples.images.flatten().tolist() == pytest.approx([0, 0.2, 1])


@settings(max_examples=30, deadline=None)
@given(samples=some_samples(), stranger=NAMES)
def test_one_subject_is_read_alone(samples: Samples, stranger: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "store.parquet"
        write_samples(path, samples, seal=None)
        for subject in {stranger, *samples.subject_ids.tolist()}:
            owned = [normalise(owner) == normalise(subject) for owner in samples.subject_ids.tolist()]
            assert_equal(read_samples(path, subject), samples.select(np.array(owned, dtype=np.bool_)))


def test_subject_is_found_however_the_letters_are_composed(tmp_path: Path) -> None:
    names = ["Zo\u00eb", "ann", "Zoe\u0308"]
    number = len(names)
    write_samples(
        tmp_path / "store.parquet",
        Samples(np.array(["1", "2", "3"]), np.array(names), torch.zeros(number).long(), torch.zeros(number, 1)),
        seal=None,
    )
    for spelling in (names[0], names[2]):
        assert read_samples(tmp_path / "store.parquet", spelling).sample_ids.tolist() == ["1", "3"]
