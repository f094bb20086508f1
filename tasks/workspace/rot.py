"""A copy of a content that is not what its name says: how it is told, and mended by a sound copy from elsewhere."""

from dataclasses import dataclass
from pathlib import Path

from amun.core.errors import AmunError
from tasks.tools.content_places import DIGITS, ContentPlace, list_content_places
from tasks.tools.digests import compute_md5
from tasks.workspace.workspace import Workspace, hold_stages


@dataclass(frozen=True)
class Rot:
    """A copy of a content that is not what its name says, or is not there.

    Attributes:
        place: where it lies, or should.
        digest: the content's name.
        path: what HEAD calls it; empty where it is an earlier wave's.
        is_missing: the remote has none, although a wave has sent it.
    """

    place: ContentPlace
    digest: str
    path: str
    is_missing: bool = False

    def describe(self) -> str:
        """Returns in one line what is wrong."""
        named = f" ({self.path})" if self.path else ""
        return f"{self.place.name}: {self.place.locate(self.digest)}{named} is {self._tell()}"

    def _tell(self) -> str:
        return "missing" if self.is_missing else "damaged"


def mend_rot(workspace: Workspace, rot: Rot) -> str:
    """Puts a sound copy in place of a damaged one, or where there is none; returns what was done.

    Nothing is said of a content that somebody has removed meanwhile, as an erasure does: it is not brought back.

    Raises:
        AmunError: no other place has one, the place does not take it, or a stage is running here.
    """
    # what lies in clear from before is destroyed under this lock, and a copy of it must not come back
    with hold_stages(workspace):
        if not rot.is_missing and not is_damaged(rot.place, rot.digest):
            return ""
        places, _ = list_content_places(workspace.root)
        for place in places:
            if place.name != rot.place.name and _copy(place, rot):
                return f"{rot.describe()}: brought back from {place.name}"
        tree = workspace.root / rot.path
        if rot.path and _is_sound(tree, rot.digest):
            _put(rot, tree)
            return f"{rot.describe()}: brought back from the work tree"
    raise AmunError(
        f"{rot.describe()}, and nothing else has a sound copy: put one there from a backup or another clone's cache"
    )


def _copy(place: ContentPlace, rot: Rot) -> bool:
    """Takes the copy of a place where that is sound; tells whether it was."""
    try:
        with place.lend(rot.digest) as copy:
            if copy is None or not _is_sound(copy, rot.digest):
                return False
            _put(rot, copy)
            return True
    except _NotTakenError:
        raise
    except AmunError:
        return False  # that place is away


class _NotTakenError(AmunError):
    """The place that is to be mended does not take the copy."""


def _put(rot: Rot, copy: Path) -> None:
    try:
        rot.place.put(rot.digest, copy)
        if is_damaged(rot.place, rot.digest):
            raise AmunError("what was written there is damaged as well")
    except AmunError as error:
        raise _NotTakenError(f"{rot.describe()}, and a sound copy could not be put there: {error}") from None


def is_damaged(place: ContentPlace, digest: str) -> bool:
    """Tells whether a place gives other bytes under a name; what was removed meanwhile is none."""
    return place.compute_md5(digest) not in (digest[:DIGITS], None)


def _is_sound(path: Path, digest: str) -> bool:
    return compute_md5(path) == digest[:DIGITS]
