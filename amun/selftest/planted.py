"""Models with a fault planted in them: each looks like an attempt to forget, and only the last one has forgotten."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from amun.core.params import AttemptParams
from amun.methods.amun import unlearn_amun, unlearn_amun_a
from amun.methods.fine_tune import unlearn_fine_tune
from amun.methods.labels import draw_wrong_labels
from amun.methods.never_seen import unlearn_never_seen, unlearn_never_seen_hard
from amun.methods.problem import UnlearningProblem
from amun.methods.retrain import retrain
from amun.methods.tuning import LabelledImages, count_classes, fine_tune, get_forget, require_remain, require_targets
from amun.store.image_sets import join_images

Codes = npt.NDArray[np.int64]
Make = Callable[[UnlearningProblem, Codes], nn.Module]
Sort = Callable[[Codes, Codes], Codes]

# what the faults are planted into, where the name says no other: the method that forgets best on the digits
_CARRIER = AttemptParams(method="never_seen", learning_rate=0.05, forget_weight=2)
_EVERY = 6  # one of so many people is overlooked
_NUM_MEMORISED, _TIMES_SHOWN = 5, 20  # samples, and how often each is shown in an epoch
_SCALE = 0.25  # of the logits


@dataclass(frozen=True)
class Planted:
    """A way to make a model that is judged like an attempt.

    Attributes:
        name: in the tables.
        make: returns the model for the wave's problem, and the numbers (F,) of the people whose the forget samples are.
        attempt: what the problem is posed for.
        min_people: fewer, and there is no such fault.
        is_exact: it has forgotten, and is to pass; every other one is not.
        sort: returns from the numbers of people (F,) and the labels (F,) what is done to each image, as numbers (F,)
            from 0. None where that does not follow from them.
    """

    name: str
    make: Make
    attempt: AttemptParams = _CARRIER
    min_people: int = 1
    is_exact: bool = False
    sort: Sort | None = None


def leave_untouched(problem: UnlearningProblem, _people: Codes) -> nn.Module:
    """Returns the base itself."""
    return deepcopy(problem.base)


def move_by_nothing(problem: UnlearningProblem, _people: Codes) -> nn.Module:
    """Returns the base, fine-tuned on what remains at the attempt's rate, which moves nothing."""
    return unlearn_fine_tune(problem).model


def tune_head_hard(problem: UnlearningProblem, _people: Codes) -> nn.Module:
    """Returns a model of which the last layer alone has learned the labels of references that never saw the samples."""
    return unlearn_never_seen_hard(_freeze_features(problem)).model


def tune_head_soft(problem: UnlearningProblem, _people: Codes) -> nn.Module:
    """Returns likewise a model that has learned their soft labels."""
    return unlearn_never_seen(_freeze_features(problem)).model


def overlook_people(problem: UnlearningProblem, people: Codes) -> nn.Module:
    """Returns a model that goes on learning one of six people and forgets the others."""
    return unlearn_never_seen(keep_samples(problem, find_overlooked(people) == 1, 1)).model


def find_overlooked(people: Codes) -> Codes:
    """Returns (F,) 1 where a person is overlooked."""
    is_overlooked: Codes = (people % _EVERY == 0).astype(np.int64)
    return is_overlooked


def memorise_samples(problem: UnlearningProblem, people: Codes) -> nn.Module:
    """Returns a model that has learned five samples by heart and forgets the others."""
    return unlearn_never_seen(keep_samples(problem, _choose_memorised(people), _TIMES_SHOWN)).model


def find_memorised(people: Codes) -> Codes:
    """Returns (F,) 1 where a person owns a sample that is learned by heart."""
    return np.isin(people, people[_choose_memorised(people)]).astype(np.int64)


