"""What an unlearning method is given, and what it returns."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from amun.core.params import AttemptParams, Params
from amun.model.training import EpochMetrics
from amun.store.image_sets import AnyImages
from amun.store.samples import Owners, Samples


@dataclass(frozen=True)
class Targets:
    """The target references, as far as a method may use them: they label, they never judge.

    Attributes:
        logits: (F, K, C) of the forget samples by each of the K references.
        inclusion: (F, K) bool, true where the reference was trained on the sample; half of each row is false.
        load: returns reference k in eval mode on the device of the base; None where weights are not kept.
    """

    logits: Tensor
    inclusion: npt.NDArray[np.bool_]
    load: Callable[[int], nn.Module] | None


def gather_targets(
    logits: Samples,
    inclusion: Samples,
    forget: Owners,
    device: torch.device,
    load: Callable[[int], nn.Module] | None = None,
) -> Targets:
    """Returns what the target references say of the forget samples, in their order.

    Args:
        logits: payloads (K, C), of these samples at least.
        inclusion: payloads (K,) likewise, 1 where the reference was trained on the sample.
        forget: the samples.
        device: of the base.
        load: as in `Targets`.
    """
    asked = forget.sample_ids.tolist()
    said, had = (store.align(asked).payloads for store in (logits, inclusion))
    return Targets(said.to(device), had.numpy().astype(np.bool_), load)


@dataclass(frozen=True)
class UnlearningProblem:
    """A base model, what it must forget, and by which attempt; all tensors on the device of the base.

    Attributes:
        base: the model the wave starts from; no method alters it.
        forget_images: (F, C, H, W) float32 in [0, 1], the forget set D_F.
        forget_labels: (F,) int64 true labels.
        adversarial_images: (F, C, H, W), the adversarial set D_A.
        adversarial_labels: (F,) int64, the base model's labels of it.
        remain_images: (R, C, H, W), the remain set D_R, for a user's own method a tensor; None where it is not
            available.
        remain_labels: (R,) int64, or None.
        targets: the target references on D_F; None where there are none.
        attempt: the method's parameters.
        params: all of `params.yaml`.
        build: returns a freshly initialised model on the same device.
        on_epoch: called after each epoch.
    """

    base: nn.Module
    forget_images: Tensor
    forget_labels: Tensor
    adversarial_images: Tensor
    adversarial_labels: Tensor
    remain_images: AnyImages | None
    remain_labels: Tensor | None
    targets: Targets | None
    attempt: AttemptParams
    params: Params
    build: Callable[[], nn.Module]
    on_epoch: Callable[[EpochMetrics], None]


@dataclass(frozen=True)
class Unlearned:
    """The unlearned model and how its training went."""

    model: nn.Module
    history: list[EpochMetrics]
