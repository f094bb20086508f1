"""Scrubs what DVC keeps: cache and remotes are read part by part, and a damaged copy is mended from the other side.

DVC never reads again what it has stored, and trusts an object by its name, which is its MD5. A wave reads what it
needs. Everything else, of older waves and on remotes, is read here: a part each night, which goes on where the last one
ended, so that in so many nights all was read.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from amun.core.errors import AmunError
from amun.core.files import replace_file
from amun.core.paths import SCRUB
from amun.evidence.wave import Record, parse_record
from tasks.tools.content_places import DIGITS, ContentPlace, list_content_places
from tasks.tools.sound import read_recorded
from tasks.workspace.rot import Rot, is_damaged, mend_rot
from tasks.workspace.workspace import Workspace

# of each place at a time; a content larger than that is read alone, and one that was begun is read to its end
PART_BYTES = 1 << 30
PART_SECONDS = 60.0


class Marks(Record):
    """Up to where each place was read.

    Attributes:
        after: the last content that was read, by the place's name.
    """

    after: dict[str, str]


@dataclass(frozen=True)
class Scrubbed:
    """What a night has found.

    Attributes:
        mended: a line for each copy that was damaged or missing, and is sound.
        left: a line for each that is not, with what to do.
        unread: a line for each place that could not be read.
    """

    mended: tuple[str, ...]
    left: tuple[str, ...]
    unread: tuple[str, ...]


def scrub(workspace: Workspace, today: date) -> Scrubbed:
    """Reads the next part of each place, mends what is damaged, and keeps up to where was read.

    Args:
        workspace: whose cache and remotes.
        today: draws where to begin in a place of which nothing is kept, as in the fresh clone of a worker.

    Raises:
        AmunError: DVC's settings cannot be read.
    """
    marks = _read_marks(workspace.root)
    found, after, unread = look(workspace, marks, today)
    mended, left = [], []
    for rot in found:
        try:
            mended.append(mend_rot(workspace, rot))
        except AmunError as error:
            left.append(str(error))
    if after != marks:
        with replace_file(workspace.root / SCRUB) as unfinished:
            unfinished.write_text(Marks(after=after).model_dump_json(), encoding="utf-8")
    return Scrubbed(tuple(filter(None, mended)), tuple(left), tuple(unread))


def find_rot(workspace: Workspace, today: date) -> tuple[list[Rot], list[str]]:
    """Returns what is wrong in the part that the next night reads, and a line for each place that cannot be read.

    The arguments are those of `scrub`. The night reads that part all the same.
    """
    found, _, unread = look(workspace, _read_marks(workspace.root), today)
    return found, unread


def look(
    workspace: Workspace, marks: Mapping[str, str], today: date, clock: Callable[[], float] = time.monotonic
) -> tuple[list[Rot], dict[str, str], list[str]]:
    """Reads the next part of each place.

    Returns:
        what is wrong; the marks, moved on; a line for each place that could not be read.
    """
    places, _ = list_content_places(workspace.root)
    named = {digest: path for path, digest in read_recorded(workspace.root).items()}
    found: list[Rot] = []
    after, unread = dict(marks), []
    for place in places:
        begin = marks.get(place.name) or _draw(place.name, today)
        try:
            if place.is_default:
                found += [Rot(place, digest, named[digest], True) for digest in named if not place.has(digest)]
            for digest in choose_part(place, begin, clock):
                if is_damaged(place, digest):
                    found.append(Rot(place, digest, named.get(digest, "")))
                after[place.name] = digest
        except AmunError as error:
            unread.append(f"{place.name}: not all of tonight's part could be read: {error}")
    return found, after, unread


def choose_part(place: ContentPlace, after: str, clock: Callable[[], float] = time.monotonic) -> Iterator[str]:
    """Yields the contents that come next in a place, and from its beginning once it has come to the end.

    Args:
        place: where they lie.
        after: the content after which to begin.
        clock: seconds; what is read between two contents counts.
    """
    is_over = clock() + PART_SECONDS
    num_bytes = 0
    for digest, size in _go_round(place, after):
        if num_bytes and (num_bytes + size > PART_BYTES or clock() >= is_over):
            return
        num_bytes += max(1, size)
        yield digest


def _go_round(place: ContentPlace, after: str) -> Iterator[tuple[str, int]]:
    """Yields all contents of a place once, beginning after one."""
    yield from place.list_after(after)
    for digest, size in place.list_after(""):
        if digest > after:
            return
        yield digest, size


def _draw(name: str, today: date) -> str:
    """Returns where to begin, another place each day."""
    return hashlib.sha256(f"{name} {today.isoformat()}".encode()).hexdigest()[:DIGITS]


def _read_marks(root: Path) -> dict[str, str]:
    """Returns up to where each place was read; nothing where that is not kept, or damaged: then it is drawn."""
    try:
        return parse_record(Marks, (root / SCRUB).read_text(encoding="utf-8"), str(SCRUB)).after
    except (OSError, UnicodeDecodeError, AmunError):
        return {}


def scrub_tonight(workspace: Workspace, now: datetime) -> Scrubbed:
    """Scrubs at the end of a night, which has its own outcome, whatever becomes of this."""
    try:
        return scrub(workspace, now.date())
    except Exception as error:
        # what is no error of ours may quote what nobody should read
        why = str(error) if isinstance(error, AmunError) else type(error).__name__
        return Scrubbed((), (), (f"cache and remotes were not scrubbed: {why}",))


def list_lines(scrubbed: Scrubbed | None) -> list[str]:
    """Returns what a night says of it; nothing where it was not done."""
    if scrubbed is None:
        return []
    return [
        *(f"warning: {line}; have a look at the disk" for line in scrubbed.mended),
        *(f"warning: {line}" for line in (*scrubbed.left, *scrubbed.unread)),
    ]
