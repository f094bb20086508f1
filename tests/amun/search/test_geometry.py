"""Directions and balls: exact cases and properties."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from amun.search.geometry import compute_norms, compute_products, normalise, project_to_ball, project_to_plane


def test_a_zero_vector_stays_zero() -> None:
    vectors = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    torch.testing.assert_close(normalise(vectors), torch.tensor([[0.6, 0.8], [0.0, 0.0]]))


@given(seed=st.integers(0, 2**32), radius=st.floats(0.01, 5))
@settings(max_examples=30, deadline=None)
def test_projections_lie_in_the_ball_and_the_box(seed: int, radius: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    centres = torch.rand(4, 1, 3, 3, generator=generator)
    images = centres + torch.randn(4, 1, 3, 3, generator=generator)
    radii = torch.full((4,), radius)
    projected = project_to_ball(images, centres, radii)
    assert (compute_norms(projected - centres) <= radius + 1e-5).all()
    assert projected.min() >= 0
    assert projected.max() <= 1
    torch.testing.assert_close(project_to_ball(projected, centres, radii), projected)


@given(seed=st.integers(0, 2**32), share=st.floats(0, 0.95))
@settings(max_examples=30, deadline=None)
def test_no_point_of_the_box_on_the_plane_is_nearer(seed: int, share: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(4, 3, 3, generator=generator)
    normals = torch.randn(4, 3, 3, generator=generator)
    lowest = torch.where(normals > 0, 0, 1.0)  # of the box, for this function
    drops = share * compute_products(normals, images - lowest)
    projected = project_to_plane(images, normals, drops)
    assert projected.min() >= 0
    assert projected.max() <= 1
    torch.testing.assert_close(compute_products(normals, images - projected), drops, rtol=1e-3, atol=1e-5)
    others = torch.lerp(projected, torch.rand(4, 3, 3, generator=generator), 0.1)
    is_behind = compute_products(normals, images - others) >= drops
    is_nearer = compute_norms(others - images) < compute_norms(projected - images) - 1e-3
    assert not (is_behind & is_nearer).any()


def test_a_plane_outside_the_box_is_approached_as_far_as_the_box_goes() -> None:
    images, normals = torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, -2.0]])
    torch.testing.assert_close(project_to_plane(images, normals, torch.tensor([9.0])), torch.tensor([[0.0, 1.0]]))
