"""The labelled image sets that torchvision knows, by the name of their class: `CIFAR10`, `SVHN`, `FashionMNIST` ..."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from amun.core.errors import InputError, SourceError, join_lines
from amun.core.network import bound_sockets
from amun.core.params import Section
from amun.store.sources.catalogue import AbsentError, Listing, Opener, Row, build_listing
from amun.store.sources.walk import list_files

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# where a data set keeps all labels, so that no image must be read for them
LABEL_ATTRIBUTES = ("targets", "labels", "_labels")


class Options(Section):
    """Which set.

    Attributes:
        name: of the class in `torchvision.datasets`.
        parts: the arguments with which the class is called for each part to be read, as its documentation lists them:
            `[{train: true}, {train: false}]`, `[{split: train}, {split: test}]`; `[{}]` where there are no parts.
        download: let torchvision download what is not in the folder.
    """

    name: str
    parts: Annotated[tuple[dict[str, Any], ...], Field(strict=False, min_length=1)]
    download: bool


def list_images(root: Path | None, options: Options) -> Listing:
    """Returns the images of all parts, one after the other.

    Raises:
        InputError: torchvision has no such set, it is not in the folder, or it has no single label for an image.
    """
    if root is None:
        raise InputError("params.yaml: data.root: name the folder in which torchvision keeps its data sets")
    parts = [_load_part(root, options, arguments) for arguments in options.parts]
    rows: list[Row] = []
    places: list[tuple[Any, int]] = []
    for number, part in enumerate(parts):
        labels = _read_labels(part, options.name)
        positions = _find_walked(part, len(labels))
        rows += [Row(f"{number}/{position}", labels[position], None) for position in positions]
        places += [(part, position) for position in positions]

    def open_images(positions: "npt.NDArray[np.int64]") -> Iterator[Opener]:
        return (partial(_open_image, *places[position]) for position in positions)

    highest = max((row.label for row in rows if isinstance(row.label, int)), default=-1)
    names = [str(name) for name in getattr(parts[0], "classes", ())]
    return build_listing(rows, open_images, [], names if len(set(names)) == len(names) > highest else None)


def _load_part(root: Path, options: Options, arguments: dict[str, Any]) -> Any:
    from torchvision import datasets

    if options.name not in datasets.__all__:
        raise InputError(f"params.yaml: data.options.name: torchvision.datasets has no class {options.name}")
    extra = {"download": True} if options.download else {}
    try:
        # what is told of a download is no output of a command
        with redirect_stdout(sys.stderr), bound_sockets() if options.download else nullcontext():
            return getattr(datasets, options.name)(str(root), **arguments, **extra)
    except (TypeError, ValueError, ImportError) as error:
        told = f"params.yaml: data.options: {options.name}"
        raise SourceError(f"{told}: {join_lines(error)}", f"{told} refuses: {type(error).__name__}") from None
    except (RuntimeError, OSError) as error:
        told = f"params.yaml: data.root: {options.name} cannot be read from {root}"
        raise AbsentError(f"{told}: {join_lines(error)}", f"{told} ({type(error).__name__})") from None


def _find_walked(part: Any, num_images: int) -> Sequence[int]:
    """Returns the positions of a set's images; of one that walks a folder, those that every other source would find."""
    from torchvision.datasets import DatasetFolder

    if not isinstance(part, DatasetFolder):
        return range(num_images)
    folder = Path(part.root)
    found = {str(folder / name) for name in list_files(folder)}
    return [position for position, (path, _) in enumerate(part.samples) if path in found]


def _read_labels(part: Any, name: str) -> list[int]:
    kept = next((getattr(part, attribute) for attribute in LABEL_ATTRIBUTES if hasattr(part, attribute)), None)
    try:
        labels = kept if kept is not None else [part[position][1] for position in range(len(part))]
        return [int(label) for label in labels]
    except (TypeError, ValueError, IndexError, RuntimeError):
        raise InputError(f"params.yaml: data.options.name: {name} has no single label for each image") from None


def _open_image(part: Any, position: int) -> Any:
    return part[position][0]