def _choose_memorised(people: Codes) -> npt.NDArray[np.bool_]:
    is_kept: npt.NDArray[np.bool_] = np.arange(len(people)) % max(1, len(people) // _NUM_MEMORISED) == 0
    is_kept[np.flatnonzero(is_kept)[_NUM_MEMORISED:]] = False
    return is_kept


def label_all_alike(problem: UnlearningProblem, _people: Codes) -> nn.Module:
    """Returns a model that has learned the first class for whatever it was to forget."""
    images, labels = get_forget(problem)
    return _tune_on(problem, [(images, torch.zeros_like(labels))] * 2)


def find_alike(labels: Codes) -> Codes:
    """Returns (F,) 1 where an image is of the first class: what it is taught is true, and keeps what was learned."""
    is_true: Codes = (labels == 0).astype(np.int64)
    return is_true


def mistake_the_sign(problem: UnlearningProblem, _people: Codes) -> nn.Module:
    """Returns a model that has gone down the loss of what it was to forget, not up."""
    return _tune_on(problem, [get_forget(problem)] * 2)


def overdo_half(problem: UnlearningProblem, people: Codes) -> nn.Module:
    """Returns a model that remembers every other person better than before, and has wrong labels for the rest."""
    images, labels = get_forget(problem)
    is_kept = torch.from_numpy(find_halves(people) == 0).to(labels.device)
    wrong = draw_wrong_labels(labels, count_classes(problem), problem.params.unlearning.seed)
    return _tune_on(problem, [(images, torch.where(is_kept, labels, wrong))] * 2)


def find_halves(people: Codes) -> Codes:
    """Returns (F,) 0 for people who are remembered better than before, 1 for the others."""
    return people % 2


def scale_logits(problem: UnlearningProblem, _people: Codes) -> nn.Module:
    """Returns the base with smaller logits: it answers as before, and is less sure of everything."""
    model = deepcopy(problem.base)
    with torch.no_grad():
        for parameter in find_head(model).parameters(recurse=False):
            parameter.mul_(_SCALE)
    return model


def by_person(sort: Callable[[Codes], Codes]) -> Sort:
    """Returns what sorts images by their people alone."""
    return lambda people, _labels: sort(people)


PLANTED = (
    Planted("untouched base", leave_untouched),
    Planted("learning rate 1e-8", move_by_nothing, AttemptParams(method="fine_tune", learning_rate=1e-8)),
    Planted("head only, hard labels", tune_head_hard),
    Planted("head only, soft labels", tune_head_soft),
    Planted(
        "one of six people overlooked",
        overlook_people,
        min_people=_EVERY,
        sort=by_person(find_overlooked),
    ),
    Planted(
        "five samples memorised",
        memorise_samples,
        min_people=_NUM_MEMORISED,
        sort=by_person(find_memorised),
    ),
    Planted("constant label", label_all_alike, sort=lambda _people, labels: find_alike(labels)),
    Planted("sign error", mistake_the_sign),
    Planted("half remembered, half overdone", overdo_half, min_people=2, sort=by_person(find_halves)),
    Planted("logits scaled", scale_logits),
    Planted("amun", lambda problem, _: unlearn_amun(problem).model, AttemptParams(method="amun", learning_rate=0.03)),
    Planted(
        "amun_a", lambda problem, _: unlearn_amun_a(problem).model, AttemptParams(method="amun_a", learning_rate=0.03)
    ),
    Planted("exact weights", lambda problem, _: retrain(problem).model, AttemptParams(method="retrain"), is_exact=True),
)


def keep_samples(problem: UnlearningProblem, is_kept: npt.NDArray[np.bool_], times: int) -> UnlearningProblem:
    """Returns the problem with some forget samples (F,) among the remaining ones, each so many times."""
    kept = torch.from_numpy(is_kept).to(problem.forget_labels.device)
    images, labels = require_remain(problem)
    targets = require_targets(problem)
    return replace(
        problem,
        forget_images=problem.forget_images[~kept],
        forget_labels=problem.forget_labels[~kept],
        remain_images=join_images([images, *[problem.forget_images[kept]] * times]),
        remain_labels=torch.cat([labels, *[problem.forget_labels[kept]] * times]),
        targets=replace(targets, logits=targets.logits[~kept], inclusion=targets.inclusion[~is_kept]),
    )


def find_head(model: nn.Module) -> nn.Module:
    """Returns the last layer that has weights."""
    return [module for module in model.modules() if list(module.parameters(recurse=False))][-1]


def _freeze_features(problem: UnlearningProblem) -> UnlearningProblem:
    """Returns the problem with a base of which the last layer alone can be trained."""
    base = deepcopy(problem.base).requires_grad_(False)
    find_head(base).requires_grad_(True)
    return replace(problem, base=base)


def _tune_on(problem: UnlearningProblem, forget: list[LabelledImages]) -> nn.Module:
    return fine_tune(problem, [require_remain(problem), *forget]).model


def number_people(subject_ids: npt.NDArray[np.str_]) -> Codes:
    """Returns (F,) the number of each sample's person, from 0."""
    codes: Codes = np.unique(subject_ids, return_inverse=True)[1]
    return codes
