"""Batches of a set are those of the one tensor that it would be, wherever its images lie."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event, active_count

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from amun.core.errors import DamagedError
from amun.store import image_sets
from amun.store.alike import digest_pictures
from amun.store.image_sets import (
    BATCHES_AHEAD,
    ChosenImages,
    HeldImages,
    ImageSet,
    JoinedImages,
    as_set,
    join_images,
    normalise,
)
from tests.processes import wait_until

CPU = torch.device("cpu")
PIXELS = torch.randint(0, 256, (20, 2, 3, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
FLOATS = torch.rand(7, 2, 3, 3, generator=torch.Generator().manual_seed(1))
ROWS = st.lists(st.integers(0, 26), max_size=30)  # of the 27 images of both


class FailingImages(ChosenImages):
    """Images of which the tenth cannot be opened; it takes note of the batches that it was asked for."""

    is_slow = True
    asked = 0

    def batch(self, rows: Tensor) -> Tensor:
        """Returns the images at these rows."""
        type(self).asked += 1
        if 9 in rows:
            raise DamagedError("sample 9 cannot be opened")
        return super().batch(rows)


def test_bytes_become_the_same_floats_as_ever() -> None:
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(normalise(every), every.float() / 255)


@given(ROWS, ROWS)
def test_a_choice_of_joined_sets_is_that_of_the_joined_tensors(chosen: list[int], rows: list[int]) -> None:
    plain = torch.cat([PIXELS.float() / 255, FLOATS])
    images = JoinedImages([HeldImages(PIXELS, CPU), as_set(FLOATS)]).choose(torch.tensor(chosen, dtype=torch.int64))
    expected = plain[torch.tensor(chosen, dtype=torch.int64)]
    assert images.shape == expected.shape
    assert torch.equal(images.read_all(), expected)
    some = torch.tensor([row % len(chosen) for row in rows] if chosen else [], dtype=torch.int64)
    assert torch.equal(images.batch(some), expected[some])
    assert torch.equal(torch.cat([*images.stream_all(4), expected[:0]]), expected)
    digests = digest_pictures(PIXELS.numpy()) + digest_pictures(FLOATS.numpy())
    assert images.digest_all(4) == [digests[row] for row in chosen]
    assert images.digest(some) == [digests[chosen[int(row)]] for row in some]


def test_tensors_alone_are_joined_as_a_tensor() -> None:
    joined = join_images([FLOATS, FLOATS[:2]])
    assert isinstance(joined, Tensor)
    assert torch.equal(joined, torch.cat([FLOATS, FLOATS[:2]]))
    assert isinstance(join_images([FLOATS, as_set(FLOATS)]), ImageSet)


def test_what_cannot_be_opened_is_told_when_its_turn_has_come() -> None:
    images = FailingImages(as_set(torch.rand(20, 1, 2, 2)), torch.arange(20))
    batches = images.stream_all(2)
    assert [len(next(batches)) for _ in range(4)] == [2] * 4
    with pytest.raises(DamagedError, match=r"^sample 9 cannot be opened$"):
        next(batches)


def test_no_more_batches_are_opened_than_memory_is_meant_for() -> None:
    images = FailingImages(as_set(torch.rand(9, 1, 2, 2)), torch.arange(9))
    FailingImages.asked = 0
    batches = images.stream_all(1)
    next(batches)
    wait_until(lambda: FailingImages.asked == 1 + BATCHES_AHEAD, "the next batches are opened, and nobody has asked")
    next(batches)
    wait_until(lambda: FailingImages.asked == 2 + BATCHES_AHEAD, "one more is")


def test_whoever_ends_early_waits_for_one_batch_and_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, is_ending = list[int](), Event()

    class WaitingImages(ChosenImages):
        is_slow = True

        def batch(self, rows: Tensor) -> Tensor:
            asked.extend(rows.tolist())
            assert rows[0] == 0 or is_ending.wait(60)
            return super().batch(rows)

    class Opener(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            is_ending.set()
            super().shutdown(wait=wait)

    monkeypatch.setattr(image_sets, "ThreadPoolExecutor", Opener)
    num_threads, images = active_count(), WaitingImages(as_set(torch.rand(9, 1, 2, 2)), torch.arange(9))
    with closing(iter(images.stream_all(1))) as batches:  # type: ignore[type-var]
        next(batches)
        wait_until(lambda: asked == [0, 1], "the second batch is being opened")
    assert asked == [0, 1], "the third is opened for nobody"
    assert active_count() == num_threads


def test_batches_that_go_to_a_device_are_taken_ahead() -> None:
    # a device without memory stands for one that this machine lacks
    there = HeldImages(PIXELS, torch.device("meta"))
    assert [there.is_slow, HeldImages(PIXELS, CPU).is_slow] == [True, False]
    assert [one.is_slow for one in (there.choose(torch.arange(3)), JoinedImages([as_set(PIXELS), there]))] == [True] * 2
