"""SCRUB: the student obeys its teacher on what remains and disobeys on what is to go (Kurmanji, arXiv 2302.09880)."""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import torch
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax, softmax

from amun.core.params import Params
from amun.methods.method import Method, Parameter, Range
from amun.methods.problem import Unlearned, UnlearningProblem
from amun.methods.tuning import AnyLabelledImages, get_forget, keep_history, require_parameter, require_remain
from amun.model.training import (
    Sgd,
    augment,
    compute_logits,
    draw_batches,
    make_optimizer,
    seeded,
    summarise_epoch,
    take_step,
)
from amun.store.image_sets import ImageSet, as_set

# of the published runs on CIFAR-10
TEMPERATURE = 4.0
TEACHER_WEIGHT = 0.5
LABEL_WEIGHT = 0.99


@dataclass(frozen=True)
class Lesson:
    """One pass over a set.

    Attributes:
        images: (N, C, H, W).
        labels: (N,).
        ask_teacher: returns the teacher's logits (B, K) of a batch, from its places (B,) and its images as augmented.
        compute_loss: returns the loss from the teacher's logits, the student's, and the labels.
    """

    images: ImageSet
    labels: Tensor
    ask_teacher: Callable[[Tensor, Tensor], Tensor]
    compute_loss: Callable[[Tensor, Tensor, Tensor], Tensor]


def unlearn_scrub(problem: UnlearningProblem) -> Unlearned:
    """Ascends on D_F at the start of the first `ascent_share` of the epochs, descends on D_R in every epoch."""
    optimisation = problem.params.unlearning
    ascent = _plan_lesson(problem, get_forget(problem), disobey)
    descent = _plan_lesson(problem, require_remain(problem), obey)
    num_ascents = round(require_parameter(problem, "ascent_share") * optimisation.epochs)
    epochs = [[ascent, descent] if epoch < num_ascents else [descent] for epoch in range(optimisation.epochs)]
    num_steps = sum(_count_batches(lesson, optimisation.batch_size) for lessons in epochs for lesson in lessons)
    student = deepcopy(problem.base)
    optimizer = make_optimizer(student, optimisation, require_parameter(problem, "learning_rate"), num_steps)
    order = Generator().manual_seed(optimisation.seed)
    history, on_epoch = keep_history(problem)
    student.train()
    with seeded(problem.forget_images.device, optimisation.seed):
        for epoch, lessons in enumerate(epochs, start=1):
            for lesson in lessons:
                totals = _learn(student, optimizer, lesson, order, problem.params)
                metrics = summarise_epoch(epoch, totals, len(lesson.images))
            on_epoch(metrics)
    return Unlearned(student.eval(), history)


def _learn(
    student: nn.Module,
    optimizer: Sgd,
    lesson: Lesson,
    order: Generator,
    params: Params,
) -> Tensor:
    """Returns the lesson's totals (2,): the loss, and how many samples were labelled right."""
    optimisation, precision = params.unlearning, params.runtime.precision
    totals = torch.zeros(2, device=lesson.images.device)
    batches = list(draw_batches(len(lesson.images), _count_batches(lesson, optimisation.batch_size), order))
    for batch, plain_images in zip(batches, lesson.images.stream(batches), strict=True):
        chosen = batch.to(lesson.images.device)
        images = augment(plain_images, optimisation.augmentation, order)
        compute_loss = partial(lesson.compute_loss, lesson.ask_teacher(chosen, images))
        totals += take_step(student, optimizer, images, lesson.labels[chosen], precision, compute_loss)
    return totals


def _plan_lesson(
    problem: UnlearningProblem, part: AnyLabelledImages, compute_loss: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> Lesson:
    images, labels = as_set(part[0]), part[1]

    def ask_teacher(_: Tensor, augmented: Tensor) -> Tensor:
        return compute_logits(problem.base, augmented).to(images.device)

    if problem.params.unlearning.augmentation != "none":
        return Lesson(images, labels, ask_teacher, compute_loss)
    answers = compute_logits(problem.base, images).to(images.device)  # the same in every epoch
    return Lesson(images, labels, lambda chosen, _: answers[chosen], compute_loss)


def _count_batches(lesson: Lesson, batch_size: int) -> int:
    return math.ceil(len(lesson.images) / batch_size)


def obey(teacher_logits: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the loss on what remains: near the teacher and right."""
    return TEACHER_WEIGHT * _measure_distance(teacher_logits, logits) + LABEL_WEIGHT * cross_entropy(logits, labels)


def disobey(teacher_logits: Tensor, logits: Tensor, labels: Tensor) -> Tensor:  # noqa: ARG001 - labels play no part
    """Returns the loss on what is to be forgotten: the less, the farther from the teacher."""
    return -_measure_distance(teacher_logits, logits)


def _measure_distance(teacher_logits: Tensor, logits: Tensor) -> Tensor:
    """Returns the mean divergence of the student from its teacher, softened, times the temperature squared."""
    student_log, teacher = log_softmax(logits / TEMPERATURE, 1), softmax(teacher_logits / TEMPERATURE, 1)
    return kl_div(student_log, teacher, reduction="batchmean") * TEMPERATURE**2


ASCENT_SHARE = Parameter(
    "ascent_share",
    Annotated[float, Field(ge=0, le=1)],
    Range(0.1, 0.9, "linear"),
    "the share of the epochs that begin with an ascent",
)
SCRUB = Method("scrub", unlearn_scrub, ASCENT_SHARE, needs_remain=True)
