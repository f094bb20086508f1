"""Where the company's own systems put requests: a folder, or a place on S3.

A file is read, recorded in the ledger, then put away, to `done/` or `rejected/`, under the number that the ledger gave
it. What lies there is never read again. A kill between two steps leaves a file that is read, found in the ledger, and
put away.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from amun.ledger import FileId, TakenFile

DONE, REJECTED, TAKING = "done", "rejected", "taking"
REASON_SUFFIX = ".reason.txt"


@dataclass(frozen=True)
class Waiting:
    """A file of requests that was read and has not been put away.

    Attributes:
        id: what tells it from all others.
        place: where it lies now, as its source says it.
        content: its bytes.
    """

    id: FileId
    place: str
    content: bytes


class IntakeSource(ABC):
    """A place that files of requests come from."""

    @abstractmethod
    def count_waiting(self) -> int:
        """Returns how many files wait; nothing is changed."""

    @abstractmethod
    def read_waiting(self) -> Iterator[Waiting]:
        """Yields each file that waits; it is gone from there once it was put away."""

    @abstractmethod
    def put_away(self, waiting: Waiting, record: TakenFile) -> None:
        """Moves a recorded file to `done/`, or to `rejected/` with the reason in a file beside it."""


def is_meant(name: str) -> bool:
    """Tells whether a file below the source, by its path, is one to read."""
    path = PurePosixPath(name)
    is_own = path.parts[0] in (DONE, REJECTED, TAKING)
    return path.suffix.lower() == ".csv" and not is_own and not any(part.startswith(".") for part in path.parts)


def name_target(waiting: Waiting, record: TakenFile) -> str:
    """Returns the path, below the source, that a recorded file is put away under."""
    return f"{DONE if record.reason is None else REJECTED}/{record.number:06d}/{waiting.id.name}"
