"""Weights that were saved elsewhere, checked against an architecture."""

from pathlib import Path

from torch import Tensor, nn

from amun.core.errors import InputError
from amun.model.architectures import read_weights

MAX_NAMED = 3
EXPORT = 'safetensors.torch.save_file(network.state_dict(), "weights.safetensors")'


def load_foreign_weights(path: Path, model: nn.Module, source: str) -> None:
    """Reads weights saved elsewhere into a model of `build_model`.

    Args:
        path: a safetensors file; its tensors are named as the network alone names them, or as a version of this
            project does.
        model: the normalisation, and the network behind it.
        source: what to call the file.

    Raises:
        InputError: no safetensors file, tensors are missing, unexpected or of another shape, or not all finite.
    """
    if path.suffix != ".safetensors":
        raise InputError(f"--base {source}: only safetensors files are read, never a pickle; write one with {EXPORT}")
    weights, expected = read_weights(path), model.state_dict()
    own = {name: tensor for name, tensor in expected.items() if name.startswith("0.")}
    prefix = "" if own.keys() <= weights.keys() else "1."
    found = weights if not prefix else own | {prefix + name: tensor for name, tensor in weights.items()}
    if differences := _describe_differences(expected, found, prefix):
        raise InputError(f"--base {source}: not of model.architecture and model.options: {differences}")
    if faulty := sorted(name for name, tensor in found.items() if not tensor.isfinite().all()):
        raise InputError(f"--base {source}: weights that are not finite: {_name(faulty, prefix)}")
    model.load_state_dict(found)


def _describe_differences(expected: dict[str, Tensor], found: dict[str, Tensor], prefix: str) -> str:
    missing, unexpected = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    other = [
        f"{name.removeprefix(prefix)} is {tuple(found[name].shape)}, expected {tuple(expected[name].shape)}"
        for name in sorted(expected.keys() & found.keys())
        if found[name].shape != expected[name].shape
    ]
    parts = {"missing": missing, "unexpected": unexpected, "of another shape": other}
    return "; ".join(f"{what}: {_name(names, prefix)}" for what, names in parts.items() if names)


def _name(names: list[str], prefix: str) -> str:
    shown = ", ".join(name.removeprefix(prefix) for name in names[:MAX_NAMED])
    return shown + (f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else "")
