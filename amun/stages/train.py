"""Stage `train`: trains the base model on the training split."""

import torch

from amun.data.samples import read_samples
from amun.data.store import read_shape
from amun.models import save_weights
from amun.params import Params
from amun.paths import BASE_MODEL, CALIBRATION, TRAIN, TRAIN_EPOCHS, TRAIN_METRICS
from amun.progress import show_progress
from amun.stages.common import build_for, describe_epoch, refuse_forgotten, write_history
from amun.stages.runner import run_stage
from amun.trainer import count_epochs, train_model
from amun.training import EpochMetrics, compute_accuracy, compute_logits
from amun.wave import write_json


def train(params: Params, device: torch.device) -> None:
    """Writes the base's weights, its loss and accuracy by epoch, and its accuracy on the calibration half."""
    samples, calibration = read_samples(TRAIN), read_samples(CALIBRATION)
    refuse_forgotten(samples)
    model = build_for(params, read_shape(TRAIN), device, params.training.seed)
    history: list[EpochMetrics] = []
    with show_progress("train", count_epochs(params.training), "epochs") as advance:

        def note_epoch(metrics: EpochMetrics) -> None:
            history.append(metrics)
            advance(describe_epoch(metrics))

        train_model(
            model,
            samples.images.to(device),
            samples.labels.to(device),
            params=params.training,
            precision=params.runtime.precision,
            on_epoch=note_epoch,
        )
    save_weights(BASE_MODEL, model)
    write_history(TRAIN_EPOCHS, history)
    figures = {
        f"{name}_accuracy": compute_accuracy(compute_logits(model, part.images.to(device)), part.labels)
        for name, part in (("train", samples), ("calibration", calibration))
    }
    write_json(TRAIN_METRICS, figures)


if __name__ == "__main__":
    run_stage(train)
