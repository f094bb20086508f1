"""What the searches lower: how far the true logit lies above others. None of them saturates as a softmax does."""

import torch
from torch import Tensor
from torch.nn.functional import pad

ROUNDING = 1e-5  # share of the largest logit: a smaller margin may change its sign in a batch of another size


def compute_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns (N,): the true logit less the largest other one; negative where another label wins."""
    return _pick(logits, labels) - _hide(logits, labels).amax(1)


def compute_soft_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns (N,): the true logit less the log-sum-exp m of the others.

    The cross-entropy is log(1 + exp(m)) of the negative margin m: the gradients have the same direction, but this
    one does not vanish where the model is very sure.
    """
    return _pick(logits, labels) - _hide(logits, labels).logsumexp(1)


def compute_margin_to(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Returns (N,): the true logit less that of the targets (N,)."""
    return _pick(logits, labels) - _pick(logits, targets)


def find_likeliest_other(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns (N,) int64: the other label with the largest logit."""
    return _hide(logits, labels).argmax(1)


def is_relabelled(margins: Tensor, logits: Tensor) -> Tensor:
    """Returns (N,) bool: another label wins by more than rounding, so that it wins in a batch of any size."""
    return margins < -get_rounding(logits)


def get_rounding(logits: Tensor) -> Tensor:
    """Returns (N,) how large a margin must be to count."""
    return ROUNDING * logits.abs().amax(1)


def rank_others(logits: Tensor, labels: Tensor, num_targets: int) -> tuple[Tensor, Tensor]:
    """Returns the (N, num_targets) largest logits of other labels, largest first, and their labels.

    Where there are fewer other labels, minus infinity stands for what is lacking, with the last label.
    """
    num_lacking = max(0, num_targets - logits.shape[1])
    ranked = pad(_hide(logits, labels), (0, num_lacking), value=-torch.inf).topk(num_targets, dim=1)
    return ranked.values, ranked.indices.clamp_max(logits.shape[1] - 1)


def _pick(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.gather(1, labels[:, None]).squeeze(1)


def _hide(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.scatter(1, labels[:, None], -torch.inf)
