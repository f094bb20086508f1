"""Which packages are of other versions than those that were tested together."""

import re
from importlib.metadata import distributions
from pathlib import Path

CONSTRAINTS = Path("constraints.txt")
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;#]+)", re.MULTILINE)


def list_other_versions(constraints: Path) -> list[str]:
    """Returns `NAME INSTALLED (PINNED)` for each package that is installed in another version than a file pins.

    A build of the pinned version for another device, such as `2.9.0+cu128`, is that version.
    """
    pinned = {_normalise(name): version for name, version in _PIN.findall(constraints.read_text(encoding="utf-8"))}
    # the first that is found is the one that is imported
    installed: dict[str, str] = {}
    for found in distributions():
        installed.setdefault(_normalise(found.name), found.version)
    return [
        f"{name} {installed[name]} ({version})"
        for name, version in sorted(pinned.items())
        if name in installed and _strip_build(installed[name]) != _strip_build(version)
    ]


def _normalise(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _strip_build(version: str) -> str:
    return version.partition("+")[0]
