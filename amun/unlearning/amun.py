"""AMUN: fine-tune on the nearest adversarial examples with the base model's own labels (arXiv 2503.00917)."""

from amun.unlearning.problem import Unlearned, UnlearningProblem
from amun.unlearning.tuning import LabelledImages, fine_tune


def unlearn_amun(problem: UnlearningProblem) -> Unlearned:
    """Fine-tunes on D_R (where available), D_F with its true labels, and D_A."""
    return fine_tune(
        problem, [*_remain(problem), (problem.forget_images, problem.forget_labels), _adversarial(problem)]
    )


def unlearn_amun_a(problem: UnlearningProblem) -> Unlearned:
    """Fine-tunes on D_R (where available) and D_A: the forget samples themselves are not shown again."""
    return fine_tune(problem, [*_remain(problem), _adversarial(problem)])


def _adversarial(problem: UnlearningProblem) -> LabelledImages:
    return problem.adversarial_images, problem.adversarial_labels


def _remain(problem: UnlearningProblem) -> list[LabelledImages]:
    if problem.remain_images is None or problem.remain_labels is None:
        return []
    return [(problem.remain_images, problem.remain_labels)]
