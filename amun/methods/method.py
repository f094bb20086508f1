"""How a method says what it is: each file of the package ends with its `Method`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amun.core.params import EXACT_METHOD
from amun.methods.problem import Unlearned, UnlearningProblem


@dataclass(frozen=True)
class Range:
    """From where to where the search for parameters tries.

    Attributes:
        low: the least.
        high: the most.
        scale: `log`, `linear`, or `whole` for whole numbers.
    """

    low: float
    high: float
    scale: str

    def __str__(self) -> str:
        """Returns the range in words."""
        words = {"log": "evenly by its logarithm", "linear": "evenly", "whole": "evenly, whole numbers"}
        return f"{self.low:g} to {self.high:g}, {words[self.scale]}"

    def place(self, position: float) -> float | int:
        """Returns the value at a position from 0 to 1, to three digits."""
        if self.scale == "whole":
            return int(min(self.high, self.low + int(position * (self.high - self.low + 1))))
        if self.scale == "log":
            return float(f"{self.low * (self.high / self.low) ** position:.3g}")
        return float(f"{self.low + (self.high - self.low) * position:.3g}")


LEARNING_RATES = Range(0.0005, 0.3, "log")


@dataclass(frozen=True)
class Parameter:
    """The one parameter that a method has besides its learning rate.

    Attributes:
        name: in an attempt.
        kind: the values that are allowed, as pydantic annotates them.
        tried: by the search for parameters.
        meaning: for the page of parameters.
    """

    name: str
    kind: Any
    tried: Range
    meaning: str


@dataclass(frozen=True)
class Method:
    """A method by name; the first line of its function's docstring says what it does.

    Attributes:
        name: in an attempt.
        unlearn: makes the unlearned model; for a user's own it is None, and found by its name.
        parameter: what an attempt with it needs besides a learning rate, if anything.
        needs_remain: it cannot work without the remain set.
        needs_adversarial: it cannot work without an adversarial example of each forget sample.
        needs_targets: it needs the target references' logits of the forget set.
        needs_target_weights: it needs the target references themselves.
        is_ablation: it shows what does not work; no wave makes an attempt with it.
    """

    name: str
    unlearn: Callable[[UnlearningProblem], Unlearned] | None
    parameter: Parameter | None = None
    needs_remain: bool = False
    needs_adversarial: bool = False
    needs_targets: bool = False
    needs_target_weights: bool = False
    is_ablation: bool = False

    @property
    def is_own(self) -> bool:
        """Whether it is a function of the user's."""
        return self.unlearn is None

    @property
    def is_exact(self) -> bool:
        """Whether it trains anew on the remain set, so that nothing of the forget set can be left."""
        return self.name == EXACT_METHOD

    @property
    def asks_targets(self) -> bool:
        """Whether there must be target references: their logits, or they themselves."""
        return self.needs_targets or self.needs_target_weights
