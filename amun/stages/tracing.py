"""What an attempt leaves behind for whoever holds the base, measured in a wave."""

import torch
from torch import nn

from amun.audit.drawing import draw_rows
from amun.audit.trace import LabelledImages, compute_trace, find_candidates
from amun.core.paths import ADVERSARIAL, TRAIN, WAVE_BASE
from amun.evidence.wave import MIN_REPORTED
from amun.params import AdversarialParams, Params
from amun.stages.common import load_for
from amun.store.samples import Samples, count_samples, read_samples
from amun.store.store import read_shape


def measure_trace(params: Params, device: torch.device, unlearned: nn.Module, others: LabelledImages) -> float | None:
    """Returns the trace of an unlearned model: D_A against the examples of as many held-out samples.

    None below 20 examples of either kind: it would be a few persons' score.

    Args:
        params: all of `params.yaml`.
        device: of the model.
        unlearned: the model after the wave.
        others: adversarial images of held-out samples, on the device, and the base's labels of them.
    """
    forget = read_samples(ADVERSARIAL)
    if min(len(forget), len(others[1])) < MIN_REPORTED:
        return None
    base = load_for(params, read_shape(TRAIN), device, WAVE_BASE)
    return compute_trace(base, unlearned, (forget.images.to(device), forget.labels), others)


def search_others(
    base: nn.Module, held_out: Samples, num_forget: int, params: AdversarialParams, device: torch.device
) -> LabelledImages:
    """Returns the base's adversarial examples of as many held-out samples as there are to forget.

    None are searched where `measure_trace` would give no figure all the same.

    Args:
        base: the model before the wave, on `device`.
        held_out: of one half, those still held.
        num_forget: training samples of the wave.
        params: the search.
        device: to compute on.
    """
    is_measured = min(count_samples(ADVERSARIAL), len(held_out)) >= MIN_REPORTED
    drawn = held_out.take(draw_rows(len(held_out), num_forget if is_measured else 0))
    return find_candidates(base, drawn.images.to(device), drawn.labels.to(device), params).examples
