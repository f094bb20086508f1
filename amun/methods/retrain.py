"""Exact unlearning: a new model that has never seen the forget set."""

from amun.methods.method import Method
from amun.methods.problem import Unlearned, UnlearningProblem
from amun.methods.tuning import keep_history, require_remain
from amun.model.trainer import train_model


def retrain(problem: UnlearningProblem) -> Unlearned:
    """Trains a freshly initialised model on D_R as the base was trained.

    Raises:
        InputError: D_R is not available.
    """
    images, labels = require_remain(problem)
    history, on_epoch = keep_history(problem)
    model = problem.build()
    train_model(
        model,
        images,
        labels,
        params=problem.params.training,
        precision=problem.params.runtime.precision,
        on_epoch=on_epoch,
    )
    return Unlearned(model.eval(), history)


RETRAIN = Method("retrain", retrain, needs_remain=True)
