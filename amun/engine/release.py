"""What must be the same where the same bytes are to come out."""

import hashlib
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path

import amun


@cache
def describe_release() -> str:
    """Returns the code, the packages that compute and the kind of processor of this process, in one line."""
    from torch.backends.cpu import get_cpu_capability  # only here: it takes a second

    root = Path(amun.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy"))
    python = platform.python_version()
    return f"amun {amun.__version__} ({digest.hexdigest()[:12]}), Python {python}, {packages}, {get_cpu_capability()}"
