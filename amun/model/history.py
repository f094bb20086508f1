"""How a training went, epoch by epoch: for the file beside the figures, and for the line of progress."""

from pathlib import Path

from amun.model.training import EpochMetrics


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


def describe_epoch(metrics: EpochMetrics) -> str:
    """Returns what a progress line says of an epoch."""
    return f"loss {metrics.loss:.4f}, accuracy {metrics.accuracy:.3f}"
