"""Algorithm 1 (arXiv 2503.00917): projected gradient descent in L2 balls that double until the label changes."""

from typing import Annotated, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from amun.core.params import Count, Positive, Section
from amun.search.geometry import normalise, per_sample, project_to_ball
from amun.search.margins import compute_soft_margin
from amun.search.queue import Search
from amun.search.slots import Seen, Slots


class PgdDoublingParams(Section):
    """Algorithm 1; it also finishes what another search misses."""

    epsilon: Positive
    num_steps: Count
    step_fraction: Annotated[float, Field(gt=0, le=1)]
    max_epsilon: Positive

    @model_validator(mode="after")
    def check_radii(self) -> Self:
        """Refuses a maximum below the first radius."""
        if self.max_epsilon < self.epsilon:
            raise ValueError("max_epsilon must not be below epsilon")
        return self


def begin_pgd(labels: Tensor, params: PgdDoublingParams) -> dict[str, Tensor]:
    """Returns the first radius for each sample, and that it has taken no step in it."""
    return {
        "radii": torch.full((len(labels),), params.epsilon, device=labels.device),
        "num_steps_in_ball": torch.zeros_like(labels),
    }


def step_pgd(slots: Slots, seen: Seen, params: PgdDoublingParams) -> tuple[Slots, Tensor]:
    """Takes a step of a tenth of the radius in its ball; a sample is done at its first change of label.

    A sample that resists a radius goes on from where it is in twice the radius, up to `params.max_epsilon`.

    Note:
        The paper's loss is the cross-entropy; this one's gradient has the same direction.
    """
    is_exhausted = slots.own["num_steps_in_ball"] == params.num_steps
    radii = torch.where(is_exhausted, 2 * slots.own["radii"], slots.own["radii"])
    taken = slots.own["num_steps_in_ball"].masked_fill(is_exhausted, 0)
    is_done = seen.is_adversarial | (radii > params.max_epsilon)
    step = per_sample(params.step_fraction * radii, slots.images) * normalise(seen.gradients)
    moved = project_to_ball(slots.iterates - step, slots.images, radii)
    return slots.move(moved, radii=radii, num_steps_in_ball=taken + 1), is_done


PGD_DOUBLING = Search(
    "pgd_doubling",
    PgdDoublingParams,
    begin_pgd,
    lambda logits, slots: compute_soft_margin(logits, slots.labels),
    step_pgd,
)
