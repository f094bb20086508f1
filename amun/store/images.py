"""Images of any source made alike, by the rules of `data.images`: rotated as EXIF says, one colour mode, one size."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice, takewhile
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from amun.core.errors import join_lines
from amun.core.params import ImagesParams
from amun.core.processors import count_processors
from amun.store.pictures import find_depth, hush_pillow, read_orientation, turn_upright
from amun.store.sources.catalogue import Listing, Opener, raise_problems

Pixels = npt.NDArray[Any]
Size = tuple[int, int]
Result = TypeVar("Result")

MODES = {"greyscale": "L", "rgb": "RGB", "rgba": "RGBA"}
# EXIF orientations that lay an image on its side
LYING = (5, 6, 7, 8)
IMAGES_AT_ONCE, IMAGES_A_TASK = 256, 16


class ImageError(ValueError):
    """An image cannot be used, and why."""


@dataclass(frozen=True)
class Batch:
    """Images made alike.

    Attributes:
        positions: (N,) int64, where they stand in the listing.
        pixels: (N, C, H, W) uint8, or float32 in [0, 1]; None where some cannot be used.
        problems: what cannot be used, one line each.
    """

    positions: npt.NDArray[np.int64]
    pixels: Pixels | None
    problems: list[str]


def check_images(listing: Listing, rules: ImagesParams) -> Size:
    """Returns the (height, width) that all images will have, from their headers alone.

    An image that cannot be used does not end the reading: all such images are named at once.

    Raises:
        InputError: what cannot be used, the first of it by name.
    """
    everything = np.arange(len(listing))
    found = list(_map_in_threads(partial(_try, partial(measure_image, rules=rules)), listing.open_images(everything)))
    expected, faults = _judge_sizes(found, rules)
    problems = [f"{key} {fault}" for key, fault in zip(listing.keys, faults, strict=True) if fault]
    if listing.problems or problems:
        sound = np.flatnonzero([not fault for fault in faults])
        torn = chain.from_iterable(batch.problems for batch in read_images(listing, sound, rules, expected))
        raise_problems([*listing.problems, *problems, *torn])
    raise_problems([] if found else ["it has no images"])
    return expected


def glance_at_images(listing: Listing, rules: ImagesParams, seconds: float) -> tuple[Size | None, int]:
    """Returns the (height, width) that all images will have, and of how many it is: of those that there was time for.

    Args:
        listing: of the source.
        rules: what is done to the images.
        seconds: after which no further header is opened; the size is None where none was.

    Raises:
        InputError: what of these, or of the listing, cannot be used; no pixels are read for it.
    """
    end = time.monotonic() + seconds

    def measure_early(open_image: Opener) -> Size | None:
        return None if time.monotonic() >= end else measure_image(open_image, rules=rules)

    measured = _map_in_threads(partial(_try, measure_early), listing.open_images(np.arange(len(listing))))
    found = [size for size in takewhile(lambda size: size is not None, measured) if size is not None]
    expected, faults = _judge_sizes(found, rules)
    raise_problems(
        [*listing.problems, *(f"{listing.keys[place]} {fault}" for place, fault in enumerate(faults) if fault)]
    )
    raise_problems([] if len(listing) else ["it has no images"])
    return expected if found else None, len(found)


def _judge_sizes(found: Sequence[Size | str], rules: ImagesParams) -> tuple[Size, list[str]]:
    """Returns the size that images will have, and for each what is wrong with it, empty where nothing is."""
    sizes = [size for size in found if not isinstance(size, str)]
    expected = rules.size or (Counter(sizes).most_common(1)[0][0] if sizes else (0, 0))
    is_refused = rules.resize == "refuse"
    return expected, [
        size if isinstance(size, str) else _describe_size(size, expected) if is_refused and size != expected else ""
        for size in found
    ]


def read_images(listing: Listing, positions: npt.NDArray[np.int64], rules: ImagesParams, size: Size) -> Iterator[Batch]:
    """Yields the images at these ascending positions, some hundreds at a time.

    Args:
        listing: of the source.
        positions: of the images to read.
        rules: what is done to them.
        size: (height, width) that they are to have, as `check_images` found.
    """
    read = partial(_try, partial(read_image, rules=rules, size=size))
    results = _map_in_threads(read, listing.open_images(positions))
    for start in range(0, len(positions), IMAGES_AT_ONCE):
        places = positions[start : start + IMAGES_AT_ONCE]
        contents = list(islice(results, len(places)))
        problems = [
            f"{listing.keys[place]} {content}"
            for place, content in zip(places, contents, strict=True)
            if isinstance(content, str)
        ]
        yield Batch(places, None if problems else np.stack(contents), problems)


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
            raise ImageError(_describe_size((image.height, image.width), size))


def _check_array(array: Pixels, rules: ImagesParams, size: Size) -> Pixels:
    """Returns an array of float32 as it is, its channels first: no rule of colour or size changes it."""
    channels = array.shape[2] if array.ndim == 3 else 1
    if channels != len(MODES[rules.colour]):
        raise ImageError(f"has {channels} channels, not those of {rules.colour}; an array of floats is not converted")
    if array.shape[:2] != size:
        raise ImageError(_describe_size((array.shape[0], array.shape[1]), size))
    if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
        raise ImageError("has values beyond 0 to 1")
    return np.ascontiguousarray(array.reshape(*size, channels).transpose(2, 0, 1))


def _describe_size(size: Size, expected: Size) -> str:
    return f"is {size[0]} x {size[1]} pixels high and wide, not {expected[0]} x {expected[1]}"


def _try(function: Callable[[Opener], Result], open_image: Opener) -> Result | str:
    """Returns what the function gives, or why the image cannot be used."""
    try:
        return function(open_image)
    except ImageError as error:
        return str(error)
    except UnidentifiedImageError:
        return "is no image that can be read"
    except FileNotFoundError:
        return "is missing"
    except Exception as error:  # a decoder may raise anything on damaged bytes
        return f"cannot be read: {join_lines(error) or type(error).__name__}"


def _map_in_threads(function: Callable[[Opener], Result], openers: Iterator[Opener]) -> Iterator[Result]:
    """Yields the results in order; a bounded number of images is in memory. Decoders run without Python's lock."""
    with ThreadPoolExecutor(count_processors()) as pool:
        while waiting := list(islice(openers, IMAGES_AT_ONCE)):
            parts = [waiting[start : start + IMAGES_A_TASK] for start in range(0, len(waiting), IMAGES_A_TASK)]
            with hush_pillow():
                results = list(chain.from_iterable(pool.map(partial(_map_part, function), parts)))
            yield from results


def _map_part(function: Callable[[Opener], Result], part: Sequence[Opener]) -> list[Result]:
    return [function(opener) for opener in part]
