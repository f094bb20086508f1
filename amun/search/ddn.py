"""Decoupled direction and norm: gradient steps on a sphere whose radius follows the label (arXiv 1811.09600)."""

import math

import torch
from torch import Tensor

from amun.core.params import Count, Fraction, Positive, Section
from amun.search.geometry import normalise, per_sample
from amun.search.margins import compute_soft_margin
from amun.search.queue import Search
from amun.search.slots import Seen, Slots


class DdnParams(Section):
    """Decoupled direction and norm."""

    num_steps: Count
    epsilon: Positive
    step_size: Positive
    radius_step: Fraction


def begin_ddn(labels: Tensor, params: DdnParams) -> dict[str, Tensor]:
    """Returns the first radius for each sample."""
    return {"radii": torch.full((len(labels),), params.epsilon, device=labels.device)}


def step_ddn(slots: Slots, seen: Seen, params: DdnParams) -> tuple[Slots, Tensor]:
    """Takes a step of falling length, then goes to the sphere: smaller where adversarial, else larger (Algorithm 1).

    Note:
        The paper's loss is the cross-entropy, whose gradient has the same direction; images are not quantised.
    """
    factors = torch.where(seen.is_adversarial, 1 - params.radius_step, 1 + params.radius_step)
    radii = slots.own["radii"] * factors
    step_sizes = params.step_size * (0.01 + 0.99 * (1 + torch.cos(math.pi * slots.num_steps / params.num_steps)) / 2)
    step = per_sample(step_sizes, slots.images) * normalise(seen.gradients)
    directions = normalise(slots.iterates - step - slots.images)
    moved = (slots.images + per_sample(radii, slots.images) * directions).clamp(0, 1)
    return slots.move(moved, radii=radii), slots.num_steps == params.num_steps


DDN = Search("ddn", DdnParams, begin_ddn, lambda logits, slots: compute_soft_margin(logits, slots.labels), step_ddn)
