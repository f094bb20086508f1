"""One image made alike, by the rules of `data.images`: rotated as EXIF says, one colour mode, one size."""

import hashlib
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from amun.core.params import ImagesParams
from amun.store.pictures import find_depth, read_file, read_orientation, turn_upright
from amun.store.sources.catalogue import Opener

Pixels = npt.NDArray[Any]
Size = tuple[int, int]

MODES = {"greyscale": "L", "rgb": "RGB", "rgba": "RGBA"}
# formats of image files that are kept as they are: compressed well, and decoded by Pillow's own, fast decoders
KEPT_FORMATS = ("JPEG", "MPO", "PNG", "WEBP")
# no file is kept of more than so many times the pixels that are asked for: a small one may be a huge image
MAX_SHRINKING = 4
# EXIF orientations that lay an image on its side
LYING = (5, 6, 7, 8)
DIGEST_BYTES = 16


class ImageError(ValueError):
    """An image cannot be used, and why."""


def digest_pictures(pixels: Pixels) -> list[bytes]:
    """Returns a digest of the pixels of each of the images (N, ...)."""
    return [hashlib.sha256(image.tobytes()).digest()[:DIGEST_BYTES] for image in pixels]


def measure_image(open_image: Opener, *, rules: ImagesParams) -> Size:
    """Returns an image's (height, width) once it is rotated; of a file only the header is read, where that tells."""
    opened = open_image()
    if not isinstance(opened, Image.Image):
        return opened.shape[0], opened.shape[1]
    with opened as image:
        _require_shallow(image)
        # of a TIFF file Pillow gives the size as it will be once rotated
        is_lying = rules.resize == "refuse" and image.format != "TIFF" and read_orientation(image) in LYING
        return image.size if is_lying else (image.height, image.width)


def read_image(open_image: Opener, *, rules: ImagesParams, size: Size) -> Pixels:
    """Returns one image as (C, H, W) uint8, or float32 in [0, 1] where the source gives such arrays.

    Raises:
        ImageError: it does not fit the rules.
    """
    opened = open_image()
    if isinstance(opened, np.ndarray) and opened.dtype != np.uint8:
        return _check_array(opened, rules, size)
    with opened if isinstance(opened, Image.Image) else _make_image(opened) as image:
        _require_shallow(image)
        pixels = np.asarray(_resize(_convert(turn_upright(image), rules), rules, size))
    return np.ascontiguousarray(pixels.reshape(*size, -1).transpose(2, 0, 1))


def read_with_file(open_image: Opener, *, rules: ImagesParams, size: Size) -> tuple[Pixels, bytes | None]:
    """Returns one image as `read_image` does, and the file that it lies in; None where the pixels take less.

    Raises:
        ImageError: as `read_image`.
    """
    opened, file = open_image(), b""
    if isinstance(opened, Image.Image) and opened.format in KEPT_FORMATS:
        file = read_file(opened) if math.prod(opened.size) <= MAX_SHRINKING * math.prod(size) else b""
    pixels = read_image(lambda: opened, rules=rules, size=size)
    return pixels, file if 0 < len(file) < pixels.nbytes else None


def _make_image(array: Pixels) -> Image.Image:
    return Image.fromarray(array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array)


def _require_shallow(image: Image.Image) -> None:
    if depth := find_depth(image):
        raise ImageError(f"has pixels of more than 8 bits ({depth}); convert it")


def _convert(image: Image.Image, rules: ImagesParams) -> Image.Image:
    """Returns the image in the mode of `colour`; where that has no transparency, laid on what `transparent` names."""
    mode = MODES[rules.colour]
    if mode != "RGBA" and image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, rules.transparent), layer).convert(mode)
    return image if image.mode == mode else image.convert(mode)


def _resize(image: Image.Image, rules: ImagesParams, size: Size) -> Image.Image:
    height, width = size
    if (image.height, image.width) == size:
        return image
    match rules.resize:
        case "stretch":
            return image.resize((width, height), Image.Resampling.BILINEAR)
        case "crop":
            return ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
        case "pad":
            return ImageOps.pad(image, (width, height), Image.Resampling.BILINEAR)
        case _:
            raise ImageError(describe_size((image.height, image.width), size))


def _check_array(array: Pixels, rules: ImagesParams, size: Size) -> Pixels:
    """Returns an array of float32 as it is, its channels first: no rule of colour or size changes it."""
    channels = array.shape[2] if array.ndim == 3 else 1
    if channels != len(MODES[rules.colour]):
        raise ImageError(f"has {channels} channels, not those of {rules.colour}; an array of floats is not converted")
    if array.shape[:2] != size:
        raise ImageError(describe_size((array.shape[0], array.shape[1]), size))
    if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
        raise ImageError("has values beyond 0 to 1")
    return np.ascontiguousarray(array.reshape(*size, channels).transpose(2, 0, 1))


def describe_size(size: Size, expected: Size) -> str:
    """Returns what is wrong with an image of another (height, width) than is expected."""
    return f"is {size[0]} x {size[1]} pixels high and wide, not {expected[0]} x {expected[1]}"
