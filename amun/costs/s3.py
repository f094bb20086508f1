"""On paper: what a night asks of S3. A bucket is paid by requests as well as by what it keeps.

What DVC asks a real server in a night was counted, and is not more (`tests/test_s3.py`). What grows is summed up: the
parts of large files, what is read again, and an object for each request that comes through a bucket (docs/intake.md).

Source: s3fs, by which DVC uploads: from 100 MiB on in parts of 50 MiB, of 10,000 at most.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from amun.core.memory import GIB

PART_BYTES, MAX_PARTS, LEAST_PARTED = 50 * 2**20, 10_000, 100 * 2**20
# the bound of many servers, and of Amazon until December 2025, which takes 50 TB since:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
MAX_OBJECT_BYTES = 5 * 2**40
KEYS_A_LIST = 1000
# of a night, whatever it sends: how much lies in the bucket, and whether there is a folder
NUM_LISTS, NUM_LOOKS = 6, 9
READ_AGAIN_BYTES = GIB
INTAKE_LISTS = 2  # passes of the intake over its folder: the second finds nothing new


@dataclass(frozen=True)
class Requests:
    """Requests to S3, of the kinds that have a price.

    Attributes:
        puts: PUT and POST: objects written, or parts of such.
        lists: pages of a listing.
        gets: GET and HEAD of an object or a bucket.
    """

    puts: int = 0
    lists: int = 0
    gets: int = 0

    def __add__(self, other: "Requests") -> "Requests":
        """Returns both."""
        return Requests(self.puts + other.puts, self.lists + other.lists, self.gets + other.gets)

    def price(self, of_put: float, of_get: float) -> float:
        """Returns what they cost.

        Args:
            of_put: a thousand puts or lists.
            of_get: a thousand gets.
        """
        return ((self.puts + self.lists) * of_put + self.gets * of_get) / 1000


@dataclass(frozen=True)
class ReadAgain:
    """What a night reads again: how many objects, and how many bytes they take."""

    num_objects: int
    num_bytes: float


def read_again(kept: Sequence[float]) -> ReadAgain:
    """Returns what a night reads again, the mean of the nights that once go through all that is kept.

    A night reads objects whole, one at least and else no more than fit into a part (docs/operations.md). So an object
    that is larger than a part takes a night of its own. That a night ends after a minute is left out: that reads less.

    Args:
        kept: bytes of each object.
    """
    large = [num_bytes for num_bytes in kept if num_bytes > READ_AGAIN_BYTES]
    num_nights = max(1, len(large) + ceil((sum(kept) - sum(large)) / READ_AGAIN_BYTES))
    return ReadAgain(ceil(len(kept) / num_nights), sum(kept) / num_nights)


def count_night(pushed: Sequence[float], num_files: int, kept: Sequence[float]) -> Requests:
    """Returns how many requests a night of one model takes, without those of an intake.

    It is at most so many, but for what is read again, which is a mean. DVC asks for the bucket before most of its
    requests. For each file it is asked twice whether it is there.

    Args:
        pushed: bytes of the files that are sent.
        num_files: that the workspace names.
        kept: bytes of each object that lies in the bucket, of all nights.
    """
    return Requests(
        puts=sum(map(count_puts, pushed)),
        lists=NUM_LISTS + ceil(len(kept) / KEYS_A_LIST),
        gets=NUM_LOOKS + 3 * num_files + len(pushed) + read_again(kept).num_objects,
    )


def count_puts(num_bytes: float) -> int:
    """Returns with how many requests a file of so many bytes is written."""
    if num_bytes < LEAST_PARTED:
        return 1
    return 2 + min(ceil(num_bytes / PART_BYTES), MAX_PARTS)  # parts, and what begins and ends them


def count_intake(num_objects: int, num_kept: int = 0) -> Requests:
    """Returns what it takes to take in so many objects: each is read, written elsewhere, looked at again and deleted.

    Who deletes pays nothing.

    Args:
        num_objects: that wait.
        num_kept: of earlier nights, which lie below the same prefix and are listed with them.
    """
    if not num_objects:
        return Requests()
    lists = INTAKE_LISTS * ceil((num_objects + num_kept) / KEYS_A_LIST)
    return Requests(puts=num_objects, lists=lists, gets=2 * num_objects)
