"""A fault of a workspace, with its remedy."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tasks.workspace.workspace import Workspace


@dataclass(frozen=True)
class Fault:
    """Something that is wrong.

    Attributes:
        what: in one line.
        remedy: what mends it, in words that follow "to mend it".
        mend: does that; None where a person has to.
        about: what it is about, which is its section on the page of operations.
    """

    what: str
    remedy: str
    mend: Callable[[], object] | None = None
    about: str = ""


@dataclass(frozen=True)
class Check:
    """Looks at one thing, and changes nothing.

    Attributes:
        about: what it looks at, in a word.
        find: yields what is wrong.
    """

    about: str
    find: Callable[[Workspace], Iterable[Fault]]
