"""Boundary shrink: move each forget sample to the class beyond its nearest boundary (Chen et al., arXiv 2303.11570)."""

from torch import Tensor

from amun.methods.labels import FGSM_STEP, find_nearest_wrong, step_across
from amun.methods.method import Method
from amun.methods.problem import Unlearned, UnlearningProblem
from amun.methods.tuning import fine_tune, require_parameter


def unlearn_boundary_shrink(problem: UnlearningProblem) -> Unlearned:
    """Fine-tunes on D_F, each sample labelled with the class beyond its nearest boundary."""
    return fine_tune(problem, [(problem.forget_images, find_labels_beyond(problem))])


def find_labels_beyond(problem: UnlearningProblem) -> Tensor:
    """Returns (F,) the wrong label that the base likes best after one FGSM step of the attempt's size."""
    images, labels, base = problem.forget_images, problem.forget_labels, problem.base
    stepped = step_across(base, images, labels, require_parameter(problem, "fgsm_step"))
    return find_nearest_wrong(base, stepped, labels)


BOUNDARY_SHRINK = Method("boundary_shrink", unlearn_boundary_shrink, FGSM_STEP)
