"""What a source tells of its images before any is read, and the registry of sources."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amun.core.counts import tell_count
from amun.core.errors import InputError, SourceError
from amun.core.params import DataParams, parse_part
from amun.core.subject_ids import BLANKS, find_fault, normalise

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

Opener = Callable[[], "Image.Image | npt.NDArray[Any]"]

MAX_SHOWN = 20

# each module has `Options`, the model of `data.options`, and `list_images(root, options)`; params.yaml is checked with
# the former on every command, so these modules import what is heavy only where they list
SOURCES = {
    "cifar10": "amun.store.sources.cifar10",
    "digits": "amun.store.sources.digits",
    "folder": "amun.store.sources.folder",
    "parquet": "amun.store.sources.parquet",
    "torchvision": "amun.store.sources.torchvision",
}


class AbsentError(SourceError):
    """The files of a source are not there, or not whole."""


@dataclass(frozen=True)
class Row:
    """One image as its source names it.

    Attributes:
        key: the source's own name of it.
        label: its class, as text or a whole number; None where it is missing.
        subject: whose it is; None where the source names no subjects, empty where it should have.
    """

    key: str
    label: str | int | None
    subject: str | None


@dataclass(frozen=True)
class Absent:
    """An image that a table of the source names and that is not there.

    Attributes:
        key: its name.
        subject: whose it is.
        problem: the line among the listing's problems.
    """

    key: str
    subject: str
    problem: str


@dataclass(frozen=True)
class Owned:
    """A file of a source, and whose images it has, or whom it names.

    Attributes:
        name: its path from the source's folder, with `/`; the file need not be there.
        subjects: whose.
        is_table: it has no images, and names the people of all others.
    """

    name: str
    subjects: frozenset[str]
    is_table: bool = False


@dataclass(frozen=True)
class Listing:
    """N images as their source names them, none of them read yet.

    Attributes:
        keys: (N,) the source's own names, unique.
        labels: (N,) int64 positions in `classes`.
        classes: names of the classes, sorted: whole numbers by value, text by its characters.
        subject_ids: (N,) whose images they are; None where the source names no subjects.
        open_images: yields, for ascending positions, a function that opens the image there: a PIL image, or an array
            (H, W) or (H, W, C) of uint8, or of float32 in [0, 1].
        problems: what was found that cannot be used, one line each; it is not among the N.
        absent: those of the problems that are images which are not there.
    """

    keys: list[str]
    labels: "npt.NDArray[np.int64]"
    classes: list[str]
    subject_ids: "npt.NDArray[np.str_] | None"
    open_images: Callable[["npt.NDArray[np.int64]"], Iterator[Opener]]
    problems: list[str] = field(default_factory=list)
    absent: list[Absent] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def absent_keys(self) -> list[str]:
        """The names of the images that are not there."""
        return [one.key for one in self.absent]

    def excuse(self, is_erased: Callable[[str], bool]) -> "Listing":
        """Returns the listing without the problem that images of people who are erased are not there."""
        excused = [one for one in self.absent if is_erased(one.subject)]
        lines = {one.problem for one in excused}
        return replace(self, problems=[problem for problem in self.problems if problem not in lines], absent=excused)


def check_options(params: DataParams) -> None:
    """Refuses a source that nobody knows, and options that the source does not take.

    Raises:
        ValueError: no source has this name, or an option is unknown, missing or mistyped.
    """
    if params.source not in SOURCES:
        raise ValueError(f"data.source: unknown source '{params.source}'; known are {', '.join(SOURCES)}")
    parse_part(import_module(SOURCES[params.source]).Options, params.options, "data", "options")


def list_source(name: str, root: Path | None, options: dict[str, Any]) -> Listing:
    """Returns what the source called `name` has in the folder `root`.

    Raises:
        InputError: the folder is not there, or not such a source at all.
    """
    module = import_module(SOURCES[name])
    listing: Listing = module.list_images(root, module.Options.model_validate(options))
    return listing


def list_owned(name: str, root: Path, names: Collection[str], options: dict[str, Any]) -> list[Owned] | None:
    """Returns whose each file of a source is; None where it has no files of single people, or names nobody.

    Args:
        name: of the source.
        root: its folder; of images none need be there.
        names: of its files.
        options: `data.options`.

    Raises:
        InputError: the folder is not such a source.
    """
    module: Any = import_module(SOURCES[name])
    if not hasattr(module, "list_owned"):
        return None
    found: list[Owned] | None = module.list_owned(root, names, module.Options.model_validate(options))
    return found


def list_tables(name: str) -> list[str]:
    """Returns the files of which one alone says whose all others of a source are; none where no file does."""
    return list(getattr(import_module(SOURCES[name]), "COLUMNS", ()))


def require_folder(root: Path | None) -> Path:
    """Returns the folder that a source reads.

    Raises:
        InputError: none is named, or it is not there.
    """
    if root is None:
        raise InputError("params.yaml: data.root: name the folder of the source's files")
    if not root.is_dir():
        raise InputError(f"params.yaml: data.root: there is no folder {root}")
    return root


def build_listing(
    rows: Sequence[Row],
    open_rows: Callable[["npt.NDArray[np.int64]"], Iterator[Opener]],
    problems: list[str],
    class_names: Sequence[str] | None = None,
    absent: Sequence[Absent] = (),
) -> Listing:
    """Returns the listing of the rows that can be used, and adds a problem for each of the others.

    Args:
        rows: in the source's order.
        open_rows: as `open_images`, for positions in `rows`.
        problems: what the source has found itself.
        class_names: by label, where labels are numbers and the source has names for them.
        absent: those of the problems that are images which are not there.
    """
    import numpy as np

    found, seen = list(problems), set[str]()
    usable: list[int] = []
    for position, row in enumerate(rows):
        if fault := "comes twice" if row.key in seen else _find_fault(row):
            found.append(f"{row.key} {fault}")
        else:
            usable.append(position)
        seen.add(row.key)
    places, kept = np.array(usable, dtype=np.int64), [rows[position] for position in usable]
    labels: Any = [row.label for row in kept]
    if not all(isinstance(label, int) for label in labels):
        labels = _unite_spellings([str(label) for label in labels])
    classes, positions = np.unique(np.array(labels), return_inverse=True)
    subjects = _unite_spellings([row.subject or "" for row in kept])
    has_subjects = any(row.subject is not None for row in kept)
    return Listing(
        keys=[row.key for row in kept],
        labels=positions.astype(np.int64).reshape(-1),
        classes=[str(name) if class_names is None else class_names[int(name)] for name in classes],
        subject_ids=np.array(subjects, dtype=np.str_) if has_subjects else None,
        open_images=lambda wanted: open_rows(places[wanted]),
        problems=found,
        absent=list(absent),
    )


def _find_fault(row: Row) -> str:
    if row.label is None or row.label == "":
        return "has no label"
    if row.subject is None:
        return ""
    if not row.subject:
        return "has no subject"
    fault = find_fault(row.subject)
    return f"has a subject id with {fault}" if fault else ""


def _unite_spellings(names: list[str]) -> list[str]:
    """Returns the names of people, or of classes, with one spelling each: theirs, or of several the composed one."""
    spellings: dict[str, set[str]] = {}
    for name in names:
        spellings.setdefault(normalise(name), set()).add(name)
    return [name if len(spellings[composed := normalise(name)]) == 1 else composed for name in names]


def read_owner(text: str) -> str:
    """Returns the id that stands in a table of a source, without the blanks around it."""
    return text.strip(BLANKS)


def raise_problems(problems: Sequence[str]) -> None:
    """Refuses a source with images that cannot be used.

    Raises:
        SourceError: there are problems; the line names the first of them and how many there are.
    """
    if not problems:
        return
    more = f"; and {len(problems) - MAX_SHOWN} more" if len(problems) > MAX_SHOWN else ""
    found = tell_count(len(problems), "problem")
    told = f"params.yaml: data.root: {found} in the source"
    raise SourceError(f"{told}: {'; '.join(problems[:MAX_SHOWN])}{more}", told)
