"""Architectures by name, with the normalisation inside."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from amun.core.custom import import_function
from amun.core.errors import InputError, join_lines
from amun.core.params import ModelParams
from amun.model.normalisation import make_plain, take_normalisation

ImageShape = tuple[int, int, int]
SMALL_IMAGE = 64  # pixels; torchvision's stems shrink images of a lesser height to almost nothing


def build_model(params: ModelParams, num_classes: int, image_shape: ImageShape, seed: int) -> nn.Module:
    """Returns a freshly initialised model on the CPU; the same seed gives the same weights.

    Args:
        params: architecture (`small_cnn`, `small_resnet`, a torchvision classifier or `package.module:function`), and
            its options; of those that are built in `mean` and `std` are of the normalisation in front of it.
        num_classes: width of the output.
        image_shape: (C, H, W) of one image; the model takes (N, C, H, W) float32 in [0, 1], returns (N, num_classes).
        seed: of the initialisation; the global random state is left as it was.

    Raises:
        InputError: unknown architecture, options it does not take, or images it cannot take.
    """
    build = _find_builder(params.architecture)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        try:
            first, options = _take_first(params, image_shape)
            network = build(num_classes=num_classes, image_shape=image_shape, **options)
        except Exception as error:  # a user's function may raise anything
            reason = join_lines(error)
            raise InputError(f"model.options: {params.architecture} refuses {params.options}: {reason}") from error
    if not isinstance(network, nn.Module):
        raise InputError(
            f"model.architecture: {params.architecture} must return a torch.nn.Module, not {type(network).__name__}"
        )
    model = nn.Sequential(first, network)
    _check_output(params.architecture, model, num_classes, image_shape)
    return model


def build_small_cnn(num_classes: int, image_shape: ImageShape, channels: Sequence[int]) -> nn.Module:
    """Returns 3x3 convolutions with ReLU, the second and later ones of stride 2, and a linear layer.

    Args:
        num_classes: width of the output.
        image_shape: (C, H, W).
        channels: width of each convolution.
    """
    layers: list[nn.Module] = []
    for number, (num_inputs, num_outputs) in enumerate(zip([image_shape[0], *channels], channels, strict=False)):
        layers += [nn.Conv2d(num_inputs, num_outputs, 3, stride=1 if number == 0 else 2, padding=1), nn.ReLU()]
    features = nn.Sequential(*layers, nn.Flatten())
    num_features = features(torch.zeros(1, *image_shape)).shape[1]
    return nn.Sequential(*features, nn.Linear(num_features, num_classes))


def build_small_resnet(num_classes: int, image_shape: ImageShape, widths: Sequence[int]) -> nn.Module:
    """Returns a residual network for small images: two blocks of each width, each width at half the resolution.

    Args:
        num_classes: width of the output.
        image_shape: (C, H, W).
        widths: channels of the blocks; the first convolution has those of the first one.
    """
    from torchvision.models.resnet import BasicBlock

    before = widths[0]
    layers: list[nn.Module] = [nn.Conv2d(image_shape[0], before, 3, padding=1, bias=False)]
    layers += [nn.BatchNorm2d(before), nn.ReLU()]
    for number, width in enumerate(widths):
        stride = 1 if number == 0 else 2
        is_same = stride == 1 and width == before
        shortcut = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        layers += [BasicBlock(before, width, stride, None if is_same else shortcut), BasicBlock(width, width)]
        before = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, num_classes))


def build_torchvision(name: str, num_classes: int, image_shape: ImageShape, **options: Any) -> nn.Module:
    """Returns a torchvision classifier without pretrained weights, its stem fitted to the images."""
    is_vit = name.startswith("vit_")  # their patches are part of the architecture, and so is the size of the image
    defaults: dict[str, Any] = {"image_size": image_shape[1]} if is_vit else {}
    if name in {"googlenet", "inception_v3"}:
        defaults = {"aux_logits": False, "init_weights": True}  # one output in training too
    import torchvision

    network: nn.Module = torchvision.models.get_model(
        name, weights=None, num_classes=num_classes, **{**defaults, **options}
    )
    is_small = min(image_shape[1:]) < SMALL_IMAGE and not is_vit
    if is_small or image_shape[0] != 3:
        _fit_stem(network, image_shape[0], is_small)
    return network


SMALL: dict[str, Callable[..., nn.Module]] = {"small_cnn": build_small_cnn, "small_resnet": build_small_resnet}


def _take_first(params: ModelParams, image_shape: ImageShape) -> tuple[nn.Module, dict[str, Any]]:
    """Returns the model's first layer and the options of what stands behind it; those of a user's function are its."""
    if ":" in params.architecture:
        return make_plain(), params.options
    return take_normalisation(params.options, image_shape[0])


def _find_builder(architecture: str) -> Callable[..., nn.Module]:
    if architecture in SMALL:
        return SMALL[architecture]
    if ":" in architecture:
        return import_function("model.architecture", architecture)
    import torchvision  # takes longer to import than many a stage to run

    if architecture in torchvision.models.list_models(module=torchvision.models):
        return lambda **arguments: build_torchvision(architecture, **arguments)
    raise InputError(
        f"model.architecture: unknown '{architecture}'; "
        "write small_cnn, small_resnet, a torchvision classifier such as resnet18, or package.module:function"
    )


def _fit_stem(network: nn.Module, num_channels: int, is_small: bool) -> None:
    """Replaces the first convolution, for small images by a 3x3 one of stride 1 without the max-pool behind it."""
    name, conv = next((name, module) for name, module in network.named_modules() if isinstance(module, nn.Conv2d))
    geometry: Any = (3, 1, 1) if is_small else (conv.kernel_size, conv.stride, conv.padding)
    stem = nn.Conv2d(num_channels, conv.out_channels, *geometry)
    if conv.bias is None:
        stem.register_parameter("bias", None)
    network.set_submodule(name, stem)
    if not is_small:
        return
    layers = [
        (name, module) for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.MaxPool2d)
    ]
    for pool_name, layer in layers[1:2]:
        if isinstance(layer, nn.MaxPool2d):
            network.set_submodule(pool_name, nn.Identity())


def _check_output(architecture: str, model: nn.Module, num_classes: int, image_shape: ImageShape) -> None:
    """Refuses a model that cannot take the images, or that returns something else than logits."""
    model.eval()
    try:
        with torch.no_grad():
            logits = model(torch.zeros(2, *image_shape))
    except Exception as error:  # a user's module may raise anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"model.architecture: {architecture} cannot take images of {image_shape}: {reason}") from error
    finally:
        model.train()
    if not isinstance(logits, Tensor) or logits.shape != (2, num_classes):
        raise InputError(f"model.architecture: {architecture} must return a tensor of shape (N, {num_classes})")
