"""Fast minimum norm: gradient steps in a ball whose radius follows the boundary (arXiv 2102.12827), L2."""

import math

import torch
from torch import Tensor

from amun.core.params import Count, Fraction, Positive, Section
from amun.search.geometry import normalise, per_sample, project_to_ball
from amun.search.margin_steps import compute_margins
from amun.search.queue import Search
from amun.search.slots import Seen, Slots


class FmnParams(Section):
    """Fast minimum norm."""

    num_steps: Count
    step_size: Positive
    radius_step: Fraction


def begin_fmn(labels: Tensor, params: FmnParams) -> dict[str, Tensor]:  # noqa: ARG001
    """Returns that no radius is known yet."""
    return {"radii": torch.full((len(labels),), torch.inf, device=labels.device)}


def step_fmn(slots: Slots, seen: Seen, params: FmnParams) -> tuple[Slots, Tensor]:
    """Fits the radius (Eq. 6), takes a step of falling length, and projects onto the ball and the box.

    The radius shrinks below the nearest example where the iterate is adversarial, grows where one is known, and
    else is the distance at which the linearised margin is zero.
    """
    decay = _anneal(slots.num_steps, params.num_steps)
    shrinking = params.radius_step * decay
    way_left = seen.losses.abs() / seen.slopes.clamp_min(1e-30)
    grown = torch.where(slots.is_found, slots.own["radii"] * (1 + shrinking), seen.norms + way_left)
    shrunk = torch.minimum(slots.own["radii"] * (1 - shrinking), slots.nearest_norms)
    radii = torch.where(seen.is_adversarial, shrunk, grown)
    step = per_sample(params.step_size * decay, slots.images) * normalise(seen.gradients)
    moved = project_to_ball(slots.iterates - step, slots.images, radii)
    return slots.move(moved, radii=radii), slots.num_steps == params.num_steps


def _anneal(num_steps: Tensor, last: int) -> Tensor:
    """Returns (N,) a factor that falls from 1 to 0.01 along a cosine."""
    return 0.01 + 0.99 * (1 + torch.cos(math.pi * num_steps / last)) / 2


FMN = Search("fmn", FmnParams, begin_fmn, compute_margins, step_fmn)
