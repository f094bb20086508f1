"""Random labels: the forget set is learned wrong (Golatkar et al., arXiv 1911.04933)."""

from amun.methods.labels import draw_wrong_labels
from amun.methods.method import Method
from amun.methods.problem import Unlearned, UnlearningProblem
from amun.methods.tuning import LabelledImages, count_classes, fine_tune, list_remain


def unlearn_random_label(problem: UnlearningProblem) -> Unlearned:
    """Fine-tunes on D_R (where available) and D_F with wrong labels, drawn once."""
    return fine_tune(problem, [*list_remain(problem), relabel_forget(problem)])


def relabel_forget(problem: UnlearningProblem) -> LabelledImages:
    """Returns D_F with wrong labels drawn by `unlearning.seed`."""
    seed = problem.params.unlearning.seed
    return problem.forget_images, draw_wrong_labels(problem.forget_labels, count_classes(problem), seed)


RANDOM_LABEL = Method("random_label", unlearn_random_label)
