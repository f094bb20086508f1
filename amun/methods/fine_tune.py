"""Fine-tuning on what remains: the forget set fades only as the model drifts (Warnecke et al., arXiv 2108.11577)."""

from amun.methods.method import Method
from amun.methods.problem import Unlearned, UnlearningProblem
from amun.methods.tuning import fine_tune, require_remain


def unlearn_fine_tune(problem: UnlearningProblem) -> Unlearned:
    """Fine-tunes on D_R alone."""
    return fine_tune(problem, [require_remain(problem)])


FINE_TUNE = Method("fine_tune", unlearn_fine_tune, needs_remain=True)
