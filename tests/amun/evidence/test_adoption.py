"""A base trained elsewhere: what of it is taken, what is refused, and what speaks against it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from amun.core.errors import InputError
from amun.core.params import ModelParams
from amun.evidence.adoption import Adopted, judge_adopted, require_accuracy
from amun.model.architectures import build_model
from amun.model.foreign_weights import load_foreign_weights
from amun.model.weights import save_weights
from tests.amun.shipped import PARAMS, copy_weights, have_same_weights


def build(seed: int, **options: Any) -> nn.Module:
    model = PARAMS.model
    return build_model(model.model_copy(update={"options": model.options | options}), 10, (1, 8, 8), seed)


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


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod.", "model.module."])
def test_prefix_of_a_wrapper_is_left_out(prefix: str, tmp_path: Path) -> None:
    theirs, model, path = build(1), build(2), tmp_path / "weights.safetensors"
    save_file({prefix + name: tensor for name, tensor in network_of(theirs).state_dict().items()}, path)
    assert load_foreign_weights(path, model, "theirs") == prefix
    assert have_same_weights(copy_weights(model), copy_weights(theirs))


def test_count_of_batches_may_be_any_plain_number(tmp_path: Path) -> None:
    resnet = ModelParams(name="m", architecture="small_resnet", options={"widths": [4]})
    path = tmp_path / "weights.safetensors"
    for dtype in (torch.float32, torch.int32):
        theirs, model = (build_model(resnet, 10, (1, 8, 8), seed) for seed in (1, 2))
        counts = [name for name in network_of(theirs).state_dict() if name.endswith("num_batches_tracked")]
        weights = network_of(theirs).state_dict()
        save_file(weights | {name: torch.tensor(7, dtype=dtype) for name in counts}, path)
        load_foreign_weights(path, model, "theirs")
        assert {int(model.state_dict()[f"1.{name}"]) for name in counts} == {7}


def test_normalisation_of_a_version_of_ours_must_be_that_of_the_options(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(path, build(1, mean=[0.25], std=[0.5]))
    model = build(2, mean=[0.25], std=[0.5])
    assert load_foreign_weights(path, model, "ours") == ""
    with pytest.raises(InputError, match=r"normalised otherwise than model.options says; it has mean: \[0.25\], std:"):
        load_foreign_weights(path, build(2, mean=[0.5], std=[0.5]), "ours")
    with pytest.raises(InputError, match=r"of another shape: 0.mean is \(1, 1, 1\), expected \(\)"):
        load_foreign_weights(path, build(2), "ours")


def rename(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"net.{name}": tensor for name, tensor in weights.items()}


def wrap_other(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"module.{name}": tensor for name, tensor in weights.items() if name != "0.bias"}


def average(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"module.{name}": tensor for name, tensor in weights.items()} | {"n_averaged": torch.tensor(3)}


def change_bias(dtype: torch.dtype) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda weights: weights | {"0.bias": weights["0.bias"].to(dtype)}


def overflow(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return weights | {"0.bias": torch.full_like(weights["0.bias"], 1e300, dtype=torch.float64)}


def widen(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return weights | {"0.weight": torch.zeros(5, 1, 3, 3)}


def spoil(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return weights | {"0.bias": torch.full_like(weights["0.bias"], torch.nan)}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (rename, r"missing: 0.bias, 0.weight, 2.bias and \d+ more; unexpected: net.0.bias, .* and \d+ more$"),
        (
            wrap_other,
            r"missing: .*; every name begins with module., a wrapper's prefix, and behind it is another network",
        ),
        (average, r"missing: .*; all of the network is there behind the prefix module., beside others: save it alone"),
        *(
            (change_bias(dtype), rf"no plain numbers of 16, 32 or 64 bits: 0.bias is {name}; what a quantised network")
            for name, dtype in (
                ("float8_e4m3fn", torch.float8_e4m3fn),
                ("float8_e5m2", torch.float8_e5m2),
                ("int8", torch.int8),
                ("uint8", torch.uint8),
                ("int64", torch.int64),
                ("bool", torch.bool),
                ("complex64", torch.complex64),
            )
        ),
        (overflow, r"not finite: 0.bias"),
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


def judge(on_train: float, on_held_out: float) -> str:
    return judge_adopted((on_train, on_held_out), 900, 450, 0.1, "theirs")


def test_more_accurate_on_what_it_was_trained_on_is_as_it_should_be() -> None:
    assert judge(1.0, 0.95) == ""
    assert judge(0.6, 0.4) == ""


@pytest.mark.parametrize(("on_train", "on_held_out"), [(0.95, 0.95), (0.95, 0.94), (0.94, 0.97), (1.0, 1.0)])
def test_no_more_accurate_than_noise_allows_is_a_warning(on_train: float, on_held_out: float) -> None:
    assert "may not hold what it was trained on" in judge(on_train, on_held_out)


@pytest.mark.parametrize("on_train", [0.0, 0.1, 0.116])
def test_chance_is_refused(on_train: float) -> None:
    with pytest.raises(InputError, match="no better than chance"):
        judge(on_train, 0.1)
    assert judge(0.12, 0.1)


@pytest.mark.parametrize(
    ("said", "found", "num_held_out", "is_refused"),
    [
        (1.0, 0.5, 280, True),
        (0.93, 0.88, 5000, True),
        (1.0, 0.99, 280, False),
        (0.93, 0.91, 500, False),
        (0.8, 0.95, 500, False),
        (1.0, 1.0, 20, False),
        (0.0, 0.0, 20, False),
        (None, 0.1, 5000, False),
    ],
)
def test_base_clearly_worse_than_its_owner_says_is_refused(
    said: float | None, found: float, num_held_out: int, *, is_refused: bool
) -> None:
    adopted = Adopted(source="theirs", digest="", accuracy=said)
    if not is_refused:
        require_accuracy(adopted, found, num_held_out)
        return
    with pytest.raises(InputError, match=rf"{found:.1%}, clearly below the {said:.1%} of --accuracy .* standard error"):
        require_accuracy(adopted, found, num_held_out)
