"""A base that was trained elsewhere: what is recorded of it, and whether it fits the sample store."""

import hashlib
import math
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from amun.core.errors import AmunError, InputError
from amun.core.paths import ADOPTED
from amun.evidence.wave import CURRENT, Record

ONE_SIDED_95 = 1.645  # standard errors


class Adopted(Record):
    """Where an adopted base comes from.

    Attributes:
        source: `models:/NAME/VERSION`, or the file's name.
        digest: the SHA-256 of the file as it was given.
        name: of the registered model; None for a file.
        version: of the registered model; None for a file.
    """

    source: str
    digest: str
    name: str | None = None
    version: int | None = None


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


def judge_adopted(
    accuracies: tuple[float, float], num_train: int, num_held_out: int, chance: float, source: str
) -> str | None:
    """Returns what speaks against the store's training samples being those of an adopted base; None if nothing.

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
            f"({chance:.1%}); are the classes in another order, or the pixels normalised otherwise?"
        )
    overall = (on_train * num_train + on_held_out * num_held_out) / (num_train + num_held_out)
    noise = ONE_SIDED_95 * math.sqrt(overall * (1 - overall) * (1 / num_train + 1 / num_held_out))
    if on_train - on_held_out > noise:
        return None
    return (
        f"{source} is not more accurate on the training samples ({on_train:.1%}) than on held-out ones "
        f"({on_held_out:.1%}): the store may not hold what it was trained on, and the audit would then judge nothing"
    )
