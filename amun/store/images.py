"""All images of a source made alike, many at a time; what cannot be used is told, all of it at once."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice, takewhile
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import UnidentifiedImageError

from amun.core.errors import join_lines
from amun.core.params import ImagesParams
from amun.core.processors import count_processors
from amun.store.alike import ImageError, Pixels, Size, describe_size, measure_image, read_image, read_with_file
from amun.store.pictures import hush_pillow
from amun.store.sources.catalogue import Listing, Opener, raise_problems

Result = TypeVar("Result")

IMAGES_AT_ONCE, IMAGES_A_TASK = 256, 16


@dataclass(frozen=True)
class Batch:
    """Images made alike.

    Attributes:
        positions: (N,) int64, where they stand in the listing.
        pixels: (N, C, H, W) uint8, or float32 in [0, 1]; None where some cannot be used.
        files: (N,) the image files as they came in; None for what lies in none, or takes less as pixels.
        problems: what cannot be used, one line each.
    """

    positions: npt.NDArray[np.int64]
    pixels: Pixels | None
    files: list[bytes | None]
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
        size if isinstance(size, str) else describe_size(size, expected) if is_refused and size != expected else ""
        for size in found
    ]


def read_images(
    listing: Listing, positions: npt.NDArray[np.int64], rules: ImagesParams, size: Size, *, with_files: bool = False
) -> Iterator[Batch]:
    """Yields the images at these ascending positions, some hundreds at a time.

    Args:
        listing: of the source.
        positions: of the images to read.
        rules: what is done to them.
        size: (height, width) that they are to have, as `check_images` found.
        with_files: the files are given, too; else None in their places.
    """
    read_one = read_with_file if with_files else _read_alone
    read = partial(_try, partial(read_one, rules=rules, size=size))
    results = _map_in_threads(read, listing.open_images(positions))
    for start in range(0, len(positions), IMAGES_AT_ONCE):
        places = positions[start : start + IMAGES_AT_ONCE]
        contents = list(islice(results, len(places)))
        problems = [
            f"{listing.keys[place]} {content}"
            for place, content in zip(places, contents, strict=True)
            if isinstance(content, str)
        ]
        if problems:
            yield Batch(places, None, [], problems)
            continue
        found = [content for content in contents if not isinstance(content, str)]
        yield Batch(places, np.stack([pixels for pixels, _ in found]), [file for _, file in found], [])


def _read_alone(open_image: Opener, *, rules: ImagesParams, size: Size) -> tuple[Pixels, None]:
    """Returns one image, without its file."""
    return read_image(open_image, rules=rules, size=size), None


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
