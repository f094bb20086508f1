"""The machine and the versions that figures belong to."""

import os
import platform
from importlib.metadata import version

import torch

from amun.core.processors import name_processor

PACKAGES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn")


def describe_machine(device: torch.device) -> str:
    """Returns processor, cores, device and versions in one line."""
    computed_on = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} thread"
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    return f"{name_processor()}, {os.cpu_count()} cores, on {computed_on}; {versions}"


def list_versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that compute."""
    return {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}}
