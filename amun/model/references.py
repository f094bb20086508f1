"""Reference models: each trained on a half of everything held, by subject; their logits are kept."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from amun.core.params import TrainingParams
from amun.engine.local import LocalEngine
from amun.engine.shards import Engine, Keeper, Shard, map_shards, name_shard
from amun.model.history import FALLBACK
from amun.model.trainer import train_model
from amun.model.training import choose_pass_size, compute_logits
from amun.model.weights import copy_weights
from amun.store.image_sets import AnyImages, ImageSet, as_set
from amun.store.samples import LabelledSamples
from amun.store.twins import join_people

Weights = dict[str, Tensor]


def draw_halves(subject_ids: npt.NDArray[np.str_], num_references: int, seed: int) -> npt.NDArray[np.bool_]:
    """Draws which samples each reference is trained on: every subject whole, and in exactly half of the references.

    References come in pairs of complementary halves. For each pair the subjects, in order of size and shuffled
    among equals, are dealt two by two, one to each half by the toss of a coin: the halves differ by less than
    the largest subject.

    Args:
        subject_ids: (N,) whose each sample is.
        num_references: K, even.
        seed: of the draw.

    Returns:
        (N, K) bool, true where the reference is trained on the sample.
    """
    _, subjects, sizes = np.unique(subject_ids, return_inverse=True, return_counts=True)
    generator = np.random.default_rng(seed)
    halves = [_draw_half(sizes, generator)[subjects] for _ in range(num_references // 2)]
    return np.stack([column for half in halves for column in (half, ~half)], axis=1)


def draw_sample_halves(samples: LabelledSamples, num_references: int, seed: int) -> npt.NDArray[np.bool_]:
    """Draws halves of samples, people who share a picture together: (N, K) bool, as `draw_halves` does.

    Whom a reference was not trained on it must not know under another name.
    """
    images = samples.image_set(torch.device("cpu"))
    pictures = images.digest_all(choose_pass_size(images))
    owners = join_people(samples.subject_ids, pictures, len(samples) / 4)
    return draw_halves(owners, num_references, seed)


@dataclass(frozen=True)
class Trained:
    """A trained reference, as a process hands it over: without tensors, which would go by way of shared memory.

    Attributes:
        logits: (N, C) of all samples.
        weights: safetensors, where they are kept.
        began_anew: whether its training did, as `train_model` says.
    """

    logits: npt.NDArray[np.float32]
    weights: bytes
    began_anew: bool


def train_reference_logits(
    images: AnyImages,
    labels: Tensor,
    inclusion: npt.NDArray[np.bool_],
    *,
    build: Callable[[int], nn.Module],
    params: TrainingParams,
    precision: str,
    seed: int,
    on_reference: Callable[[int], None],
    keep: Callable[[Weights], None] | None = None,
    engine: Engine | None = None,
    keeper: Keeper[Trained] | None = None,
) -> Tensor:
    """Trains the references; returns their logits of all samples and drops the models.

    Args:
        images: (N, C, H, W) float32 in [0, 1].
        labels: (N,) int64.
        inclusion: (N, K) bool, who is in whose training set.
        build: returns a freshly initialised model for a seed, on the device to train on.
        params: how the base is trained; the references are trained likewise.
        precision: as for `train_model`.
        seed: reference k is built and trained with seed + k.
        on_reference: called with the number, from 1, of each reference done, in their order.
        keep: called with the weights of each trained reference, in their order.
        engine: what trains them, each by itself; None trains them here, one after the other. The results are the same.
        keeper: of references that are trained, should this run be killed.

    Returns:
        (N, K, C) float32 on the CPU.
    """
    shared = _Shared(as_set(images), labels, build, params, precision, keep is not None)
    shards = [_describe(seed + number, inclusion[:, number], number) for number in range(inclusion.shape[1])]
    logits, num_anew = list[Tensor](), 0
    for trained in map_shards(_train_reference, shards, shared, engine or LocalEngine(), keeper):
        logits.append(torch.from_numpy(trained.logits))
        num_anew += trained.began_anew
        if keep is not None:
            keep(load(trained.weights))
        on_reference(len(logits))
    if num_anew:
        # the audit compares the model with them: a mixture of two recipes is to be seen
        print(f"  {num_anew} of {len(logits)} references began anew, by {FALLBACK}", flush=True)
    return torch.stack(logits, dim=1)


@dataclass(frozen=True)
class _Shared:
    """What all references of a set are trained with."""

    images: ImageSet
    labels: Tensor
    build: Callable[[int], nn.Module]
    params: TrainingParams
    precision: str
    keeps_weights: bool


@dataclass(frozen=True)
class _Half:
    """What one reference is trained on: (N,) bool, and with which seed."""

    is_included: npt.NDArray[np.bool_]
    seed: int


def _describe(seed: int, is_included: npt.NDArray[np.bool_], number: int) -> Shard[_Half]:
    name = name_shard("reference", seed, np.packbits(is_included).tobytes())
    return Shard(name, f"reference {number + 1}", _Half(is_included, seed))


def _train_reference(shared: _Shared, half: _Half) -> Trained:
    model = shared.build(half.seed)
    device = next(model.parameters()).device
    images, labels = shared.images.to(device), shared.labels.to(device)
    chosen = torch.from_numpy(np.flatnonzero(half.is_included))
    began_anew = train_model(
        model,
        images.choose(chosen),
        labels[chosen.to(device)],
        params=shared.params.model_copy(update={"seed": half.seed}),
        precision=shared.precision,
        on_epoch=lambda _: None,
    )
    weights = save(copy_weights(model)) if shared.keeps_weights else b""
    return Trained(compute_logits(model, images).numpy(), weights, began_anew)


def _draw_half(sizes: npt.NDArray[np.int64], generator: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Returns (S,) bool: which of the subjects, given their sizes (S,), are in the first half of a pair."""
    shuffled = generator.permutation(len(sizes))
    by_size = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    coins = generator.integers(2, size=(len(sizes) + 1) // 2, dtype=np.int64).astype(np.bool_)
    is_first = np.stack([coins, ~coins], axis=1).ravel()[: len(sizes)]
    half = np.empty(len(sizes), dtype=np.bool_)
    half[by_size] = is_first
    return half
