"""The methods by name: what the files of this package declare, and a user's own."""

from collections.abc import Callable

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch import nn

from amun.core.custom import describe_error, import_function
from amun.core.discovery import find_declared
from amun.core.errors import AttemptError, DivergedError
from amun.core.params import AttemptParams
from amun.methods.method import Method
from amun.methods.problem import Unlearned, UnlearningProblem
from amun.model.training import explain_diverged

Unlearn = Callable[[UnlearningProblem], Unlearned]

# the paper's, ours and its baselines, as its tables have them; a method of a new file comes after them
ORDER = (
    "amun",
    "amun_a",
    "retrain",
    "fine_tune",
    "random_label",
    "gradient_ascent",
    "boundary_shrink",
    "l1_sparse",
    "salun",
    "amun_salun",
    "amun_a_salun",
    "scrub",
    "amun_reference",
    "amun_soft",
    "never_seen",
    "never_seen_hard",
    "never_seen_mean",
    "adversarial",
    "random_label_images",
    "adversarial_random_label",
    "random_noise_labels",
    "adversarial_fgsm",
)


_declared = {method.name: method for method in find_declared("amun.methods", Method)}
METHODS = {name: _declared[name] for name in (*ORDER, *sorted(set(_declared) - set(ORDER)))}


def find_method(name: str) -> Method:
    """Returns a method of the package, or a user's own `package.module:function`, which is given all there is.

    Raises:
        ValueError: it is neither.
    """
    if is_own(name):
        return Method(name, None, needs_adversarial=True)
    if name not in METHODS:
        raise ValueError(f"unknown method '{name}'; known are {', '.join(METHODS)}")
    return METHODS[name]


def is_own(name: str) -> bool:
    """Returns whether the name is that of a function of the user's."""
    return ":" in name


def load_method(name: str, key: str = "unlearning.attempts") -> Unlearn:
    """Returns the function of a method, which fails by `AttemptError` where what its model has or says is no number.

    One of the user's own fails so whatever happens.

    Args:
        name: of the method.
        key: where it is named, for the message.

    Raises:
        InputError: a user's own cannot be imported.
        ValueError: nobody knows the method.
    """
    function = find_method(name).unlearn or _guard_own(name, import_function(key, name))

    def unlearn(problem: UnlearningProblem) -> Unlearned:
        unlearned = function(problem)
        # the loss is looked at before the last step, and the gate cannot judge such a model
        if diverged := explain_diverged(unlearned.model, problem.forget_images):
            raise DivergedError(f"{name} made a model with {diverged}; lower its learning rate")
        return unlearned

    return unlearn


def _guard_own(name: str, function: Unlearn) -> Unlearn:
    def unlearn(problem: UnlearningProblem) -> Unlearned:
        shapes = _list_shapes(problem.base)
        try:
            unlearned = function(problem)
        except AttemptError:
            raise
        except Exception as error:  # a user's code may raise anything
            raise AttemptError(f"{name} failed: {describe_error(error)}") from error
        if not isinstance(unlearned, Unlearned):
            raise AttemptError(f"{name} must return an Unlearned, but returned {type(unlearned).__name__}")
        if _list_shapes(unlearned.model) != shapes:
            raise AttemptError(
                f"{name} must return a model with the base's parameters; others cannot serve in its place"
            )
        return unlearned

    return unlearn


def _list_shapes(model: nn.Module) -> list[tuple[str, torch.Size]]:
    return [(name, weight.shape) for name, weight in model.named_parameters()]


def check_attempt(attempt: AttemptParams) -> None:
    """Refuses a parameter that the method has no use for, a missing one that it needs, and one out of its range.

    Raises:
        ValueError: one of these, or nobody knows the method.
    """
    method = find_method(attempt.method)
    if method.is_exact and attempt.learning_rate is not None:
        raise ValueError(f"{attempt.method} takes no learning_rate: it trains as `training` says")
    if not method.is_exact and attempt.learning_rate is None:
        raise ValueError(f"{attempt.method} needs a learning_rate")
    own = {} if method.parameter is None else {method.parameter.name: method.parameter}
    for name in attempt.own:
        if name not in own and not is_own(attempt.method):
            raise ValueError(f"{attempt.method} takes no {name}")
    for name, parameter in own.items():
        if name not in attempt.own:
            raise ValueError(f"{attempt.method} needs a {name}: {parameter.meaning}")
        try:
            TypeAdapter(parameter.kind, config=ConfigDict(strict=True)).validate_python(attempt.own[name])
        except ValidationError as error:
            message = error.errors()[0]["msg"]
            raise ValueError(
                f"{attempt.method}: {name}: {message[0].lower()}{message[1:]}, found {attempt.own[name]!r}"
            ) from None
