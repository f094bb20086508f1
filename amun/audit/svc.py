"""The membership attack by a support vector classifier (Song and Mittal 2021): one for each feature."""

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
from sklearn.svm import SVC
from torch import Tensor

Floats = npt.NDArray[np.float64]
FEATURES = ("correctness", "confidence", "entropy", "modified_entropy", "probabilities")
TINY = 1e-30  # keeps the logarithm of a probability of 0 finite


def measure_svc_forgetting(
    members: tuple[Tensor, Tensor],
    non_members: tuple[Tensor, Tensor],
    forget: tuple[Tensor, Tensor],
    *,
    names: Collection[str] = FEATURES,
) -> dict[str, float]:
    """Returns for each feature the share, 0 to 1, of the forget samples that the attack calls non-members.

    The attack learns from samples of known membership; 1 means that every forget sample looks unseen.

    Args:
        members: probabilities (M, C) and labels (M,) of samples that the model was trained on.
        non_members: of samples that it never saw.
        forget: of the forget samples.
        names: of the features.
    """
    features = [compute_features(*part) for part in (members, non_members, forget)]
    return {name: _attack(*(part[name] for part in features)) for name in names}


def compute_features(probabilities: Tensor, labels: Tensor) -> dict[str, Floats]:
    """Returns the features (N, D) of probabilities (N, C) and labels (N,), by name."""
    values, targets = probabilities.double().cpu().numpy(), labels.cpu().numpy()
    rows = np.arange(len(targets))
    confidence = values[rows, targets]
    return {
        "correctness": (values.argmax(1) == targets).astype(np.float64)[:, None],
        "confidence": confidence[:, None],
        "entropy": -(values * _log(values)).sum(1)[:, None],
        "modified_entropy": compute_modified_entropy(values, targets)[:, None],
        "probabilities": values,
    }


def compute_modified_entropy(probabilities: Floats, labels: npt.NDArray[np.int64]) -> Floats:
    """Returns -(1 - p_y) log p_y - sum over i != y of p_i log(1 - p_i), (N,): 0 when right and sure, unlike entropy."""
    rows = np.arange(len(labels))
    confidence = probabilities[rows, labels]
    terms = probabilities * _log(1 - probabilities)
    terms[rows, labels] = (1 - confidence) * _log(confidence)
    entropies: Floats = -terms.sum(1)
    return entropies


def _log(values: Floats) -> Floats:
    logarithms: Floats = np.log(np.maximum(values, TINY))
    return logarithms


def _attack(members: Floats, non_members: Floats, forget: Floats) -> float:
    """Returns the share of forget rows (F, D) that a classifier of the other two puts with the non-members."""
    membership = np.concatenate([np.ones(len(members)), np.zeros(len(non_members))])
    attack = SVC(C=3, gamma="auto", kernel="rbf").fit(np.concatenate([members, non_members]), membership)
    return float(1 - attack.predict(forget).mean())
