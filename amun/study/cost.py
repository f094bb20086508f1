"""What a run takes: wall clock, gradients, memory."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from amun.model.training import release_freed_memory
from amun.study.records import Costs


class Meter:
    """Counts the gradients of the models that it is attached to, and of their copies, and knows the one in training.

    Attributes:
        model: the model that was trained last.
        num_gradients: samples in all backward passes so far; rows that only fill up a pass of the search are none.
        paused_seconds: of wall clock, not to be counted.
    """

    def __init__(self) -> None:
        self.model: nn.Module | None = None
        self.num_gradients = 0
        self.paused_seconds = 0.0

    def attach(self, model: nn.Module) -> nn.Module:
        """Returns the model, whose passes are counted from now on."""
        model.register_forward_hook(self._note_forward)
        return model

    def __deepcopy__(self, memo: dict[int, Any]) -> "Meter":
        """Returns this meter: a copied model counts where the first one does."""
        return self

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leaves the block's seconds out."""
        started_at = time.perf_counter()
        try:
            yield
        finally:
            self.paused_seconds += time.perf_counter() - started_at

    def _note_forward(self, model: nn.Module, _inputs: Any, logits: Tensor) -> None:
        if model.training:
            self.model = model
        if logits.requires_grad:
            note = self._note_all if model.training else self._note_asked
            logits.register_hook(note)  # type: ignore[no-untyped-call]

    def _note_all(self, gradients: Tensor) -> None:
        self.num_gradients += len(gradients)

    def _note_asked(self, gradients: Tensor) -> None:
        self.num_gradients += int((gradients != 0).any(1).sum())


@contextmanager
def measuring(meter: Meter, device: torch.device) -> Iterator[list[Costs]]:
    """Measures the block; the list holds its costs once it has ended."""
    measured: list[Costs] = []
    reset_peak(device)
    paused_before, gradients_before = meter.paused_seconds, meter.num_gradients
    started_at = time.perf_counter()
    yield measured
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    seconds = time.perf_counter() - started_at - (meter.paused_seconds - paused_before)
    measured.append(
        Costs(seconds=seconds, num_gradients=meter.num_gradients - gradients_before, peak_mib=read_peak(device))
    )


def add_costs(first: Costs, second: Costs) -> Costs:
    """Returns what two runs, one after the other, take together."""
    return Costs(
        seconds=first.seconds + second.seconds,
        num_gradients=first.num_gradients + second.num_gradients,
        peak_mib=max(first.peak_mib, second.peak_mib),
    )


def reset_peak(device: torch.device) -> None:
    """Begins to measure the largest memory anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        release_freed_memory()  # what earlier runs in this process have left is not this one's
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def read_peak(device: torch.device) -> float:
    """Returns MiB: the accelerator's largest memory since `reset_peak`, on a CPU the process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return read_peak_mib("self")


def read_peak_mib(process: str) -> float:
    """Returns the largest memory of a process (its id, or self) so far in MiB; 0 where it has ended."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text(encoding="ascii"))
    return int(found[1]) / 2**10 if found else 0.0
