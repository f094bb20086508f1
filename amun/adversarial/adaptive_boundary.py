"""The adaptive boundary search: along the boundary to where it comes nearest, for the likeliest other labels in turn.

After FAB, the fast adaptive boundary attack (arXiv 1907.02044).
"""

import torch
from torch import Tensor

from amun.adversarial.geometry import compute_norms, compute_products, per_sample, project_to_plane
from amun.adversarial.margin_steps import cross_plane
from amun.adversarial.margins import compute_margin, compute_margin_to, rank_others
from amun.adversarial.queue import Search
from amun.adversarial.slots import Seen, Slots
from amun.params import AdaptiveBoundaryParams

UNKNOWN = -1


def begin_adaptive_boundary(labels: Tensor, params: AdaptiveBoundaryParams) -> dict[str, Tensor]:
    """Returns for each sample: which target's turn it is, the targets and their distances, the steps and the pull."""
    unknown = torch.full((len(labels), params.num_targets), UNKNOWN, device=labels.device)
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
    targets = slots.own["targets"].gather(1, turns[:, None]).squeeze(1).clamp_min(0)
    to_any, to_target = compute_margin(logits, slots.labels), compute_margin_to(logits, slots.labels, targets)
    return torch.where(turns == 0, to_any, to_target)


def step_adaptive_boundary(slots: Slots, seen: Seen, params: AdaptiveBoundaryParams) -> tuple[Slots, Tensor]:
    """Goes behind the margin's tangent plane, and on that plane towards its point nearest to the sample.

    Where the last step was no gain the pull towards that point falls: at 0 what is left is DeepFool, which crosses
    any boundary; at 1 the step is exact where the boundary is a plane.

    Note:
        FAB takes the gradients of all labels at each step. Here the likeliest other labels have their turns, one
        gradient a step, and a label whose boundary looks far has none.
    """
    own = slots.own
    is_first = slots.num_steps == 0
    slopes = compute_norms(seen.gradients).clamp_min(1e-30)
    others, ranked = rank_others(seen.logits, slots.labels, own["targets"].shape[1])
    true_logits = seen.logits.gather(1, slots.labels[:, None])
    targets = torch.where(is_first[:, None], ranked, own["targets"])
    distances = torch.where(is_first[:, None], (true_logits - others) / slopes[:, None], own["distances"])

    is_gain = seen.is_adversarial & (seen.norms < own["target_norms"])
    target_norms = torch.where(is_gain, seen.norms, own["target_norms"])
    pulls = torch.where(is_gain | (own["num_steps_to_target"] == 0), own["pulls"], own["pulls"] * params.pull_decay)

    drops = seen.losses + compute_products(seen.gradients, slots.images - slots.iterates)
    nearest = project_to_plane(slots.images, seen.gradients, drops * (1 + params.overshoot))
    crossed = cross_plane(slots.iterates, seen, params.overshoot)
    moved = torch.lerp(crossed, nearest, per_sample(pulls, crossed))

    num_steps = own["num_steps_to_target"] + 1
    is_far = (own["turns"] > 0) & (drops / slopes > slots.nearest_norms)
    is_over = is_far | (slots.is_found & (num_steps >= params.num_steps)) | (num_steps >= params.max_steps)
    turns = torch.where(is_over, _find_next_turn(own["turns"], distances, slots.nearest_norms, params), own["turns"])
    is_done = turns >= targets.shape[1]
    fresh = begin_adaptive_boundary(slots.labels, params)
    return slots.move(
        torch.where(per_sample(is_over, moved), slots.images, moved),
        turns=turns.clamp_max(targets.shape[1] - 1),
        targets=targets,
        distances=distances,
        num_steps_to_target=num_steps.masked_fill(is_over, 0),
        target_norms=torch.where(is_over, fresh["target_norms"], target_norms),
        pulls=torch.where(is_over, fresh["pulls"], pulls),
    ), is_done


def _find_next_turn(turns: Tensor, distances: Tensor, nearest_norms: Tensor, params: AdaptiveBoundaryParams) -> Tensor:
    """Returns (N,) the next target that does not look too far, or the number of targets."""
    num_targets = distances.shape[1]
    numbers = torch.arange(num_targets, device=turns.device)
    is_worth = distances.isfinite() & (distances <= params.max_distance_ratio * nearest_norms[:, None])
    return torch.where(is_worth & (numbers > turns[:, None]), numbers, num_targets).amin(1)


ADAPTIVE_BOUNDARY = Search(begin_adaptive_boundary, compute_target_margins, step_adaptive_boundary)
