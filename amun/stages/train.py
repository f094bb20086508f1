"""Stage `train`: trains the base model on the training split, or takes one that was trained elsewhere on it."""

import torch
from torch import nn

from amun.core.params import Params
from amun.core.paths import ADOPTED_WEIGHTS, BASE_MODEL, CALIBRATION, TRAIN, TRAIN_EPOCHS, TRAIN_METRICS
from amun.core.stage_result import Work
from amun.evidence.adoption import Adopted, judge_adopted, read_adopted, require_accuracy
from amun.evidence.figures import TrainFigures
from amun.evidence.wave import write_json
from amun.model.building import build_for
from amun.model.history import put_epoch, show_epochs, write_history
from amun.model.trainer import count_epochs, train_model
from amun.model.training import EpochMetrics, compute_accuracy, compute_logits
from amun.model.weights import load_weights, open_weights_seal, save_weights
from amun.stages.runner import run_stage
from amun.store.forgetting import refuse_forgotten
from amun.store.opening import SampleOpener
from amun.store.samples import LabelledSamples
from amun.store.store import read_owners, read_shape


def train(params: Params, device: torch.device) -> Work | None:
    """Writes the base's weights, its loss and accuracy by epoch, and its accuracy on the calibration half.

    Returns:
        what it has trained on; None where a base was adopted.

    Raises:
        InputError: an adopted base is no better than chance on what it is said to have been trained on, or clearly
            worse on held-out samples than its owner says.
    """
    refuse_forgotten(read_owners(TRAIN))
    opener, adopted = SampleOpener(params.runtime, device), read_adopted()
    samples, calibration = opener.open(TRAIN), opener.open(CALIBRATION)
    model = build_for(params, read_shape(TRAIN), device, params.training.seed)
    history = _train(params, model, samples, device) if adopted is None else _adopt(model)
    on_train, on_held_out = (
        compute_accuracy(compute_logits(model, part.image_set(device)), part.labels) for part in (samples, calibration)
    )
    warning = None if adopted is None else _judge(adopted, (on_train, on_held_out), samples, calibration)
    save_weights(BASE_MODEL, model, open_weights_seal(params))
    write_history(TRAIN_EPOCHS, history)
    figures = TrainFigures(train_accuracy=on_train, calibration_accuracy=on_held_out, warning=warning)
    write_json(TRAIN_METRICS, figures)
    return Work(len(samples), count_epochs(params.training)) if adopted is None else None


def _train(params: Params, model: nn.Module, samples: LabelledSamples, device: torch.device) -> list[EpochMetrics]:
    history: list[EpochMetrics] = []
    with show_epochs("train", count_epochs(params.training)) as show:

        def note_epoch(metrics: EpochMetrics) -> None:
            put_epoch(history, metrics)
            show(metrics)

        train_model(
            model,
            samples.image_set(device),
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


def _judge(
    adopted: Adopted, accuracies: tuple[float, float], samples: LabelledSamples, calibration: LabelledSamples
) -> str:
    """Returns what speaks against the samples being those that the adopted base was trained on; empty if nothing."""
    chance = float(torch.bincount(samples.labels).max()) / len(samples)
    warning = judge_adopted(accuracies, len(samples), len(calibration), chance, adopted.source)
    require_accuracy(adopted, accuracies[1], len(calibration))
    return warning


if __name__ == "__main__":
    run_stage(train)
