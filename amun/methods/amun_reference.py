"""AMUN on references (ours): adversarial examples of models that never saw the sample, so the base leaves no trace."""

import torch

from amun.core.errors import InputError
from amun.methods.labels import draw_unseen
from amun.methods.method import Method
from amun.methods.problem import Unlearned, UnlearningProblem
from amun.methods.tuning import LabelledImages, fine_tune, get_forget, list_remain, require_targets
from amun.search.catalogue import find_adversarial


def unlearn_amun_reference(problem: UnlearningProblem) -> Unlearned:
    """Fine-tunes on AMUN's sets, D_A searched on and labelled by target references in place of the base."""
    return fine_tune(problem, [*list_remain(problem), get_forget(problem), search_on_references(problem)])


def search_on_references(problem: UnlearningProblem) -> LabelledImages:
    """Returns adversarial images (F, C, H, W) and labels (F,), each of one reference that never saw the sample."""
    targets = require_targets(problem)
    if targets.load is None:
        raise InputError("unlearning: amun_reference needs the target references' weights, which were not kept")
    chosen = draw_unseen(targets, problem.params.unlearning.seed)
    images, labels = problem.forget_images.clone(), problem.forget_labels.clone()
    for number in set(chosen.tolist()):
        mine = chosen == number
        found = find_adversarial(
            targets.load(number),
            problem.forget_images[mine],
            problem.forget_labels[mine],
            params=problem.params.adversarial,
            sample_ids=[f"forget sample {position}" for position in torch.nonzero(mine)[:, 0].tolist()],
        )
        images[mine], labels[mine] = found.images, found.labels
    return images, labels


AMUN_REFERENCE = Method("amun_reference", unlearn_amun_reference, needs_target_weights=True)
