"""Weights that were saved elsewhere, checked against an architecture."""

from itertools import chain, product
from pathlib import Path

import torch
from torch import Tensor, nn

from amun.core.errors import InputError
from amun.evidence.adoption import EXPORT, require_safetensors
from amun.model.weights import read_weights

MAX_NAMED = 3
# what DataParallel, torch.compile and Lightning put before a network's own names, one in another too
WRAPPERS = ("module.", "_orig_mod.", "model.")
PREFIXES = tuple("".join(parts) for parts in chain(product(WRAPPERS), product(WRAPPERS, repeat=2)))
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
OWN, NETWORK = "0.", "1."  # the normalisation, and the network behind it

Weights = dict[str, Tensor]


def load_foreign_weights(path: Path, model: nn.Module, source: str) -> str:
    """Reads weights saved elsewhere into a model of `build_model`; returns the prefix that was left out, if any.

    Args:
        path: a safetensors file; its tensors are named as the network alone names them, perhaps behind the prefix of a
            wrapper, or as a version of this project does.
        model: the normalisation, and the network behind it.
        source: what to call the file.

    Raises:
        InputError: no safetensors file; tensors are missing, unexpected, of another shape, no plain numbers, or not all
            finite; or a version of this project with another normalisation.
    """
    require_safetensors(path, source)
    weights, expected = read_weights(path), model.state_dict()
    own = {name: tensor for name, tensor in expected.items() if name.startswith(OWN)}
    is_ours = own.keys() <= weights.keys()
    prefix = "" if is_ours else NETWORK
    wrapper, named = ("", weights) if is_ours else _unwrap(weights, _list_network(expected))
    found = named if is_ours else own | {prefix + name: tensor for name, tensor in named.items()}
    if differences := _describe_differences(expected, found, prefix):
        hint = "" if is_ours else _suggest_prefix(weights, _list_network(expected))
        raise InputError(f"--base {source}: not of model.architecture and model.options: {differences}{hint}")
    if other := [name for name in sorted(found) if not _is_plain(found[name], expected[name])]:
        shown = _name([f"{name} is {str(found[name].dtype).removeprefix('torch.')}" for name in other], prefix)
        raise InputError(
            f"--base {source}: no plain numbers of 16, 32 or 64 bits: {shown}; what a quantised network keeps means "
            "nothing without its scales: save the network before it is quantised"
        )
    widened = {name: tensor.to(expected[name].dtype) for name, tensor in found.items()}
    if faulty := sorted(name for name, tensor in widened.items() if not tensor.isfinite().all()):
        raise InputError(f"--base {source}: weights that are not finite: {_name(faulty, prefix)}")
    if not all(torch.equal(widened[name], tensor) for name, tensor in own.items()):
        told = ", ".join(f"{name.removeprefix(OWN)}: {widened[name].flatten().tolist()}" for name in sorted(own))
        raise InputError(f"--base {source}: normalised otherwise than model.options says; it has {told}")
    model.load_state_dict(widened)
    return wrapper


def _list_network(expected: Weights) -> set[str]:
    return {name.removeprefix(NETWORK) for name in expected if not name.startswith(OWN)}


def _unwrap(weights: Weights, network: set[str]) -> tuple[str, Weights]:
    """Returns the prefix that stands before every name, if what is behind it is the network and nothing else."""
    for prefix in PREFIXES:
        if weights.keys() == {prefix + name for name in network}:
            return prefix, {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    return "", weights


def _suggest_prefix(weights: Weights, network: set[str]) -> str:
    """Returns what to do where a wrapper's prefix is part of what is wrong; empty where it is not."""
    for prefix in PREFIXES:
        if {prefix + name for name in network} <= weights.keys():
            return f"; all of the network is there behind the prefix {prefix}, beside others: save it alone ({EXPORT})"
    if prefix := next((prefix for prefix in WRAPPERS if all(name.startswith(prefix) for name in weights)), ""):
        return f"; every name begins with {prefix}, a wrapper's prefix, and behind it is another network"
    return ""


def _is_plain(found: Tensor, expected: Tensor) -> bool:
    """Tells whether a tensor holds its values themselves; what counts batches may be whole numbers."""
    is_whole = not (found.is_floating_point() or found.is_complex())
    return found.dtype in FLOATS or (is_whole and not expected.is_floating_point())


def _describe_differences(expected: Weights, found: Weights, prefix: str) -> str:
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
