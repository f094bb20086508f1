"""The methods of a benchmark: those of the registry, and the user's own."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from amun.core.custom import describe_error, import_function
from amun.core.errors import AttemptError, InputError
from amun.methods.catalogue import METHODS, find_method, is_own
from amun.methods.problem import Unlearned, UnlearningProblem
from amun.params import AttemptParams
from amun.study.records import AMUN, RETRAIN, Setting

OPTION = "--method"


def load_method(name: str) -> Callable[..., Any]:
    """Returns the function of a method; one of the user's own fails by `AttemptError` alone.

    Raises:
        InputError: a user's own cannot be imported.
    """
    if not is_own(name):
        return METHODS[name].load()
    function = import_function(OPTION, name)

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


def make_attempt(name: str, learning_rate: float | None, parameter: float | None) -> AttemptParams:
    """Returns the attempt with a method's learning rate and its own parameter, if it has one.

    Raises:
        ValueError: it has none, but one is given.
    """
    own = find_method(name).parameter
    if own is None and parameter is not None:
        raise ValueError(
            f"parameter: {parameter:g} is given, but {name} has none besides its learning rate; write null"
        )
    content = {"method": name, "learning_rate": learning_rate} | ({} if own is None else {own: parameter})
    return AttemptParams.model_validate(content)


def list_methods(named: tuple[str, ...], own: tuple[str, ...], num_targets: int) -> list[str]:
    """Returns the methods of a study, without exact retraining: what all others are compared with.

    Args:
        named: of the registry, or `all`.
        own: the user's.
        num_targets: target references that there are.

    Raises:
        InputError: a name is unknown or there twice, AMUN is missing, a method has no target references to ask, or a
            user's method cannot be imported.
    """
    names = [name for name in METHODS if name != RETRAIN] if named == ("all",) else list(named)
    if unknown := [name for name in names if name not in METHODS or name == RETRAIN]:
        known = ", ".join(name for name in METHODS if name != RETRAIN)
        raise InputError(f"preset: methods: unknown '{unknown[0]}'; known are {known} ({RETRAIN} is always run)")
    if AMUN not in names:
        raise InputError(f"preset: methods: {AMUN} is missing; all others are compared with it")
    if twice := [name for name in {*names, *own} if [*names, *own].count(name) > 1]:
        raise InputError(f"preset: methods: {twice[0]} is there twice")
    if without := [name for name in names if num_targets == 0 and find_method(name).asks_targets]:
        raise InputError(f"preset: methods: {without[0]} needs target references, but references.num_target is 0")
    for name in own:
        if not is_own(name):
            raise InputError(f"{OPTION}: write '{name}' as package.module:function")
        load_method(name)
    return [*names, *own]


def works_in(name: str, setting: Setting) -> bool:
    """Returns whether a method can do its work with or without the remain set."""
    return setting == "use" or not find_method(name).needs_remain
