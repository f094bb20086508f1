"""What must be the same where the same bytes are to come out."""

import hashlib
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path

import amun


@cache
def describe_release(device: str = "cpu") -> str:
    """Returns the code, the packages that compute and the kind of processor of this process, in one line.

    Args:
        device: on which it computes, as PyTorch names it; of an accelerator its model and libraries are told, too.
    """
    from torch.backends.cpu import get_cpu_capability  # only here: it takes a second

    root = Path(amun.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy"))
    python = platform.python_version()
    code = f"amun {amun.__version__} ({digest.hexdigest()[:12]})"
    return f"{code}, Python {python}, {packages}, {get_cpu_capability()}{_describe_accelerator(device)}"


def _describe_accelerator(device: str) -> str:
    import torch

    if torch.device(device).type == "cpu":
        return ""
    if not torch.cuda.is_available():
        return ", no GPU"
    model, cudnn = torch.cuda.get_device_name(torch.device(device)), torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return f", {model}, CUDA {torch.version.cuda}, cuDNN {cudnn}"
