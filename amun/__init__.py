"""Machine unlearning for image classifiers: the method, its audit and the files they live in.

This package is the library layer. It never imports Prefect, MLflow, DVC or boto3. Whoever has tensors and a model, and
no workspace, finds the paper in eleven names: `make_params`, `make_samples`, `train`, `train_references`, `References`,
`find_adversarial`, `unlearn`, `METHODS`, `measure_forgetting`, `Auditor` and `Forgetting` (docs/library.md).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from amun.library.forgetting import Auditor, Forgetting, find_adversarial, measure_forgetting, unlearn
    from amun.library.learning import References, train, train_references
    from amun.library.samples import make_params, make_samples
    from amun.methods.catalogue import METHODS

__all__ = [
    "METHODS",
    "Auditor",
    "Forgetting",
    "References",
    "find_adversarial",
    "make_params",
    "make_samples",
    "measure_forgetting",
    "train",
    "train_references",
    "unlearn",
]

# the one place of the version: the package's metadata and `amun --version` take it from here
__version__ = "0.2.0"

_HOMES = {
    "amun.library.forgetting": ("Auditor", "Forgetting", "find_adversarial", "measure_forgetting", "unlearn"),
    "amun.library.learning": ("References", "train", "train_references"),
    "amun.library.samples": ("make_params", "make_samples"),
    "amun.methods.catalogue": ("METHODS",),
}


def __getattr__(name: str) -> Any:
    """Imports what is asked for: a short command line must not wait for PyTorch."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'amun' has no attribute {name!r}")
