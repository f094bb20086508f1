"""Margin steps to the boundary, then a few steps of fast minimum norm along it."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from amun.core.params import Count, Fraction, Positive, Section
from amun.search.geometry import normalise, per_sample, project_to_ball
from amun.search.margin_steps import compute_margins, cross_plane
from amun.search.queue import Search
from amun.search.slots import Seen, Slots


class MarginFmnParams(Section):
    """Margin steps to the boundary, then fast minimum norm along it."""

    num_steps: Count
    overshoot: Positive
    num_steps_along: Count
    step_fraction: Annotated[float, Field(gt=0, le=1)]
    radius_step: Fraction


def begin_margin_fmn(labels: Tensor, params: MarginFmnParams) -> dict[str, Tensor]:  # noqa: ARG001
    """Returns that no sample has reached the boundary, so that it has no radius yet."""
    return {
        "radii": torch.full((len(labels),), torch.inf, device=labels.device),
        "num_steps_along": torch.zeros_like(labels),
    }


def step_margin_fmn(slots: Slots, seen: Seen, params: MarginFmnParams) -> tuple[Slots, Tensor]:
    """Crosses the margin's tangent plane until the label changes; then steps in a ball that follows the boundary.

    A step along the boundary is a share of the nearest example's distance, the same for all scales of images.
    """
    along = slots.own["num_steps_along"]
    crossed = cross_plane(slots.iterates, seen, params.overshoot)
    decay = 1 - along / (params.num_steps_along + 1)
    shrunk = torch.minimum(slots.own["radii"], slots.nearest_norms) * (1 - params.radius_step * decay)
    way_left = seen.losses.abs() / seen.slopes.clamp_min(1e-30)
    radii = torch.where(seen.is_adversarial, shrunk, torch.minimum(seen.norms + way_left, slots.nearest_norms))
    lengths = torch.where(slots.is_found, params.step_fraction * decay * slots.nearest_norms, 0)
    step = per_sample(lengths, slots.images) * normalise(seen.gradients)
    slid = project_to_ball(slots.iterates - step, slots.images, radii)
    is_done = (along == params.num_steps_along) | (~slots.is_found & (slots.num_steps == params.num_steps))
    moved = torch.where(per_sample(slots.is_found, slid), slid, crossed)
    return slots.move(moved, radii=radii, num_steps_along=along + slots.is_found), is_done


MARGIN_FMN = Search("margin_fmn", MarginFmnParams, begin_margin_fmn, compute_margins, step_margin_fmn)
