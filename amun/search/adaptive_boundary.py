"""The adaptive boundary search: along the boundary to where it comes nearest, for the likeliest other labels in turn.

After FAB, the fast adaptive boundary attack (arXiv 1907.02044).
"""

from typing import Annotated, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from amun.core.params import Count, Positive, Section
from amun.search.geometry import compute_products, per_sample, project_to_plane
from amun.search.margin_steps import choose_drops
from amun.search.margins import compute_margin_to, find_likeliest_other, rank_others
from amun.search.queue import Search
from amun.search.slots import Seen, Slots


class AdaptiveBoundaryParams(Section):
    """Along the boundary, for the likeliest other labels in turn."""

    num_targets: Count
    num_steps: Annotated[int, Field(ge=2)]
    max_steps: Annotated[int, Field(ge=2)]
    overshoot: Positive
    pull: Annotated[float, Field(ge=0, le=1)]
    pull_decay: Annotated[float, Field(ge=0, le=1)]
    max_distance_ratio: Positive

    @model_validator(mode="after")
    def check_steps(self) -> Self:
        """Refuses fewer steps without an example than with one."""
        if self.max_steps < self.num_steps:
            raise ValueError("max_steps must not be below num_steps")
        return self


def begin_adaptive_boundary(labels: Tensor, params: AdaptiveBoundaryParams) -> dict[str, Tensor]:
    """Returns for each sample: which target's turn it is, the targets and their distances, the steps and the pull."""
    unknown = labels.new_zeros(len(labels), params.num_targets)
    return {
        "turns": torch.zeros_like(labels),
        "targets": unknown,
        "distances": torch.zeros(unknown.shape, device=labels.device),
        "num_steps_to_target": torch.zeros_like(labels),
        "target_norms": torch.full((len(labels),), torch.inf, device=labels.device),
        "pulls": torch.full((len(labels),), params.pull, device=labels.device),
    }


def compute_target_margins(logits: Tensor, slots: Slots) -> Tensor:
    """Returns (N,): in the first turn the margin to whichever label is likeliest now, later to the turn's target."""
    turns = slots.own["turns"]
    targets = slots.own["targets"].gather(1, turns[:, None]).squeeze(1)
    likeliest = find_likeliest_other(logits.detach(), slots.labels)
    return compute_margin_to(logits, slots.labels, torch.where(turns == 0, likeliest, targets))


def step_adaptive_boundary(slots: Slots, seen: Seen, params: AdaptiveBoundaryParams) -> tuple[Slots, Tensor]:
    """Goes behind the margin's tangent plane, and on that plane towards its point nearest to the sample.

    Where the last step was no gain the pull towards that point falls: at 0 what is left is DeepFool, which crosses
    any boundary; at 1 the step is exact where the boundary is a plane.

    Note:
        FAB takes the gradients of all labels at each step. Here the likeliest other labels have their turns, one
        gradient a step, and a label whose boundary looks far has none.
    """
    own = slots.own
    slopes = seen.slopes.clamp_min(1e-30)
    targets, distances = _rank_targets(slots, seen, slopes)
    is_gain = seen.is_adversarial & (seen.norms < own["target_norms"])
    target_norms = torch.where(is_gain, seen.norms, own["target_norms"])
    pulls = torch.where(is_gain | (own["num_steps_to_target"] == 0), own["pulls"], own["pulls"] * params.pull_decay)

    drops = seen.losses + compute_products(seen.gradients, slots.images - slots.iterates)
    crossing = choose_drops(seen, params.overshoot)
    crossed, nearest = _project_both(slots, seen.gradients, crossing, drops * (1 + params.overshoot))
    moved = torch.lerp(crossed, nearest, per_sample(pulls, crossed))

    num_steps = own["num_steps_to_target"] + 1
    is_far = (own["turns"] > 0) & (drops / slopes > slots.nearest_norms)
    is_over = is_far | (slots.is_found & (num_steps >= params.num_steps)) | (num_steps >= params.max_steps)
    turns = _find_turns(own["turns"], is_over, distances, slots.nearest_norms, params)
    is_done = turns >= targets.shape[1]
    return slots.move(
        torch.where(per_sample(is_over, moved), slots.images, moved),
        turns=turns.clamp_max(targets.shape[1] - 1),
        targets=targets,
        distances=distances,
        num_steps_to_target=num_steps.masked_fill(is_over, 0),
        target_norms=target_norms.masked_fill(is_over, torch.inf),
        pulls=pulls.masked_fill(is_over, params.pull),
    ), is_done


def _project_both(slots: Slots, normals: Tensor, drops: Tensor, drops_from_images: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the points of a plane nearest to the iterates, and those nearest to the samples."""
    both = project_to_plane(
        torch.cat([slots.iterates, slots.images]),
        torch.cat([normals, normals]),
        torch.cat([drops, drops_from_images]),
    )
    crossed, nearest = both.chunk(2)
    return crossed, nearest


def _rank_targets(slots: Slots, seen: Seen, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the targets (N, T), likeliest first, and how far they look: as the first step has seen them."""
    targets, distances = slots.own["targets"], slots.own["distances"]
    is_first = slots.num_steps == 0
    if not is_first.any():
        return targets, distances
    others, ranked = rank_others(seen.logits, slots.labels, targets.shape[1])
    seen_distances = (seen.logits.gather(1, slots.labels[:, None]) - others) / slopes[:, None]
    is_first = is_first[:, None]
    return torch.where(is_first, ranked, targets), torch.where(is_first, seen_distances, distances)


def _find_turns(
    turns: Tensor, is_over: Tensor, distances: Tensor, nearest_norms: Tensor, params: AdaptiveBoundaryParams
) -> Tensor:
    """Returns (N,) the turns, where one is over the next whose target does not look too far, or their number."""
    if not is_over.any():
        return turns
    num_targets = distances.shape[1]
    numbers = torch.arange(num_targets, device=turns.device)
    is_worth = distances.isfinite() & (distances <= params.max_distance_ratio * nearest_norms[:, None])
    following = torch.where(is_worth & (numbers > turns[:, None]), numbers, num_targets).amin(1)
    return torch.where(is_over, following, turns)


ADAPTIVE_BOUNDARY = Search(
    "adaptive_boundary", AdaptiveBoundaryParams, begin_adaptive_boundary, compute_target_margins, step_adaptive_boundary
)
