"""A base trained elsewhere: what of it is taken, what is refused, and what speaks against it."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from amun.core.errors import InputError
from amun.evidence.adoption import judge_adopted
from amun.model.architectures import build_model, save_weights
from amun.model.foreign_weights import load_foreign_weights
from tests.amun.shipped import PARAMS, copy_weights, have_same_weights


def build(seed: int) -> nn.Module:
    return build_model(PARAMS.model, 10, (1, 8, 8), seed)


def network_of(model: nn.Module) -> nn.Module:
    """Returns the network behind the normalisation: what a user has trained."""
    assert isinstance(model, nn.Sequential)
    return model[1]


@pytest.mark.parametrize("is_ours", [True, False])
def test_weights_are_taken_by_the_networks_names_and_by_ours(is_ours: bool, tmp_path: Path) -> None:
    theirs, model = build(1), build(2)
    path = tmp_path / "weights.safetensors"
    if is_ours:
        save_weights(path, theirs)
    else:
        save_file(network_of(theirs).state_dict(), path)
    load_foreign_weights(path, model, "theirs")
    assert have_same_weights(copy_weights(model), copy_weights(theirs))


def test_half_precision_is_widened(tmp_path: Path) -> None:
    path, model = tmp_path / "weights.safetensors", build(2)
    save_file({name: tensor.half() for name, tensor in network_of(build(1)).state_dict().items()}, path)
    load_foreign_weights(path, model, "theirs")
    assert all(tensor.dtype == torch.float32 for tensor in model.state_dict().values())


def rename(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"module.{name}": tensor for name, tensor in weights.items()}


def widen(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return weights | {"0.weight": torch.zeros(5, 1, 3, 3)}


def spoil(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return weights | {"0.bias": torch.full_like(weights["0.bias"], torch.nan)}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (rename, r"missing: 0.bias, 0.weight, 2.bias and \d+ more; unexpected: module.0.bias, .* and \d+ more"),
        (widen, r"of another shape: 0.weight is \(5, 1, 3, 3\), expected \(32, 1, 3, 3\)"),
        (spoil, r"not finite: 0.bias"),
    ],
)
def test_other_weights_are_refused_in_one_line(change: object, line: str, tmp_path: Path) -> None:
    assert callable(change)
    path, model = tmp_path / "weights.safetensors", build(2)
    save_file(change(network_of(build(1)).state_dict()), path)
    with pytest.raises(InputError, match=rf"--base theirs: .*{line}") as refused:
        load_foreign_weights(path, model, "theirs")
    assert "\n" not in str(refused.value)
    assert have_same_weights(copy_weights(model), copy_weights(build(2)))


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    torch.save(build(1).state_dict(), tmp_path / "weights.pt")
    with pytest.raises(InputError, match=r"never a pickle; write one with safetensors.torch.save_file"):
        load_foreign_weights(tmp_path / "weights.pt", build(2), "weights.pt")


def judge(on_train: float, on_held_out: float) -> str | None:
    return judge_adopted((on_train, on_held_out), 900, 450, 0.1, "theirs")


def test_more_accurate_on_what_it_was_trained_on_is_as_it_should_be() -> None:
    assert judge(1.0, 0.95) is None
    assert judge(0.6, 0.4) is None


@pytest.mark.parametrize(("on_train", "on_held_out"), [(0.95, 0.95), (0.95, 0.94), (0.94, 0.97), (1.0, 1.0)])
def test_no_more_accurate_than_noise_allows_is_a_warning(on_train: float, on_held_out: float) -> None:
    assert "may not hold what it was trained on" in (judge(on_train, on_held_out) or "")


@pytest.mark.parametrize("on_train", [0.0, 0.1, 0.116])
def test_chance_is_refused(on_train: float) -> None:
    with pytest.raises(InputError, match="no better than chance"):
        judge(on_train, 0.1)
    assert judge(0.12, 0.1) is not None
