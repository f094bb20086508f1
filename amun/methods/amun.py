"""AMUN: fine-tune on the nearest adversarial examples with the base model's own labels (arXiv 2503.00917)."""

from amun.methods.method import Method
from amun.methods.problem import Unlearned, UnlearningProblem
from amun.methods.tuning import fine_tune, get_adversarial, get_forget, list_remain


def unlearn_amun(problem: UnlearningProblem) -> Unlearned:
    """Fine-tunes on D_R (where available), D_F with its true labels, and D_A."""
    return fine_tune(problem, [*list_remain(problem), get_forget(problem), get_adversarial(problem)])


def unlearn_amun_a(problem: UnlearningProblem) -> Unlearned:
    """Fine-tunes on D_R (where available) and D_A: the forget samples themselves are not shown again."""
    return fine_tune(problem, [*list_remain(problem), get_adversarial(problem)])


AMUN = Method("amun", unlearn_amun, needs_adversarial=True)
AMUN_A = Method("amun_a", unlearn_amun_a, needs_adversarial=True)
