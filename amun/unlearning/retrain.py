"""Exact unlearning: a new model that has never seen the forget set."""

from amun.errors import InputError
from amun.unlearning.problem import Unlearned, UnlearningProblem
from amun.unlearning.tuning import train


def retrain(problem: UnlearningProblem) -> Unlearned:
    """Trains a freshly initialised model on D_R as the base was trained.

    Raises:
        InputError: D_R is not available.
    """
    if problem.remain_images is None or problem.remain_labels is None:
        raise InputError("unlearning: retrain needs the remain set; set data.remain to use")
    training = problem.params.training
    data = problem.remain_images, problem.remain_labels
    return train(problem, problem.build(), data, training, training.learning_rate)
