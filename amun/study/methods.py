"""The methods of a benchmark: those of the registry, and the user's own."""

from amun.core.errors import InputError
from amun.core.params import AttemptParams
from amun.methods.catalogue import METHODS, check_attempt, find_method, is_own, load_method
from amun.study.records import AMUN, RETRAIN, Setting

OPTION = "--method"


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
    content = {"method": name, "learning_rate": learning_rate} | ({} if own is None else {own.name: parameter})
    attempt = AttemptParams.model_validate(content)
    check_attempt(attempt)
    return attempt


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
        load_method(name, OPTION)
    return [*names, *own]


def works_in(name: str, setting: Setting) -> bool:
    """Returns whether a method can do its work with or without the remain set."""
    return setting == "use" or not find_method(name).needs_remain
