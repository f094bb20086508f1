"""How a training went, epoch by epoch: for the file beside the figures, and for the line of progress."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from amun.core.progress import show_progress
from amun.model.training import EpochMetrics

FALLBACK = "training.fallback_gradient_norm"


def write_history(path: Path, history: list[EpochMetrics]) -> None:
    """Writes loss and accuracy by epoch as CSV."""
    import pandas as pd  # only stages that train need it

    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [(metrics.epoch, metrics.loss, metrics.accuracy) for metrics in history]
    pd.DataFrame(rows, columns=["epoch", "loss", "accuracy"]).to_csv(path, index=False, float_format="%.6g")


def put_epoch(history: list[EpochMetrics], metrics: EpochMetrics) -> bool:
    """Puts an epoch in its place; returns whether it is a new one, and not one of a training that begins anew."""
    is_new = metrics.epoch > len(history)
    history[metrics.epoch - 1 : metrics.epoch] = [metrics]
    return is_new


@contextmanager
def show_epochs(name: str, num_epochs: int) -> Iterator[Callable[[EpochMetrics], None]]:
    """Shows how far a training has come; the block gets what takes note of each epoch.

    A training that begins anew does not run across the screen a second time: one line tells that it does so, another
    how it ended.
    """
    history: list[EpochMetrics] = []
    began_anew = False
    with show_progress(name, num_epochs, "epochs") as advance:

        def note(metrics: EpochMetrics) -> None:
            nonlocal began_anew
            if put_epoch(history, metrics):
                advance(describe_epoch(metrics))
            elif not began_anew:
                began_anew = True
                print(f"  {name:<12} nothing was learned; it begins anew, by {FALLBACK}", flush=True)

        yield note
    if began_anew:
        print(f"  {name:<12} ended anew  {describe_epoch(history[-1])}", flush=True)


def describe_epoch(metrics: EpochMetrics) -> str:
    """Returns what a progress line says of an epoch."""
    return f"loss {metrics.loss:.4f}, accuracy {metrics.accuracy:.3f}"
