"""Base and references of one's own model, trained alike."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from amun.core.params import Params
from amun.model.references import draw_sample_halves, train_reference_logits
from amun.model.trainer import train_model
from amun.stages.references import AUDIT_SEED, TARGET_SEED
from amun.store.samples import Samples

Build = Callable[[], nn.Module]


@dataclass(frozen=True)
class References:
    """What models say that were each trained on half of the people; the models themselves are gone.

    Attributes:
        audit_logits: samples whose payloads (K, C) are the logits of the references that judge.
        audit_inclusion: payloads (K,), 1 where the reference was trained on the sample.
        target_logits: of the references that may label.
        target_inclusion: likewise.
    """

    audit_logits: Samples
    audit_inclusion: Samples
    target_logits: Samples
    target_inclusion: Samples


def build_seeded(build: Build, seed: int, device: torch.device) -> nn.Module:
    """Returns a freshly initialised model on the device; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return build().to(device)


def train(build: Build, samples: Samples, params: Params) -> nn.Module:
    """Returns a model that was trained on the samples, in evaluation mode, on the device of their images.

    Args:
        build: returns a freshly initialised classifier of (N, C, H, W) float32 in [0, 1].
        samples: to train on.
        params: `training`.

    Raises:
        AmunError: no sample is left to train on; as `DivergedError`, the loss is no longer finite.

    Examples:
        >>> import torch
        >>> from amun import make_params, make_samples
        >>> images, labels = torch.rand(12, 1, 4, 4), torch.arange(12) % 2
        >>> samples = make_samples(images, labels, [f"person {number}" for number in range(12)])
        >>> def build(): return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
        >>> train(build, samples, make_params(training={"epochs": 2}))(images).shape
        torch.Size([12, 2])
    """
    images = samples.images
    model = build_seeded(build, params.training.seed, images.device)
    train_model(
        model,
        images,
        samples.labels.to(images.device),
        params=params.training,
        precision=params.runtime.precision,
        on_epoch=lambda _: None,
    )
    return model.eval()


def train_references(build: Build, samples: Samples, params: Params) -> References:
    """Trains references on halves of the people, and returns what each says of every sample.

    Args:
        build: as for `train`.
        samples: all people, those who are trained on and those held out.
        params: `references` says how many; they are trained as the base is.

    Raises:
        AmunError: as for `train`.

    Examples:
        >>> import torch
        >>> from amun import make_params, make_samples
        >>> images, labels = torch.rand(8, 1, 4, 4), torch.arange(8) % 2
        >>> samples = make_samples(images, labels, list("abcdefgh"))
        >>> def build(): return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
        >>> training = {"epochs": 2, "fallback_gradient_norm": None}
        >>> params = make_params(training=training, references={"num_audit": 6, "num_target": 2})
        >>> train_references(build, samples, params).audit_logits.payloads.shape
        torch.Size([8, 6, 2])
    """
    audit_logits, audit_inclusion = _train_set(build, samples, params, params.references.num_audit, AUDIT_SEED)
    target_logits, target_inclusion = _train_set(build, samples, params, params.references.num_target, TARGET_SEED)
    return References(audit_logits, audit_inclusion, target_logits, target_inclusion)


def _train_set(build: Build, samples: Samples, params: Params, count: int, seed: int) -> tuple[Samples, Samples]:
    if not count:
        nobody = samples.slice(0, 0)
        return nobody, nobody
    images, first_seed = samples.images, seed + params.references.seed * 1000
    inclusion = draw_sample_halves(samples, count, first_seed)
    logits = train_reference_logits(
        images,
        samples.labels.to(images.device),
        inclusion,
        build=lambda number: build_seeded(build, number, images.device),
        params=params.training,
        precision=params.runtime.precision,
        seed=first_seed,
        on_reference=lambda _: None,
    )
    return _keep(samples, logits), _keep(samples, torch.from_numpy(inclusion).to(torch.uint8))


def _keep(samples: Samples, payloads: Tensor) -> Samples:
    return Samples(samples.sample_ids, samples.subject_ids, samples.labels, payloads)
