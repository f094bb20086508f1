"""The target references themselves, where `references.keep_weights` keeps them: the weights of all in one file."""

from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor, nn

from amun.core.errors import AttemptError
from amun.core.paths import TARGET_WEIGHTS
from amun.model.weights import read_weights, set_weights, write_weights
from amun.vault.sealed_weights import ErasedWeightsError, WeightsSeal


def save_references(references: Sequence[dict[str, Tensor]], seal: WeightsSeal | None = None) -> None:
    """Writes the weights of the references, perhaps of none, in their order, under one key."""
    named = {
        f"{number}/{name}": tensor for number, weights in enumerate(references) for name, tensor in weights.items()
    }
    write_weights(TARGET_WEIGHTS, named, seal)


def open_references(build: Callable[[], nn.Module], num_references: int) -> Callable[[int], nn.Module]:
    """Returns what loads a reference by its number, from 0, in eval mode.

    Args:
        build: returns a freshly initialised model on the device to compute on.
        num_references: how many there are to be.

    Raises:
        AttemptError: the weights of so many were not kept, or are erased.
    """
    try:
        named = read_weights(TARGET_WEIGHTS)
    except ErasedWeightsError:
        raise AttemptError(
            "the target references' weights are erased, for they learned people who are; `amun base rebuild` builds a "
            "base that keeps new ones"
        ) from None
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
    """Returns of how many references a file holds the weights; of none once these are erased."""
    try:
        return _count(read_weights(path))
    except ErasedWeightsError:
        return 0


def _count(named: dict[str, Tensor]) -> int:
    return len({name.partition("/")[0] for name in named})
