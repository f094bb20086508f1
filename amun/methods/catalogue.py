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
        parameter: the one key that an attempt with it needs besides a learning rate, if any.
        needs_remain: it cannot work without the remain set.
        needs_adversarial: it cannot work without an adversarial example of each forget sample.
        needs_targets: it needs the target references' logits of the forget set.
        needs_target_weights: it needs the target references themselves.
        is_exact: it trains anew on the remain set, so nothing of the forget set can be left.
        is_ablation: it shows what does not work; no wave makes an attempt with it.
    """

    function: str
    parameter: str | None = None
    needs_remain: bool = False
    needs_adversarial: bool = False
    needs_targets: bool = False
    needs_target_weights: bool = False
    is_exact: bool = False
    is_ablation: bool = False

    @property
    def asks_targets(self) -> bool:
        """Whether there must be target references: their logits, or they themselves."""
        return self.needs_targets or self.needs_target_weights

    def load(self) -> Callable[..., Any]:
        """Returns the method's function."""
        module, _, name = self.function.partition(":")
        function: Callable[..., Any] = getattr(import_module(module), name)
        return function


_HOME = "amun.methods"

METHODS = {
    "amun": Method(f"{_HOME}.amun:unlearn_amun", needs_adversarial=True),
    "amun_a": Method(f"{_HOME}.amun:unlearn_amun_a", needs_adversarial=True),
    "retrain": Method(f"{_HOME}.retrain:retrain", needs_remain=True, is_exact=True),
    "fine_tune": Method(f"{_HOME}.fine_tune:unlearn_fine_tune", needs_remain=True),
    "random_label": Method(f"{_HOME}.random_label:unlearn_random_label"),
    "gradient_ascent": Method(f"{_HOME}.gradient_ascent:unlearn_gradient_ascent", "clip_norm"),
    "boundary_shrink": Method(f"{_HOME}.boundary_shrink:unlearn_boundary_shrink", "fgsm_step"),
    "l1_sparse": Method(f"{_HOME}.l1_sparse:unlearn_l1_sparse", "l1_penalty", needs_remain=True),
    "salun": Method(f"{_HOME}.salun:unlearn_salun", "mask_fraction"),
    "amun_salun": Method(f"{_HOME}.salun:unlearn_amun_salun", "mask_fraction", needs_adversarial=True),
    "amun_a_salun": Method(f"{_HOME}.salun:unlearn_amun_a_salun", "mask_fraction", needs_adversarial=True),
    "scrub": Method(f"{_HOME}.scrub:unlearn_scrub", "ascent_share", needs_remain=True),
    "amun_reference": Method(f"{_HOME}.amun_reference:unlearn_amun_reference", needs_target_weights=True),
    "amun_soft": Method(
        f"{_HOME}.amun_soft:unlearn_amun_soft", "label_mix", needs_adversarial=True, needs_target_weights=True
    ),
    "never_seen": Method(f"{_HOME}.never_seen:unlearn_never_seen", "forget_weight", needs_targets=True),
    "never_seen_hard": Method(f"{_HOME}.never_seen:unlearn_never_seen_hard", "forget_weight", needs_targets=True),
    "never_seen_mean": Method(f"{_HOME}.never_seen:unlearn_never_seen_mean", "forget_weight", needs_targets=True),
    "adversarial": Method(f"{_HOME}.ablations:fine_tune_adversarial", needs_adversarial=True, is_ablation=True),
    "random_label_images": Method(
        f"{_HOME}.ablations:fine_tune_random_label_images", needs_adversarial=True, is_ablation=True
    ),
    "adversarial_random_label": Method(
        f"{_HOME}.ablations:fine_tune_adversarial_random_label", needs_adversarial=True, is_ablation=True
    ),
    "random_noise_labels": Method(
        f"{_HOME}.ablations:fine_tune_random_noise_labels", needs_adversarial=True, is_ablation=True
    ),
    "adversarial_fgsm": Method(f"{_HOME}.ablations:unlearn_adversarial_fgsm", "fgsm_step", is_ablation=True),
}


def find_method(name: str) -> Method:
    """Returns a method of the registry, or a user's own `package.module:function`, which is given all there is.

    Raises:
        KeyError: it is neither.
    """
    return Method(name, needs_adversarial=True) if is_own(name) else METHODS[name]


def is_own(name: str) -> bool:
    """Returns whether the name is that of a function of the user's."""
    return ":" in name and name not in METHODS
