"""`params.yaml` checked to the end: what a source, a search or a method takes is known in its own file."""

from pathlib import Path

from amun.core.errors import InputError, join_lines
from amun.core.params import Params, read_params
from amun.methods.catalogue import check_attempt, find_method, load_method
from amun.methods.method import Method
from amun.search.catalogue import check_blocks
from amun.store.sources.catalogue import check_options


def load_params(path: Path) -> Params:
    """Returns the content of a `params.yaml` in which every key is known and in its range.

    Raises:
        InputError: the file is missing or no YAML, or a key is unknown, missing or mistyped; the line names it. Or a
            method of the user's own cannot be imported.
    """
    try:
        return check_params(read_params(path))
    except ValueError as error:
        raise InputError(f"{path.name}: {join_lines(error)}") from None


def check_params(params: Params) -> Params:
    """Returns the parameters with each search's block as its model.

    Raises:
        ValueError: a source, a search or a method is unknown, or does not take what it is given.
    """
    check_options(params.data)
    _check_attempts(params)
    if params.data.remain == "use" and not params.unlearning.attempts[-1].is_exact:
        raise ValueError("unlearning.attempts: the last one must be exact (retrain), so that every request is honoured")
    if params.data.remain == "none" and params.gate.insufficient != "pass_with_warning":
        raise ValueError(
            f"gate.insufficient: {params.gate.insufficient} ends in retraining, which needs the remain set, "
            "but data.remain is none; write pass_with_warning"
        )
    if params.data.remain == "none" and params.unlearning.policy == "cheapest":
        raise ValueError(
            "unlearning.policy: cheapest weighs attempts against exact retraining, which needs the remain set, "
            "but data.remain is none; write in_order"
        )
    return params.model_copy(update={"adversarial": check_blocks(params.adversarial)})


def _check_attempts(params: Params) -> None:
    """Refuses attempts that no wave can make."""
    for number, attempt in enumerate(params.unlearning.attempts, start=1):
        try:
            check_attempt(attempt)
            _check_needs(find_method(attempt.method), params)
            load_method(attempt.method)
        except ValueError as error:
            raise ValueError(f"unlearning.attempts {number}: {error}") from None


def _check_needs(method: Method, params: Params) -> None:
    if method.is_ablation:
        raise ValueError(f"{method.name} is an ablation: it shows what does not work, and is for benchmarks")
    if method.needs_target_weights and not params.references.keep_weights:
        raise ValueError(
            f"{method.name} needs the target references' weights, which are not kept (references.keep_weights)"
        )
    if method.asks_targets and not params.references.num_target:
        raise ValueError(f"{method.name} needs target references, but references.num_target is 0")
    if method.needs_remain and params.data.remain == "none":
        raise ValueError(f"{method.name} needs the remain set, but data.remain is none")
