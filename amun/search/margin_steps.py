"""Margin steps: to the nearest point of the margin's tangent plane, from the last iterate, until the label changes.

DeepFool (arXiv 1511.04599) with one gradient for each step, towards the other label that is likeliest now, and with
steps that know the box.
"""

from torch import Tensor

from amun.core.params import Count, Positive, Section
from amun.search.geometry import project_to_plane
from amun.search.margins import compute_margin, get_rounding
from amun.search.queue import Search
from amun.search.slots import Seen, Slots


class MarginStepsParams(Section):
    """Straight across the margin's tangent plane."""

    num_steps: Count
    overshoot: Positive


def begin_margin_steps(labels: Tensor, params: MarginStepsParams) -> dict[str, Tensor]:  # noqa: ARG001
    """Returns nothing: the search keeps nothing of its own."""
    return {}


def compute_margins(logits: Tensor, slots: Slots) -> Tensor:
    """Returns (N,): the true logit less the largest other one."""
    return compute_margin(logits, slots.labels)


def step_margin(slots: Slots, seen: Seen, params: MarginStepsParams) -> tuple[Slots, Tensor]:
    """Steps on to just behind the plane; a sample is done at its first change of label or after its last step."""
    is_done = seen.is_adversarial | (slots.num_steps == params.num_steps)
    return slots.move(cross_plane(slots.iterates, seen, params.overshoot)), is_done


def cross_plane(points: Tensor, seen: Seen, overshoot: float) -> Tensor:
    """Returns the nearest points (N, C, H, W) of the box at which the linearised loss is a little below zero.

    Args:
        points: where the losses and gradients were seen.
        seen: what was seen.
        overshoot: as for `choose_drops`.
    """
    return project_to_plane(points, seen.gradients, choose_drops(seen, overshoot))


def choose_drops(seen: Seen, overshoot: float) -> Tensor:
    """Returns (N,) by how much the losses have to fall.

    Args:
        seen: what was seen.
        overshoot: how far behind the plane, as a share of the way to it; never less than the logits' rounding.
    """
    return seen.losses + overshoot * seen.losses.abs() + 2 * get_rounding(seen.logits)


MARGIN_STEPS = Search("margin_steps", MarginStepsParams, begin_margin_steps, compute_margins, step_margin)
