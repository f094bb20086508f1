"""Exact unlearning: a new model that has never seen the forget set."""

from amun.errors import InputError
from amun.trainer import train_model
from amun.training import EpochMetrics
from amun.unlearning.problem import Unlearned, UnlearningProblem


def retrain(problem: UnlearningProblem) -> Unlearned:
    """Trains a freshly initialised model on D_R as the base was trained.

    Raises:
        InputError: D_R is not available.
    """
    if problem.remain_images is None or problem.remain_labels is None:
        raise InputError("unlearning: retrain needs the remain set; set data.remain to use")
    history: list[EpochMetrics] = []

    def record(metrics: EpochMetrics) -> None:
        history.append(metrics)
        problem.on_epoch(metrics)

    model = problem.build()
    train_model(
        model,
        problem.remain_images,
        problem.remain_labels,
        params=problem.params.training,
        precision=problem.params.runtime.precision,
        on_epoch=record,
    )
    return Unlearned(model.eval(), history)
