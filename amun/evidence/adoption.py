"""A base that was trained elsewhere: what is recorded of it, and whether it fits the sample store."""

import hashlib
import math
import re
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from amun.core.errors import AmunError, InputError
from amun.core.paths import ADOPTED
from amun.evidence.wave import CURRENT, Record

ONE_SIDED_95 = 1.645  # standard errors
SCHEME, SUFFIX = "models:/", ".safetensors"
EXPORT = 'safetensors.torch.save_file(network.state_dict(), "weights.safetensors")'
_VERSION = re.compile(r"models:/(?P<name>[^/@]+)(@(?P<alias>[^/@]+)|/(?P<version>\d+))")
# to refuse a base for an accuracy that its owner says: wrong about one sound base in a thousand
ONE_SIDED_999 = 3.09


class Adopted(Record):
    """Where an adopted base comes from.

    Attributes:
        source: `models:/NAME/VERSION`, or the file's name.
        digest: the SHA-256 of the file as it was given.
        name: of the registered model; None for a file.
        version: of the registered model; None for a file.
        accuracy: 0 to 1, on images that it was not trained on, as its owner says; None where an earlier version of this
            project did not ask.
    """

    source: str
    digest: str
    name: str | None = None
    version: int | None = None
    accuracy: float | None = None


def require_source(root: Path, source: str) -> "re.Match[str] | None":
    """Returns name and alias or version of a base in MLflow; None for a file, which must be there.

    Args:
        root: a relative file name starts there.
        source: what `--base` names.

    Raises:
        InputError: it is neither.
    """
    if source.startswith(SCHEME):
        if named := _VERSION.fullmatch(source):
            return named
        raise InputError(f"--base {source}: write {SCHEME}NAME@alias or {SCHEME}NAME/VERSION")
    if not (root / source).is_file():
        raise InputError(f"--base {source}: there is no such file; a version in MLflow is {SCHEME}NAME@alias")
    require_safetensors(Path(source), source)
    return None


def require_safetensors(path: Path, source: str) -> None:
    """Refuses a file of weights by its name: another format can run code when it is loaded.

    Args:
        path: the file.
        source: what to call it.

    Raises:
        InputError: it does not end in `.safetensors`.
    """
    if path.suffix != SUFFIX:
        raise InputError(f"--base {source}: only safetensors files are read, never a pickle; write one with {EXPORT}")


def read_adopted(workspace: Path = CURRENT) -> Adopted | None:
    """Returns where the workspace's base was adopted from; None where it was trained here.

    Raises:
        AmunError: the file that says so is damaged.
    """
    path = workspace / ADOPTED
    if not path.exists():
        return None
    try:
        adopted: Adopted | None = TypeAdapter(Adopted | None).validate_json(path.read_text(encoding="utf-8"))
    except ValidationError:
        raise AmunError(f"{path} is damaged; restore it from git") from None
    return adopted


def digest_file(path: Path) -> str:
    """Returns the SHA-256 of a file, as `sha256sum` prints it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_accuracy(adopted: Adopted, on_held_out: float, num_held_out: int) -> None:
    """Refuses a base that is clearly worse here than its owner says: it is not given what it was trained for.

    The owner's figure is taken for one of as many images as are held out here.

    Args:
        adopted: the base.
        on_held_out: its accuracy on held-out samples, 0 to 1.
        num_held_out: how many.

    Raises:
        InputError: it is clearly worse.
    """
    if adopted.accuracy is None:
        return
    both = (adopted.accuracy + on_held_out) / 2
    error = math.sqrt(2 * both * (1 - both) / num_held_out)
    if adopted.accuracy - on_held_out > ONE_SIDED_999 * error:
        raise InputError(
            f"--base {adopted.source}: its accuracy on {num_held_out} held-out samples is {on_held_out:.1%}, clearly "
            f"below the {adopted.accuracy:.1%} of --accuracy (the difference has a standard error of {error:.1%}); are "
            "the pixels normalised otherwise (mean and std in model.options), the images made alike otherwise "
            "(data.images), or the classes in another order?"
        )


def judge_adopted(
    accuracies: tuple[float, float], num_train: int, num_held_out: int, chance: float, source: str
) -> str:
    """Returns what speaks against the store's training samples being those of an adopted base; empty if nothing.

    Args:
        accuracies: on the store's training samples and on held-out ones, 0 to 1.
        num_train: how many training samples.
        num_held_out: how many held-out samples.
        chance: the accuracy on training samples of always giving their most frequent label.
        source: of the base.

    Raises:
        InputError: on the training samples the base is no better than chance.
    """
    on_train, on_held_out = accuracies
    if on_train - chance <= ONE_SIDED_95 * math.sqrt(chance * (1 - chance) / num_train):
        raise InputError(
            f"--base {source}: its accuracy on the training samples is {on_train:.1%}, no better than chance "
            f"({chance:.1%}); are the classes in another order, or the pixels normalised otherwise (mean and std in "
            "model.options)?"
        )
    overall = (on_train * num_train + on_held_out * num_held_out) / (num_train + num_held_out)
    noise = ONE_SIDED_95 * math.sqrt(overall * (1 - overall) * (1 / num_train + 1 / num_held_out))
    if on_train - on_held_out > noise:
        return ""
    return (
        f"{source} is not more accurate on the training samples ({on_train:.1%}) than on held-out ones "
        f"({on_held_out:.1%}): the store may not hold what it was trained on, and the audit would then judge nothing"
    )
