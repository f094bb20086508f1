"""Copies are found at every byte, in every number format, in part; what is like everybody's is not."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from amun.scan.fingerprint import ANSWER, FILE, IMAGE, NEAR_COPY, SEALED, Fingerprint, join
from amun.scan.hashing import STRIDE, WIDTHS
from amun.scan.matcher import Matcher
from amun.scan.taking import FingerprintTaker
from amun.scan.windows import Marks, find_marked
from tests.amun.scan.planting import HASH, draw, look, take

PHOTOS = draw(4, 3, 32, 32)
DIGITS = (load_digits().images[:60] / 16).astype(np.float32)[:, None]


def as_bytes(images: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return images if images.dtype == np.uint8 else np.round(images * 255).astype(np.uint8)


def as_floats(images: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return images.astype(np.float32) / np.float32(255) if images.dtype == np.uint8 else images


def as_halves(images: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return as_floats(images).astype(np.float16)


FORMS = {"uint8": as_bytes, "float32": as_floats, "float16": as_halves}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("images", [PHOTOS, DIGITS], ids=["photos", "digits"])
def test_copy_is_found_at_every_byte_and_in_every_number_format(images: npt.NDArray[Any], form: str) -> None:
    for before in range(2 * STRIDE + 1):
        content = bytes(before) + FORMS[form](images)[2].tobytes() + b"end"
        assert look(images, content).items == {2}, before


def test_pictures_of_several_colours_are_found_as_image_files_have_them() -> None:
    assert look(PHOTOS, PHOTOS[3].transpose(1, 2, 0).tobytes()).items == {3}
    assert look(DIGITS, DIGITS[3].transpose(1, 2, 0).tobytes()).items == {3}


@settings(deadline=None)
@given(st.integers(0, 3072 - 768), st.integers(0, 40))
def test_a_quarter_of_a_picture_is_found_wherever_it_is_cut(begin: int, before: int) -> None:
    assert look(PHOTOS, bytes(before) + PHOTOS[1].tobytes()[begin : begin + 768]).items == {1}


def test_other_kinds_of_content_are_found() -> None:
    answers = np.random.default_rng(0).normal(size=(3, 4, 10)).astype(np.float32)
    assert look(answers, b"..." + answers[1].tobytes(), ANSWER).items == {1}
    few = answers[:, :2]
    for before in range(STRIDE):
        for form in (answers, answers.astype(np.float16)):
            assert look(answers, bytes(before) + form[1].tobytes(), ANSWER).items == {1}
            assert look(few, bytes(before) + form[1, :2].tobytes(), ANSWER).items == {1}
    near = np.clip(DIGITS + np.random.default_rng(1).normal(0, 0.01, DIGITS.shape), 0, 1).astype(np.float32)
    assert look(near, near[7].tobytes(), NEAR_COPY).items == {7}
    assert look(near, np.round(near[7] * 255).astype(np.uint8).tobytes(), NEAR_COPY).items == {7}
    for kind in (FILE, SEALED):
        taker = FingerprintTaker(HASH)
        taker.add_content(kind, draw(5000).tobytes())
        found = set[int]()
        Matcher(HASH, [taker.finish()]).find_items(b"x" + draw(5000).tobytes(), found)
        assert found == {0}


def test_what_is_like_others_is_no_copy() -> None:
    blank = np.zeros((1, 1, 32, 32), np.uint8)
    ramp = np.arange(1024, dtype=np.uint32).astype(np.uint8).reshape(1, 1, 32, 32)
    two_levels = (draw(1, 1, 32, 32) > 128).astype(np.uint8) * 255
    small = draw(1, 1, 4, 4)
    # nothing tells it for a search whose windows begin after the first row
    one_row = np.zeros((1, 1, 8, 8), np.uint8)
    one_row[0, 0, 0] = [3, 200, 50, 120, 7, 90, 240, 31]
    for images in (blank, ramp, two_levels, small, one_row, blank.astype(np.float32)):
        fingerprint = take(images)
        assert (len(fingerprint.kinds), fingerprint.num_blank, len(fingerprint.block_items)) == (1, 1, 0)
        assert look(images, images.tobytes() * 3).items == set()
    # of a picture that is half blank the other half is looked for
    half = draw(1, 1, 32, 32)
    half[:, :, 16:] = 255
    assert look(half, half[:, :, :16].tobytes()).items == {0}
    assert look(half, half[:, :, 16:].tobytes()).items == set()


def test_nothing_is_found_where_nothing_is() -> None:
    matcher = Matcher(HASH, [take(PHOTOS), take(DIGITS)])
    found = set[int]()
    matcher.find_items(draw(1 << 22, seed=9).tobytes(), found)
    matcher.find_items(bytes(1 << 20), found)
    others = (load_digits().images[60:] / 16).astype(np.float32)
    for form in FORMS.values():
        matcher.find_items(form(others).tobytes(), found)
    assert found == set()


def test_payloads_of_several_people_are_told_apart() -> None:
    matcher = Matcher(HASH, [take(PHOTOS[:2]), take(PHOTOS[2:])])
    found = set[int]()
    matcher.find_items(PHOTOS[[0, 3]].tobytes(), found)
    assert (found, matcher.owners.tolist()) == ({0, 3}, [0, 0, 1, 1])
    assert matcher.kinds.tolist() == [IMAGE] * 4


def test_same_payload_is_taken_once_and_its_spots_can_be_left_out() -> None:
    fingerprint = take(np.concatenate([PHOTOS, PHOTOS]))
    assert len(fingerprint.kinds) == len(PHOTOS)
    (blocks,) = (np.flatnonzero(fingerprint.block_items == 1),)
    left = fingerprint.keep_spots(np.setdiff1d(fingerprint.block_spots, fingerprint.block_spots[blocks]))
    assert (len(left.kinds), left.num_blank) == (4, 1)
    for form in FORMS.values():
        found = set[int]()
        Matcher(HASH, [left]).find_items(form(PHOTOS).tobytes(), found)
        assert found == {0, 2, 3}


def test_fingerprint_is_read_as_it_was_written() -> None:
    written = join([take(PHOTOS), take(DIGITS)])
    read = Fingerprint.load(written.dump())
    assert read.dump() == written.dump()
    for name, values in vars(read).items():
        assert (values.dtype, values.shape) == (vars(written)[name].dtype, vars(written)[name].shape), name
    # the payloads are in another order, and each has its own blocks, spots and windows
    for images in (PHOTOS, DIGITS):
        for image in images[:4]:
            found = [set[int](), set[int]()]
            for items, fingerprint in zip(found, (written, read), strict=True):
                Matcher(HASH, [fingerprint]).find_items(image.tobytes(), items)
            (before,), (after,) = found
            assert written.digests[before] == read.digests[after]
            shapes = []
            for one, item in ((written, before), (read, after)):
                is_own = one.block_items == item
                _, same = np.unique(one.block_spots[is_own], return_inverse=True)
                shapes.append((one.block_digests[is_own].tolist(), same.tolist()))
            assert shapes[0] == shapes[1]


def test_hash_of_a_window_is_the_same_for_rows_and_in_a_buffer() -> None:
    buffer = draw(4000).tobytes()
    words = np.frombuffer(buffer, np.uint64)
    every_bit = np.full(64, 2**64 - 1, np.uint64), np.uint64(58)
    everything, nothing = Marks(every_bit, every_bit), Marks.make(np.empty(0, np.uint32))
    for position, width in enumerate(WIDTHS):
        starts = np.arange((4000 - width) // STRIDE + 1)
        rows = np.stack([np.frombuffer(buffer, np.uint8, width, STRIDE * start) for start in starts.tolist()])
        expected = (HASH.hash_rows(rows) >> np.uint64(32)).astype(np.uint32)
        for marks, is_certain, is_all in (
            (everything, np.ones(len(starts), np.bool_), True),
            (Marks.make(expected[::50]), starts % 50 == 0, False),
        ):
            widths, places, hashes = find_marked(HASH, words, _choose(marks, position, nothing))
            assert set(widths) == {position}
            assert np.array_equal(hashes, expected[places])
            assert set(starts[is_certain]) <= set(places)
            assert (len(places) == len(starts)) is is_all


def _choose(marks: Marks, position: int, others: Marks) -> tuple[Marks, Marks, Marks]:
    narrow, middle, wide = (marks if position == place else others for place in range(3))
    return narrow, middle, wide
