"""A model's weights in safetensors, sealed under a key of their own wherever samples are sealed."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from amun.core.counts import tell_count
from amun.core.errors import InputError
from amun.core.files import replace_file
from amun.core.params import Params
from amun.core.paths import TRAIN
from amun.store.rows import is_sealed
from amun.vault.sealed_weights import WeightsSeal, read_plain
from amun.vault.vault import open_vault


def open_weights_seal(params: Params, wave: int | None = None) -> WeightsSeal | None:
    """Returns the seal of what a stage learns from the training samples here; None where these lie in clear.

    Args:
        params: name the model.
        wave: whose attempt is sealed; None for a base and its references.
    """
    return WeightsSeal(open_vault(), params.model.name, wave) if is_sealed(TRAIN) else None


def save_weights(path: Path, model: nn.Module, seal: WeightsSeal | None = None) -> None:
    """Writes the model's weights and buffers as safetensors, whole or not at all."""
    write_weights(path, copy_weights(model), seal)


def copy_weights(model: nn.Module) -> dict[str, Tensor]:
    """Returns copies of the weights and buffers, on the CPU: safetensors refuses those that two layers share."""
    return {name: tensor.cpu().contiguous().clone() for name, tensor in model.state_dict().items()}


def write_weights(path: Path, weights: dict[str, Tensor], seal: WeightsSeal | None = None) -> None:
    """Writes tensors by name as safetensors, whole or not at all.

    Args:
        path: of the file.
        weights: the tensors; where there are none there is nothing to seal.
        seal: what seals them; None leaves them in clear.
    """
    plain = save(weights)
    with replace_file(path) as unfinished:
        unfinished.write_bytes(seal.seal(plain) if seal is not None and weights else plain)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Returns the tensors of a safetensors file by name.

    Raises:
        InputError: there is no such file, or it is no safetensors file.
        ErasedWeightsError: they are sealed, and the key store has no key of theirs.
        AmunError: they are not what was sealed.
    """
    try:
        weights: dict[str, Tensor] = load(read_plain(path))
    except FileNotFoundError:
        raise InputError(f"{path}: not found; produce it first or fetch it with the data") from None
    except SafetensorError as error:
        raise InputError(f"{path}: no readable safetensors file ({error}); fetch or produce it again") from None
    return weights


def load_weights(path: Path, model: nn.Module) -> None:
    """Reads what `save_weights` wrote into a model of the same architecture.

    Raises:
        InputError: there is no such file, it is no safetensors file, or it holds another architecture's weights.
    """
    set_weights(path, read_weights(path), model)


def set_weights(path: Path, weights: dict[str, Tensor], model: nn.Module) -> None:
    """Puts weights read from `path` into a model of the same architecture.

    Raises:
        InputError: they are another architecture's.
    """
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    found = {name: tensor.shape for name, tensor in weights.items()}
    differing = sorted(name for name in expected | found if expected.get(name) != found.get(name))
    if differing:
        raise InputError(
            f"{path}: weights of another architecture ({tell_count(len(differing), 'tensor')} not alike, first "
            f"{differing[0]}); use the model.architecture and model.options it was trained with"
        )
    model.load_state_dict(weights)
