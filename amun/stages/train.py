"""Stage `train`: trains the base model on the training split, or takes one that was trained elsewhere on it."""

import torch
from torch import nn

from amun.adoption import Adopted, judge_adopted, read_adopted, require_accuracy
from amun.data.samples import Samples, read_samples
from amun.data.store import read_shape
from amun.models import load_weights, save_weights
from amun.params import Params
from amun.paths import ADOPTED_WEIGHTS, BASE_MODEL, CALIBRATION, TRAIN, TRAIN_EPOCHS, TRAIN_METRICS
from amun.progress import show_progress
from amun.stages.common import build_for, describe_epoch, refuse_forgotten, write_history
from amun.stages.runner import run_stage
from amun.trainer import count_epochs, train_model
from amun.training import EpochMetrics, compute_accuracy, compute_logits
from amun.wave import write_json


def train(params: Params, device: torch.device) -> None:
    """Writes the base's weights, its loss and accuracy by epoch, and its accuracy on the calibration half.

    Raises:
        InputError: an adopted base is no better than chance on what it is said to have been trained on, or clearly
            worse on held-out samples than its owner says.
    """
    samples, calibration, adopted = read_samples(TRAIN), read_samples(CALIBRATION), read_adopted()
    refuse_forgotten(samples)
    model = build_for(params, read_shape(TRAIN), device, params.training.seed)
    history = _train(params, model, samples, device) if adopted is None else _adopt(model)
    on_train, on_held_out = (
        compute_accuracy(compute_logits(model, part.images.to(device)), part.labels) for part in (samples, calibration)
    )
    figures = {"train_accuracy": on_train, "calibration_accuracy": on_held_out}
    found = {} if adopted is None else {"warning": _judge(adopted, (on_train, on_held_out), samples, calibration)}
    save_weights(BASE_MODEL, model)
    write_history(TRAIN_EPOCHS, history)
    write_json(TRAIN_METRICS, figures | found)


def _train(params: Params, model: nn.Module, samples: Samples, device: torch.device) -> list[EpochMetrics]:
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
    return history


def _adopt(model: nn.Module) -> list[EpochMetrics]:
    """Takes the adopted weights; of their epochs nothing is known."""
    load_weights(ADOPTED_WEIGHTS, model)
    return []


def _judge(adopted: Adopted, accuracies: tuple[float, float], samples: Samples, calibration: Samples) -> str | None:
    """Returns what speaks against the samples being those that the adopted base was trained on."""
    chance = float(torch.bincount(samples.labels).max()) / len(samples)
    warning = judge_adopted(accuracies, len(samples), len(calibration), chance, adopted.source)
    require_accuracy(adopted, accuracies[1], len(calibration))
    return warning


if __name__ == "__main__":
    run_stage(train)
