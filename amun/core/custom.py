"""A user's own functions by name, `package.module:function`: an architecture, a trainer."""

import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from amun.core.errors import InputError, join_lines
from amun.core.paths import CUSTOM


def import_function(key: str, name: str) -> Callable[..., Any]:
    """Returns the function that `name` names.

    Args:
        key: the parameter that names it, for the message.
        name: `package.module:function`; the workspace's root is on Python's path.

    Raises:
        InputError: there is no such module or function, the module fails while it is imported, or it lies in the
            workspace where no stage would notice a change in it.
    """
    module_name, _, attribute = name.partition(":")
    try:
        module = import_module(module_name)
        function = getattr(module, attribute)
    except Exception as error:  # a user's module may raise anything
        raise InputError(f"{key}: cannot import '{name}': {describe_error(error)}") from error
    if not callable(function):
        raise InputError(f"{key}: '{name}' is no function")
    _require_tracked(key, module)
    checked: Callable[..., Any] = function
    return checked


def describe_error(error: Exception) -> str:
    """Returns an error of a user's code in one line, with its kind and the line of code that raised it."""
    # the first frame is the caller's own; Python's importer has no file
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)[1:] if not frame.filename.startswith("<")]
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {join_lines(error)}{where}"


def _require_tracked(key: str, module: ModuleType) -> None:
    """Refuses code of the workspace on which no stage depends; installed packages are part of the environment."""
    root, source = Path.cwd(), Path(module.__file__ or "/").resolve()
    is_foreign = not source.is_relative_to(root) or "site-packages" in source.parts
    if not is_foreign and not source.is_relative_to(root / CUSTOM):
        raise InputError(
            f"{key}: {source.relative_to(root)} lies where no stage would notice a change in it; "
            f"move it into {CUSTOM}/ and write {CUSTOM}.{module.__name__}"
        )
