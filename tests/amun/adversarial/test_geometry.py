"""Directions and balls: exact cases and properties."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from amun.adversarial.geometry import compute_norms, normalise, project_to_ball


def test_a_zero_vector_stays_zero() -> None:
    vectors = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    torch.testing.assert_close(normalise(vectors), torch.tensor([[0.6, 0.8], [0.0, 0.0]]))


@given(seed=st.integers(0, 2**32), radius=st.floats(0.01, 5))
@settings(max_examples=30, deadline=None)
def test_projections_lie_in_the_ball_and_the_box(seed: int, radius: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    centres = torch.rand(4, 1, 3, 3, generator=generator)
    images = centres + torch.randn(4, 1, 3, 3, generator=generator)
    projected = project_to_ball(images, centres, radius)
    assert (compute_norms(projected - centres) <= radius + 1e-5).all()
    assert projected.min() >= 0
    assert projected.max() <= 1
    torch.testing.assert_close(project_to_ball(projected, centres, radius), projected)
