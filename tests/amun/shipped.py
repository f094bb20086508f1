"""The shipped parameters, the recorded figures and small data for the library's tests, and a process of its own."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sklearn.datasets import load_digits
from torch import Tensor, nn

from amun.core.params import OptimisationParams
from amun.params import load_params

ROOT = Path(__file__).resolve().parents[2]
PARAMS = load_params(ROOT / "params.yaml")

needs_glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="another C library has its own way with memory"
)


def load_oracle(name: str) -> dict[str, Tensor]:
    """Returns the arrays of a recorded file."""
    return load_file(ROOT / "tests" / "oracle" / f"{name}.safetensors")


def load_digit_images() -> tuple[Tensor, Tensor]:
    """Returns scikit-learn's digits: images (1797, 1, 8, 8) float32 in [0, 1], labels (1797,)."""
    digits = load_digits()
    return torch.from_numpy(digits.images).float()[:, None] / 16, torch.from_numpy(digits.target)


def change_optimisation(**changes: object) -> OptimisationParams:
    """Returns `unlearning` of the shipped parameters with changes."""
    return PARAMS.unlearning.model_copy(update=changes)


def copy_weights(model: nn.Module) -> dict[str, Tensor]:
    """Returns a copy of a model's weights and buffers."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def have_same_weights(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Returns whether two models' weights are the same to the last bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def run_apart(program: str) -> subprocess.CompletedProcess[str]:
    """Runs Python in a process of its own: what configuring sets is global."""
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
