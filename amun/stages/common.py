"""What several stages share: building and loading the model, refusing forgotten people, writing histories."""

from pathlib import Path

import torch
from torch import nn

from amun.core.errors import InputError
from amun.evidence.wave import read_forgotten
from amun.model.architectures import build_model, load_weights
from amun.model.training import EpochMetrics
from amun.params import Params
from amun.store.samples import Samples
from amun.store.store import StoreShape

MEMORY_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def build_for(params: Params, train: StoreShape, device: torch.device, seed: int) -> nn.Module:
    """Returns a freshly initialised model for the classes and images of the training samples, on `device`.

    Its weights lie as `runtime.memory_format` says, and so does what its convolutions give.
    """
    channels, height, width = train.payload_shape
    model = build_model(params.model, train.num_classes, (channels, height, width), seed)
    return model.to(device).to(memory_format=MEMORY_FORMATS[params.runtime.memory_format])


def load_for(params: Params, train: StoreShape, device: torch.device, path: Path) -> nn.Module:
    """Returns the model with the weights stored at `path`, in evaluation mode, on `device`."""
    model = build_for(params, train, device, seed=0)
    load_weights(path, model)
    return model.eval()


def refuse_forgotten(samples: Samples) -> None:
    """Refuses to train on anybody whom an earlier wave has forgotten.

    Raises:
        InputError: at least one sample belongs to the forgotten.
    """
    forgotten = [sample_id for wave in read_forgotten() for sample_id in [*wave.forget_ids, *wave.held_out_ids]]
    if num_found := int(samples.is_among(forgotten).sum()):
        raise InputError(
            f"refused to train on {num_found} samples of forgotten people; "
            "`amun base rebuild` trains a new base without them, and `dvc freeze` holds this stage"
        )


def write_history(path: Path, history: list[EpochMetrics]) -> None:
    """Writes loss and accuracy by epoch as CSV."""
    import pandas as pd  # only stages that train need it

    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [(metrics.epoch, metrics.loss, metrics.accuracy) for metrics in history]
    pd.DataFrame(rows, columns=["epoch", "loss", "accuracy"]).to_csv(path, index=False, float_format="%.6g")


def describe_epoch(metrics: EpochMetrics) -> str:
    """Returns what a progress line says of an epoch."""
    return f"loss {metrics.loss:.4f}, accuracy {metrics.accuracy:.3f}"
