"""What sorting and searching saves the membership attack: its time and memory beside comparing every pair.

    python -m bench.rmia      60,000 samples, 128 references, all of them as population; two minutes on one core

The formula that looked at every pair stands here for comparison. Both count the same; the exit code is 1 unless the
pair step takes at most a hundredth, the whole score from logits at most a tenth, and that at most 2 GiB.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from amun.audit.rmia import compute_ratios, score_membership
from amun.core.params import AuditParams
from amun.core.paths import PARAMS
from amun.model.training import configure_torch
from amun.params import load_params
from amun.study.cost import read_peak, reset_peak
from amun.study.machine import describe_machine
from bench.wave import ROOT

NUM_CLASSES = 10
MAX_PAIRS, MAX_WHOLE = 1 / 100, 1 / 10  # of the time of looking at every pair
MAX_MIB = 2048
NUM_CHECKED = 1024  # samples whose counts are compared


@dataclass(frozen=True)
class Speed:
    """Seconds of wall clock, and MiB that the process had at most.

    Attributes:
        pairs: of the share of the population that each sample beats, from the ratios.
        whole: of the scores, from the logits.
        whole_mib: meanwhile, the logits themselves among it.
        old_pairs: likewise, looking at every pair.
        old_whole: likewise.
    """

    pairs: float
    whole: float
    whole_mib: float
    old_pairs: float
    old_whole: float

    @property
    def is_kept(self) -> bool:
        """Whether all three bounds are."""
        is_fast = self.pairs <= MAX_PAIRS * self.old_pairs and self.whole <= MAX_WHOLE * self.old_whole
        return is_fast and self.whole_mib <= MAX_MIB

    def __str__(self) -> str:
        return (
            f"pair step {self.pairs:.3f} s of {self.old_pairs:.2f} s, 1/{self.old_pairs / self.pairs:.0f}; "
            f"from logits {self.whole:.2f} s of {self.old_whole:.2f} s, 1/{self.old_whole / self.whole:.1f}, "
            f"in {self.whole_mib:.0f} MiB: {'kept' if self.is_kept else 'not kept'}"
        )


def measure_speed(num_samples: int, num_references: int, params: AuditParams) -> Speed:
    """Returns what both ways take on logits drawn at random; every sample is judged, and is of the population.

    Raises:
        AssertionError: their scores differ.
    """
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(num_samples, NUM_CLASSES, generator=generator)
    references = torch.randn(num_samples, num_references, NUM_CLASSES, generator=generator)
    labels = torch.randint(NUM_CLASSES, (num_samples,), generator=generator)
    reset_peak(target.device)
    whole, ratios = _time(lambda: compute_ratios(target, references, labels, params))
    pairs, scores = _time(lambda: score_membership(ratios, ratios, params.gamma))
    whole_mib = read_peak(target.device)
    # once for the samples and once for the population, which nobody knew to be the same
    (first, old), (second, old_population) = (
        _time(lambda: compute_all_ratios(target, references, labels, params)) for _ in range(2)
    )
    old_pairs, _ = _time(lambda: score_by_pairs(old, old_population, params.gamma))
    torch.testing.assert_close(ratios, old, rtol=1e-12, atol=0)
    if not torch.equal(scores[:NUM_CHECKED], _look_at_every_pair(ratios[:NUM_CHECKED], ratios, params.gamma)):
        raise AssertionError("sorting and searching counts otherwise than looking at every pair")
    return Speed(pairs, whole + pairs, whole_mib, old_pairs, first + second + old_pairs)


def compute_all_ratios(target: Tensor, references: Tensor, labels: Tensor, params: AuditParams) -> Tensor:
    """Returns the ratios (N,) of the signal `softmax`, by torch's own and all at once."""

    def find_signals(logits: Tensor, of: Tensor) -> Tensor:
        scaled = logits.double() / params.temperature
        return scaled.softmax(-1).gather(-1, of.expand(scaled.shape[:-1]).unsqueeze(-1)).squeeze(-1)

    return find_signals(target, labels) / find_signals(references, labels[:, None]).mean(1)


def score_by_pairs(ratios: Tensor, population: Tensor, gamma: float) -> Tensor:
    """Returns the share (N,) of the population that each sample beats, a tie counting nothing, pair by pair."""
    shares = torch.empty_like(ratios)  # beforehand: small tensors that stay between large ones break the heap up
    for chunk, share in zip(torch.split(ratios, 256), torch.split(shares, 256), strict=True):
        share[:] = (chunk[:, None] / population > gamma).double().mean(1)
    return shares


def _look_at_every_pair(ratios: Tensor, population: Tensor, gamma: float) -> Tensor:
    """Returns the share (N,) of the population that each sample beats, a tie counting one half."""
    quotients = ratios[:, None] / population
    return ((quotients > gamma).sum(1) * 2 + (quotients == gamma).sum(1)).double() / (2 * len(population))


def _time(function: Callable[[], Tensor]) -> tuple[float, Tensor]:
    started_at = time.perf_counter()
    result = function()
    return time.perf_counter() - started_at, result


def main() -> None:
    """Measures, prints the ratios, and exits by them."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.rmia", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--samples", type=int, default=60_000)
    parser.add_argument("--references", type=int, default=128)
    options = parser.parse_args()
    params = load_params(ROOT / PARAMS)
    print(describe_machine(configure_torch(params.runtime)))
    speed = measure_speed(options.samples, options.references, params.audit)
    print(speed)
    sys.exit(0 if speed.is_kept else 1)


if __name__ == "__main__":
    main()
