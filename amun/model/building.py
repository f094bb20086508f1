"""The model that `params.yaml` names, for the classes and images of the sample store: built anew, or loaded."""

from pathlib import Path

import torch
from torch import nn

from amun.core.params import Params
from amun.model.architectures import build_model
from amun.model.weights import load_weights
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
