"""What the registry says of the served model's answers, and what these are."""

import numpy as np
import pytest
import torch
from torch import nn

from amun.model.serving import Served
from tasks.views.model_files import describe_outputs


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (["cat", "dog", "eel"], ["cat", "dog", "eel"]),
        (["cat", "dog", "eel", "nobody has one"], ["cat", "dog", "eel"]),
        (None, ["0", "1", "2"]),
    ],
)
def test_each_class_is_a_column(classes: list[str] | None, names: list[str]) -> None:
    assert describe_outputs(classes, 3).input_names() == names


def test_answers_are_probabilities_and_the_likeliest_class_is_the_logits_one() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    images = torch.rand((5, 3, 2, 2), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits, probabilities = model(images), Served(model)(images)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)
    assert probabilities.argmax(1).tolist() == logits.argmax(1).tolist()
    np.testing.assert_allclose(
        probabilities.log() - logits, (probabilities.log() - logits)[:, :1].expand(5, 3), atol=1e-5
    )
