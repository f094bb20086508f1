"""The SVC attack: against the recorded figures; the modified entropy, recorded wrongly, by its definition."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from amun.audit.svc import compute_features, compute_modified_entropy, measure_svc_forgetting
from tests.amun.shipped import load_oracle


def test_shares_are_the_recorded_ones() -> None:
    recorded = load_oracle("svc_mia")
    parts = [
        (recorded[f"{part}_probabilities"], recorded[f"{part}_labels"])
        for part in ("shadow_train", "shadow_test", "forget")
    ]
    shares = measure_svc_forgetting(*parts)
    names = ["correctness", "confidence", "entropy", "modified_entropy", "probabilities"]
    assert list(shares) == names
    expected = dict(zip(names, recorded["expected"].tolist(), strict=True))
    del shares["modified_entropy"], expected["modified_entropy"]
    assert shares == pytest.approx(expected)


def test_modified_entropy_in_closed_form() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    first = -0.3 * np.log(0.7) - 0.2 * np.log(0.8) - 0.1 * np.log(0.9)
    found = compute_modified_entropy(probabilities, np.array([0, 0, 0]))
    assert found[:2] == pytest.approx([first, 0])
    assert found[2] > 100  # sure and wrong: plain entropy would be 0 as well


@given(seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_modified_entropy_by_its_definition(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    probabilities = torch.randn(5, 4, generator=generator).double().softmax(1)
    labels = torch.randint(4, (5,), generator=generator)
    expected = [
        -(1 - row[label]) * np.log(row[label]) - sum(p * np.log(1 - p) for i, p in enumerate(row) if i != label)
        for row, label in zip(probabilities.tolist(), labels.tolist(), strict=True)
    ]
    assert compute_features(probabilities, labels)["modified_entropy"][:, 0] == pytest.approx(expected)


def test_what_looks_like_held_out_samples_is_called_unseen() -> None:
    sure, unsure = (torch.tensor([[p, 1 - p]] * 20) + torch.linspace(-0.01, 0.01, 20)[:, None] for p in (0.97, 0.6))
    labels = torch.zeros(20, dtype=torch.int64)
    assert measure_svc_forgetting((sure, labels), (unsure, labels), (unsure, labels))["confidence"] == 1
    assert measure_svc_forgetting((sure, labels), (unsure, labels), (sure, labels))["confidence"] == 0
