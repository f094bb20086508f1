"""Images are made alike by the rules of `data.images`."""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from functools import partial
from itertools import count
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image
from PIL.AvifImagePlugin import AvifImageFile

from amun.core.errors import InputError
from amun.core.params import ImagesParams
from amun.store import images
from amun.store.alike import ImageError, measure_image, read_image
from amun.store.images import check_images, glance_at_images, read_images
from amun.store.pictures import find_depth, open_picture
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


def make_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def encode_deep_png(colour_type: int, channels: int) -> bytes:
    rows = np.zeros((8, 6 * channels), dtype=">u2")
    header = make_chunk(b"IHDR", struct.pack(">IIBBBBB", 6, 8, 16, colour_type, 0, 0, 0))
    data = make_chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + data + make_chunk(b"IEND", b"")


def encode_deep_tiff() -> bytes:
    """Returns a TIFF file of 16-bit RGB, uncompressed; its directory comes first."""
    entries = [(256, 6), (257, 8), (258, 134), (259, 1), (262, 2), (273, 140), (277, 3), (278, 8), (279, 288), (284, 1)]
    directory = b"".join(struct.pack("<HHII", tag, 3, 3 if tag == 258 else 1, value) for tag, value in entries)
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4)
    return head + struct.pack("<3H", 16, 16, 16) + bytes(288)


def encode_sgi() -> bytes:
    file = io.BytesIO()
    paint(0).save(file, "SGI", bpc=2)
    return file.getvalue()


def deepen(content: bytes, before: bytes, after: bytes) -> bytes:
    """Returns an image file whose header says more bits than it has; nothing behind the header is read."""
    assert content.count(before) == 1
    return content.replace(before, after)


DEEP_FILES = {
    "PNG, RGB": encode_deep_png(2, 3),
    "PNG, RGBA": encode_deep_png(6, 4),
    "PNG, grey": encode_deep_png(0, 1),
    "PNG, grey and alpha": encode_deep_png(4, 2),
    "TIFF, RGB": encode_deep_tiff(),
    "PPM": b"P6 6 8 65535\n" + bytes(288),
    "SGI": encode_sgi(),
    "JPEG2000": deepen(
        encode(paint(0), "JPEG2000"), bytes.fromhex("0003070101070101070101"), b"\0\3" + b"\x0b\1\1" * 3
    ),
}


@pytest.mark.parametrize("kind", DEEP_FILES)
def test_more_than_eight_bits_are_refused_also_where_pillow_calls_them_eight(kind: str) -> None:
    for read in (measure_image, partial(read_image, size=(8, 6))):
        with pytest.raises(ImageError, match="more than 8 bits"):
            read(partial(open_bytes, DEEP_FILES[kind]), rules=make_rules())


def test_more_than_eight_bits_of_avif_are_found_in_its_header() -> None:
    # Pillow writes 8 bits alone, and decodes as it opens: its header is changed behind its back
    content = encode(paint(0, size=(16, 16)), "AVIF")
    with AvifImageFile(io.BytesIO(content)) as image:
        assert find_depth(image) == ""
        image.fp = io.BytesIO(deepen(content, b"av1C\x81\x00\x0c", b"av1C\x81\x00\x4c"))
        assert find_depth(image) == "AVIF, 10 bits a channel"


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM", "SGI", "JPEG2000", "AVIF", "WEBP", "BMP", "TGA", "GIF", "JPEG"])
def test_eight_bits_of_every_format_are_taken(kind: str) -> None:
    opener = partial(open_bytes, encode(paint(0, size=(16, 16)), kind))
    assert measure_image(opener, rules=make_rules()) == (16, 16)
    assert read_image(opener, rules=make_rules(), size=(16, 16)).shape == (3, 16, 16)


TORN_EXIF = {
    "no EXIF at all": make_chunk(b"eXIf", b"nothing of the kind"),
    "nothing": make_chunk(b"eXIf", b""),
    "no tags": make_chunk(b"eXIf", b"II*\0" + struct.pack("<I", 9999)),
    "text for an orientation": make_chunk(b"eXIf", b"II*\0" + struct.pack("<IHHHI4sI", 8, 1, 274, 2, 3, b"6x", 0)),
    "a flipped bit": make_chunk(b"eXIf", b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 274, 3, 1, 6, 0, 0))[:-1] + b"?",
}


@pytest.mark.parametrize("torn", TORN_EXIF)
def test_torn_metadata_do_not_refuse_a_sound_picture(torn: str) -> None:
    content = encode(paint(0))
    after_header = 33
    opener = partial(open_picture, io.BytesIO(content[:after_header] + TORN_EXIF[torn] + content[after_header:]))
    assert measure_image(opener, rules=make_rules()) == (8, 6)
    expected = np.asarray(paint(0)).transpose(2, 0, 1)
    assert np.array_equal(read_image(opener, rules=make_rules(), size=(8, 6)), expected)


def test_torn_pixels_do_refuse_a_picture_whatever_its_metadata() -> None:
    content = encode(paint(0))
    torn = content[:33] + TORN_EXIF["no tags"] + content[33:-40] + b"????" + content[-36:]
    listing = list_openers([partial(open_picture, io.BytesIO(torn)), partial(open_picture, io.BytesIO(content))])
    (batch,) = read_images(listing, np.arange(2), make_rules(), (8, 6))
    assert [problem.split(":")[0] for problem in batch.problems] == ["image 0 cannot be read"]


def test_warnings_of_pillow_are_not_told() -> None:
    torn = encode(paint(0))[:33] + TORN_EXIF["no tags"] + encode(paint(0))[33:]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        open_picture(io.BytesIO(torn)).getexif()
        assert said, "Pillow warns no longer: take another picture"
        said.clear()
        assert check_images(list_openers([partial(open_picture, io.BytesIO(torn))]), make_rules()) == (8, 6)
        assert said == []


@pytest.mark.parametrize("kind", ["TIFF", "JPEG", "PNG", "WEBP"])
def test_size_is_that_of_the_rotated_picture(kind: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    file = io.BytesIO()
    paint(1, size=(6, 8)).save(file, kind, exif=exif)
    opener = partial(open_bytes, file.getvalue())
    assert measure_image(opener, rules=make_rules()) == (8, 6)
    assert read_image(opener, rules=make_rules(), size=(8, 6)).shape == (3, 8, 6)


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


def test_glance_opens_no_header_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []

    def open_told(number: int) -> Image.Image:
        opened.append(number)
        return paint(number)

    # a second goes by whenever somebody looks at the clock
    monkeypatch.setattr(images, "time", SimpleNamespace(monotonic=count().__next__))
    monkeypatch.setattr(images, "count_processors", lambda: 1)
    listing = list_openers([partial(open_told, number) for number in range(600)])
    assert glance_at_images(listing, make_rules(), 0.0) == (None, 0)
    assert opened == []
    openers: list[Opener] = [partial(paint, number, size=(5, 5) if number == 599 else (8, 6)) for number in range(600)]
    assert glance_at_images(listing, make_rules(), 100.0) == ((8, 6), 99)
    assert opened == list(range(99))
    with pytest.raises(
        InputError, match=r"1 problem in the source: image 599 is 5 x 5 pixels high and wide, not 8 x 6"
    ):
        glance_at_images(list_openers(openers), make_rules(), 601.0)


def test_resize_without_a_size_is_refused() -> None:
    with pytest.raises(ValueError, match="resize: crop needs a size"):
        make_rules(resize="crop")
