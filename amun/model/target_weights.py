"""The target references themselves, where `references.keep_weights` keeps them: the weights of all in one file."""

from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor, nn

from amun.core.errors import AttemptError
from amun.core.paths import TARGET_WEIGHTS
from amun.model.architectures import read_weights, set_weights, write_weights


def save_references(references: Sequence[dict[str, Tensor]]) -> None:
    """Writes the weights of the references, perhaps of none, in their order."""
    named = {
        f"{number}/{name}": tensor for number, weights in enumerate(references) for name, tensor in weights.items()
    }
    write_weights(TARGET_WEIGHTS, named)


def open_references(build: Callable[[], nn.Module], num_references: int) -> Callable[[int], nn.Module]:
    """Returns what loads a reference by its number, from 0, in eval mode.

    Args:
        build: returns a freshly initialised model on the device to compute on.
        num_references: how many there are to be.

    Raises:
        AttemptError: the weights of so many were not kept.
    """
    named = read_weights(TARGET_WEIGHTS)
    if _count(named) != num_references:
        raise AttemptError(
            "the target references' weights were not kept when the base was built (references.keep_weights); "
            "`amun base rebuild` builds one that keeps them"
        )

    def load(number: int) -> nn.Module:
        prefix, model = f"{number}/", build()
        weights = {name.removeprefix(prefix): named[name] for name in named if name.startswith(prefix)}
        set_weights(TARGET_WEIGHTS, weights, model)
        return model.eval()

    return load


def count_references(path: Path) -> int:
    """Returns of how many references a file holds the weights."""
    return _count(read_weights(path))


def _count(named: dict[str, Tensor]) -> int:
    return len({name.partition("/")[0] for name in named})
