"""Images are made alike by the rules of `data.images`."""

import io
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from amun.core.errors import InputError
from amun.core.params import ImagesParams
from amun.store.images import ImageError, check_images, measure_image, read_image
from amun.store.sources.catalogue import Listing, Opener
from tests.amun.pictures import encode, paint


def make_rules(**changes: Any) -> ImagesParams:
    return ImagesParams(**{"colour": "rgb", "size": None, "resize": "refuse", "transparent": "white"} | changes)


def open_bytes(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize(("colour", "channels"), [("greyscale", 1), ("rgb", 3), ("rgba", 4)])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_mode_becomes_the_colour_asked_for(mode: str, colour: str, channels: int) -> None:
    opener = partial(open_bytes, encode(paint(0, mode=mode)))
    pixels = read_image(opener, rules=make_rules(colour=colour), size=(8, 6))
    assert pixels.shape == (channels, 8, 6)
    assert pixels.dtype == np.uint8


@pytest.mark.parametrize(("transparent", "value"), [("white", 255), ("black", 0)])
@pytest.mark.parametrize("colour", ["greyscale", "rgb"])
def test_transparent_pixels_show_what_lies_behind(colour: str, transparent: str, value: int) -> None:
    clear = Image.new("RGBA", (6, 8), (10, 200, 30, 0))
    rules = make_rules(colour=colour, transparent=transparent)
    assert (read_image(partial(open_bytes, encode(clear)), rules=rules, size=(8, 6)) == value).all()
    kept = read_image(partial(open_bytes, encode(clear)), rules=make_rules(colour="rgba"), size=(8, 6))
    assert kept[:, 0, 0].tolist() == [10, 200, 30, 0]


def test_same_pixels_pass_unchanged() -> None:
    expected = np.asarray(paint(3)).transpose(2, 0, 1)
    assert np.array_equal(read_image(partial(paint, 3), rules=make_rules(), size=(8, 6)), expected)
    assert np.array_equal(read_image(lambda: np.asarray(paint(3)), rules=make_rules(), size=(8, 6)), expected)


def test_exif_rotation_is_applied() -> None:
    upright = paint(1)
    file = io.BytesIO()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # the camera was held so that the top is on the right
    upright.transpose(Image.Transpose.ROTATE_90).save(file, "PNG", exif=exif)
    opener = partial(open_bytes, file.getvalue())
    assert measure_image(opener, rules=make_rules()) == (8, 6)
    assert np.array_equal(read_image(opener, rules=make_rules(), size=(8, 6)), np.asarray(upright).transpose(2, 0, 1))


def test_sizes_are_brought_about_as_the_rule_says() -> None:
    wide = np.zeros((4, 8, 3), dtype=np.uint8)
    wide[:, 2:6] = 255  # the middle square is white
    shapes = {}
    for resize in ("stretch", "crop", "pad"):
        rules = make_rules(size=[4, 4], resize=resize)
        shapes[resize] = read_image(lambda: wide, rules=rules, size=(4, 4))
    assert (shapes["crop"] == 255).all()
    assert (shapes["pad"][:, 0] == 0).all()
    assert (shapes["pad"][:, 3] == 0).all()
    assert shapes["pad"][:, 1:3].max() > 200
    assert 0 < shapes["stretch"].mean() < 255
    with pytest.raises(ImageError, match="is 4 x 8 pixels high and wide, not 4 x 4"):
        read_image(lambda: wide, rules=make_rules(size=[4, 4]), size=(4, 4))


@pytest.mark.parametrize("array", [np.zeros((8, 6), np.int32), np.zeros((8, 6), np.uint16)])
def test_more_than_eight_bits_are_refused(array: np.ndarray) -> None:
    opener = partial(open_bytes, encode(Image.fromarray(array), "TIFF"))
    for read in (measure_image, partial(read_image, size=(8, 6))):
        with pytest.raises(ImageError, match="more than 8 bits"):
            read(opener, rules=make_rules())


def test_floats_are_taken_as_they_are_or_refused() -> None:
    array = np.random.default_rng(0).random((8, 6), dtype=np.float32)
    grey = make_rules(colour="greyscale")
    assert np.array_equal(read_image(lambda: array, rules=grey, size=(8, 6))[0], array)
    for faulty, rules in ((array * 2, grey), (array * np.nan, grey), (array, make_rules()), (array[:4], grey)):
        with pytest.raises(ImageError):
            read_image(partial(np.asarray, faulty), rules=rules, size=(8, 6))


def list_openers(openers: list[Opener]) -> Listing:
    def open_images(positions: Any) -> Iterator[Opener]:
        return (openers[position] for position in positions)

    keys = [f"image {number}" for number in range(len(openers))]
    return Listing(keys, np.zeros(len(openers), np.int64), ["x"], None, open_images)


def test_odd_sizes_are_named_against_the_most_common() -> None:
    openers: list[Opener] = [partial(paint, seed, size=(8, 6) if seed != 1 else (5, 5)) for seed in range(600)]
    with pytest.raises(InputError, match=r"1 problem in the source: image 1 is 5 x 5 pixels high and wide, not 8 x 6"):
        check_images(list_openers(openers), make_rules())
    assert check_images(list_openers(openers), make_rules(size=[4, 4], resize="crop")) == (4, 4)


def test_resize_without_a_size_is_refused() -> None:
    with pytest.raises(ValueError, match="resize: crop needs a size"):
        make_rules(resize="crop")
