"""What the files of a package declare, so that a new file is all that a new method or search needs."""

from importlib import import_module
from pkgutil import iter_modules
from typing import TypeVar

Declared = TypeVar("Declared")


def find_declared(package: str, kind: type[Declared]) -> list[Declared]:
    """Returns every object of a class that stands at the top of a module of the package, by module and place.

    Args:
        package: its dotted name; the modules that ask this question must not lie in it, or import nothing of it.
        kind: the class.
    """
    found: list[Declared] = []
    for module in iter_modules(import_module(package).__path__, f"{package}."):
        values = vars(import_module(module.name)).values()
        found += [value for value in values if isinstance(value, kind) and value not in found]
    return found
