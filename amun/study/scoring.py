"""What a model shows: accuracies, membership attacks and the trace, with one held-out half."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from amun.audit.plain import SVC_SAMPLES, find_confidence
from amun.audit.rmia import compute_ratios, score_membership
from amun.audit.roc import compute_auc, compute_tpr
from amun.audit.svc import measure_svc_forgetting
from amun.audit.trace import LabelledImages, compute_trace
from amun.core.counts import tell_count
from amun.core.errors import DivergedError
from amun.core.params import AuditParams
from amun.evidence.wave import MIN_REPORTED
from amun.model.training import compute_accuracy, compute_logits
from amun.store.samples import Samples, read_samples
from amun.study.draws import Mask
from amun.study.records import NUM_BINS, Attack, Figures
from amun.study.study import Study

Split = Literal["train", "calibration", "test"]
SPLITS: tuple[Split, ...] = ("train", "calibration", "test")
NUM_DRAWS = 3  # of sets of equal size
LOW_RATE, RATE = 0.001, 0.01  # false positive rates


@dataclass(frozen=True)
class Judged:
    """A set's logits by the model under attack (N, C) and by the audit references (N, K, C), and its labels (N,)."""

    logits: Tensor
    references: Tensor
    labels: Tensor

    def select(self, mask: Tensor) -> "Judged":
        """Returns those where `mask` (N,) is true."""
        return Judged(self.logits[mask], self.references[mask], self.labels[mask])


@dataclass(frozen=True)
class Attacker:
    """Who holds the base, and has rebuilt the adversarial examples of forget samples and of test samples."""

    base: nn.Module
    forget: LabelledImages
    others: LabelledImages


@dataclass(frozen=True)
class Judge:
    """Looks at models with the audit references' eyes.

    Attributes:
        study: whose samples and references.
        device: to compute on.
    """

    study: Study
    device: torch.device

    def look(self, model: nn.Module, *wanted: Split) -> list[Judged]:
        """Returns training samples or held-out halves, in that order, as the model and the references see them.

        Raises:
            DivergedError: the model's logits are not finite.
        """
        splits = self.study.read_splits()
        starts = np.cumsum([len(split) for split in splits])[:-1].tolist()
        references = read_logits(self.study, "audit").tensor_split(starts)
        return [
            Judged(_compute_finite(model, split.images.to(self.device)), logits, split.labels)
            for name, split, logits in zip(SPLITS, splits, references, strict=True)
            if name in wanted
        ]

    def measure(self, train: Judged, half: Judged, is_forget: Mask, is_remain: Mask, trace: float | None) -> Figures:
        """Returns a model's figures with one held-out half.

        Args:
            train: the training samples (N,).
            half: the held-out half.
            is_forget: (N,) bool, which of them were to be forgotten.
            is_remain: (N,) bool, which of them remain.
            trace: measured apart.
        """
        forget, remain = train.select(torch.from_numpy(is_forget)), train.select(torch.from_numpy(is_remain))
        scores = [score(part, half, self.study.params.audit) for part in (forget, remain, half)]
        return Figures(
            unlearn_accuracy=compute_accuracy(forget.logits, forget.labels),
            remain_accuracy=compute_accuracy(remain.logits, remain.labels),
            held_out_accuracy=compute_accuracy(half.logits, half.labels),
            ft=attack(scores[0], scores[2]),
            fr=attack(scores[1], scores[0]),
            rt=attack(scores[1], scores[2]),
            svc_confidence=measure_svc(forget, remain, half),
            trace=trace,
        )


def _compute_finite(model: nn.Module, images: Tensor) -> Tensor:
    logits = compute_logits(model, images)
    if num_lost := int((~logits.isfinite()).any(1).sum()):
        raise DivergedError(
            f"the logits of {num_lost} of {tell_count(len(logits), 'sample')} are no numbers; lower the learning rate"
        )
    return logits


def read_logits(study: Study, group: str) -> Tensor:
    """Returns (N, K, C), every sample's logits by the references of `audit` or `target`."""
    if study.lent is not None:
        return study.lent.files.logits[group]
    numbers = range(study.count_references(group))
    return _stack_logits(tuple(study.locate_logits(group, number) for number in numbers))


@lru_cache(maxsize=2)
def _stack_logits(paths: tuple[Path, ...]) -> Tensor:
    """Reads them once in each process."""
    return torch.stack([read_samples(path).payloads for path in paths], dim=1)


def score(part: Judged, half: Judged, params: AuditParams) -> Tensor:
    """Returns (N,) RMIA scores, the half being the population that each sample is compared with."""
    ratios, population = (compute_ratios(each.logits, each.references, each.labels, params) for each in (part, half))
    return score_membership(ratios, population, params.gamma)


def attack(members: Tensor, others: Tensor) -> Attack:
    """Returns how well scores (N,) and (M,) tell two sets apart, over draws of equal size."""
    size = min(len(members), len(others))
    drawn = [[_draw(part, size, number) for part in (members, others)] for number in range(NUM_DRAWS)]

    def average(measure: Callable[[Tensor, Tensor], float]) -> float:
        return float(np.mean([measure(*pair) for pair in drawn]))

    return Attack(
        auc=average(compute_auc),
        tpr_at_0_1=average(lambda first, second: compute_tpr(first, second, LOW_RATE)),
        tpr_at_1=average(lambda first, second: compute_tpr(first, second, RATE)),
    )


def measure_svc(forget: Judged, remain: Judged, half: Judged) -> float:
    """Returns the share of the forget samples that the SVC attack on confidence calls never seen."""
    size = min(len(remain.labels), len(half.labels), SVC_SAMPLES)
    members, others = ((_draw(part.logits, size, 0).softmax(1), _draw(part.labels, size, 0)) for part in (remain, half))
    shares = measure_svc_forgetting(members, others, (forget.logits.softmax(1), forget.labels), names=["confidence"])
    return shares["confidence"]


def measure_trace(attacker: Attacker, unlearned: nn.Module) -> float | None:
    """Returns the trace, of as many test samples as forget samples, both drawn.

    None below 20 examples of either kind: it would be a few persons' score.
    """
    size = min(len(attacker.forget[1]), len(attacker.others[1]))
    if size < MIN_REPORTED:
        return None
    forget, others = (
        (_draw(images, size, 0), _draw(labels, size, 0)) for images, labels in (attacker.forget, attacker.others)
    )
    return compute_trace(attacker.base, unlearned, forget, others)


def bin_confidence(logits: Tensor, labels: Tensor) -> list[float]:
    """Returns the shares of the samples in equal bins of the confidence in their label."""
    counts, _ = np.histogram(find_confidence(logits, labels).numpy(), bins=NUM_BINS, range=(0, 1))
    shares: list[float] = (counts / len(labels)).tolist()
    return shares


def take(samples: Samples, device: torch.device) -> LabelledImages:
    """Returns the samples' images and labels on the device."""
    return samples.images.to(device), samples.labels.to(device)


def _draw(values: Tensor, size: int, number: int) -> Tensor:
    """Returns so many of the values, in an order drawn by number."""
    return values[torch.from_numpy(np.random.default_rng(number).permutation(len(values))[:size])]
