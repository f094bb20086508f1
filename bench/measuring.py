"""One search on one model: time, gradient and forward evaluations, distances, memory."""

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from amun.model.training import compute_logits
from amun.search.geometry import compute_norms
from amun.study.cost import read_peak, reset_peak
from bench.searches import Find
from bench.victims import Victim


@dataclass(frozen=True)
class Row:
    """What a search costs for each sample, and how near it comes.

    Attributes:
        model: that is searched.
        batch_size: of all passes.
        search: its name.
        num_samples: searched.
        seconds: of wall clock for each sample, in the fastest round.
        cpu_seconds: of this process for each sample, in the fastest round.
        num_gradients: gradients of a sample's logits, for each sample.
        num_forwards: rows of all forward passes for each sample, those that fill a batch up included.
        mean_norm: mean L2 distance of the examples found, those labelled wrong from the start left out.
        p95_norm: 95th percentile of it.
        missing: share of the samples without an example.
        peak_mib: of the accelerator's memory; on a CPU the largest the whole process was meanwhile.
        num_rounds: of which the fastest counts.
    """

    model: str
    batch_size: int
    search: str
    num_samples: int
    seconds: float
    cpu_seconds: float
    num_gradients: float
    num_forwards: float
    mean_norm: float
    p95_norm: float
    missing: float
    peak_mib: float
    num_rounds: int


class Counted(nn.Module):
    """A model that counts the rows of its forward passes, and those for which a gradient was asked."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.num_forwards = 0
        self.num_gradients = 0

    def forward(self, images: Tensor) -> Tensor:
        """Returns the model's logits."""
        self.num_forwards += len(images)
        logits: Tensor = self.model(images)
        if logits.requires_grad:
            logits.register_hook(self._count)  # type: ignore[no-untyped-call]
        return logits

    def _count(self, gradients: Tensor) -> None:
        self.num_gradients += int((gradients != 0).any(1).sum())


def measure_rows(victim: Victim, contestants: Mapping[str, Find], batch_size: int, num_rounds: int) -> list[Row]:
    """Returns a row for each contestant; they take turns, so that a busy machine slows all alike."""
    rounds = [
        {name: measure(victim, name, find, batch_size) for name, find in contestants.items()} for _ in range(num_rounds)
    ]
    return [_choose_fastest([measured[name] for measured in rounds]) for name in contestants]


def measure(victim: Victim, name: str, find: Find, batch_size: int) -> Row:
    """Returns what one search does with all samples of the victim."""
    counted = Counted(victim.model).eval().requires_grad_(False)
    num_samples = len(victim.labels)
    reset_peak(victim.images.device)
    torch.manual_seed(0)
    started_at, cpu_started_at = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adversarial = find(counted, victim.images, victim.labels).clamp(0, 1)
    if victim.images.is_cuda:
        torch.cuda.synchronize(victim.images.device)
    seconds, cpu_seconds = time.perf_counter() - started_at, time.process_time() - cpu_started_at
    peak_mib = read_peak(victim.images.device)
    norms, missing = _judge_examples(victim, adversarial)
    return Row(
        model=victim.name,
        batch_size=batch_size,
        search=name,
        num_samples=num_samples,
        seconds=seconds / num_samples,
        cpu_seconds=cpu_seconds / num_samples,
        num_gradients=counted.num_gradients / num_samples,
        num_forwards=counted.num_forwards / num_samples,
        mean_norm=norms.mean().item(),
        p95_norm=norms.quantile(0.95).item(),
        missing=missing,
        peak_mib=peak_mib,
        num_rounds=1,
    )


def _judge_examples(victim: Victim, adversarial: Tensor) -> tuple[Tensor, float]:
    """Returns the distances of the examples found and the share not found, of the samples labelled right."""
    labels = victim.labels.cpu()
    is_right = compute_logits(victim.model, victim.images).argmax(1) == labels
    is_wrong_now = compute_logits(victim.model, adversarial).argmax(1) != labels
    norms = compute_norms(adversarial - victim.images).cpu()
    missing = 1 - is_wrong_now[is_right].float().mean().item()
    return norms[is_right & is_wrong_now], missing


def _choose_fastest(rows: list[Row]) -> Row:
    return replace(min(rows, key=lambda row: row.cpu_seconds), num_rounds=len(rows))
