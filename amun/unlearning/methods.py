"""The registry of unlearning methods: what each needs, and where its function lives.

The functions are named, not imported: reading the registry costs no import of PyTorch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Method:
    """A method by name.

    Attributes:
        function: `package.module:function`; takes an `UnlearningProblem`, returns an `Unlearned`.
        needs_remain: it cannot work without the remain set.
        is_exact: it trains anew on the remain set, so nothing of the forget set can be left.
    """

    function: str
    needs_remain: bool = False
    is_exact: bool = False

    def load(self) -> Callable[..., Any]:
        """Returns the method's function."""
        module, _, name = self.function.partition(":")
        function: Callable[..., Any] = getattr(import_module(module), name)
        return function


METHODS = {
    "amun": Method("amun.unlearning.amun:unlearn_amun"),
    "amun_a": Method("amun.unlearning.amun:unlearn_amun_a"),
    "retrain": Method("amun.unlearning.retrain:retrain", needs_remain=True, is_exact=True),
}
