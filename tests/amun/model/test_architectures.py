"""Models: any architecture by name, repeatable, and their weights on disk."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from amun.core.errors import InputError
from amun.core.params import ModelParams
from amun.model.architectures import build_model
from tests.amun.shipped import PARAMS, copy_weights, have_same_weights
from tests.readme import read_blocks

GREY = (1, 8, 8)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Works outside the project: a user's code in a workspace must lie in its `custom/`."""
    monkeypatch.chdir(tmp_path)


def build(architecture: str, shape: tuple[int, int, int] = GREY, seed: int = 0, **options: Any) -> nn.Module:
    return build_model(ModelParams(name="m", architecture=architecture, options=options), 10, shape, seed)


def find_stem(model: nn.Module) -> nn.Conv2d:
    return next(layer for layer in model.modules() if isinstance(layer, nn.Conv2d))


def count_max_pools(model: nn.Module) -> int:
    return sum(isinstance(layer, nn.MaxPool2d) for layer in model.modules())


def test_the_seed_decides_the_weights_and_the_global_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    first, again, other = (copy_weights(build_model(PARAMS.model, 10, GREY, seed)) for seed in (3, 3, 4))
    assert have_same_weights(first, again)
    assert not have_same_weights(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_images_are_normalised_inside_the_model() -> None:
    model = build("tests.amun.user_models:build_linear", has_bias=False)
    assert model(torch.full((1, *GREY), 0.5)).abs().max() == 0
    torch.testing.assert_close(model(torch.ones(1, *GREY)), -model(torch.zeros(1, *GREY)))


TYPED = yaml.safe_load(read_blocks("models.md#input-normalisation", "yaml")[0])["model"]
IMAGENET: dict[str, Any] = TYPED["options"]


def test_network_of_the_page_is_built_with_its_normalisation() -> None:
    model = build(TYPED["architecture"], (3, 32, 32), **IMAGENET)
    first = next(model.children())
    assert [tensor.flatten().tolist() for tensor in first.buffers()] == [
        pytest.approx(IMAGENET["mean"]),
        pytest.approx(IMAGENET["std"]),
    ]


@pytest.mark.parametrize(
    ("architecture", "options"), [("small_cnn", {"channels": [4]}), ("small_resnet", {"widths": [4]}), ("resnet18", {})]
)
def test_built_in_architectures_take_the_mean_and_deviation_of_their_input(
    architecture: str, options: dict[str, Any]
) -> None:
    model = build(architecture, (3, 64, 64), **options, **IMAGENET).eval()
    assert isinstance(model, nn.Sequential)
    images = torch.rand(2, 3, 64, 64)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in IMAGENET.values())
    torch.testing.assert_close(model(images), model[1]((images - mean) / std))
    plain = build(architecture, (3, 64, 64), **options)
    assert have_same_weights(copy_weights(model[1]), copy_weights(plain[1]))  # type: ignore[index]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mean": IMAGENET["mean"]}, "mean and std stand together"),
        ({"mean": [0.5], "std": [0.5]}, "mean must be a list with a number for each channel of the images: 3"),
        ({"mean": 0.5, "std": 0.5}, "mean must be a list"),
        ({"mean": [0.5] * 3, "std": [0.5, 0.5, 0]}, "std must be above 0"),
        ({"mean": [0.5] * 3, "std": [0.5, True, 1]}, "std must be numbers"),
        ({"mean": [123.7, 116.3, 103.5], "std": [58.4, 57.1, 57.4]}, "mean is that of pixels from 0 to 1: divide"),
    ],
)
def test_normalisation_that_is_none_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=f"model.options: small_cnn refuses .*: {words}"):
        build("small_cnn", (3, 8, 8), channels=[4], **options)


def test_functions_of_ones_own_keep_their_options() -> None:
    model = build("tests.amun.user_models:build_scaled", mean=[3.0], std=2)
    assert (model(torch.zeros(1, *GREY)) == 5).all()


@pytest.mark.parametrize("shape", [GREY, (3, 32, 32)])
@pytest.mark.parametrize("architecture", ["resnet18", "mobilenet_v3_small", "densenet121", "googlenet", "swin_t"])
def test_torchvision_classifiers_take_small_images(architecture: str, shape: tuple[int, int, int]) -> None:
    model = build(architecture, shape).train()
    assert model(torch.rand(2, *shape)).shape == (2, 10)


def test_the_stem_keeps_small_images_whole() -> None:
    small, large = build("resnet18"), build("resnet18", (1, 64, 64))
    assert (find_stem(small).kernel_size, find_stem(small).stride, count_max_pools(small)) == ((3, 3), (1, 1), 0)
    assert (find_stem(large).kernel_size, find_stem(large).stride, count_max_pools(large)) == ((7, 7), (2, 2), 1)
    assert find_stem(small).in_channels == find_stem(large).in_channels == 1
    assert find_stem(small).bias is None


def test_a_vision_transformer_keeps_its_patches() -> None:
    assert find_stem(build("vit_b_16", (3, 32, 32))).kernel_size == (16, 16)


@pytest.mark.parametrize(
    ("architecture", "options", "message"),
    [
        ("resnet81", {}, r"model\.architecture: unknown 'resnet81'; write small_cnn"),
        ("small_cnn", {"channels": [4], "depth": 3}, r"model\.options: small_cnn refuses .*depth"),
        ("small_cnn", {}, r"model\.options: small_cnn refuses .*channels"),
        ("resnet18", {"weights": "DEFAULT"}, r"model\.options: resnet18 refuses .*weights"),
        ("no_such_package:build", {}, r"model\.architecture: cannot import 'no_such_package:build'"),
        ("tests.amun.user_models:build_nothing", {}, r"model\.architecture: cannot import"),
        ("tests.amun.user_models:build_features", {}, r"must return a tensor of shape \(N, 10\)"),
        ("maxvit_t", {}, r"model\.architecture: maxvit_t cannot take images of \(1, 8, 8\)"),
    ],
)
def test_bad_names_and_options_are_named(architecture: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        build(architecture, **options)
    assert "\n" not in str(caught.value)
