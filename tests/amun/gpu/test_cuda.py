"""On CUDA: all methods and searches run, one seed gives the same bytes, and a model says what it does on the CPU."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from amun.methods.catalogue import METHODS
from amun.methods.problem import Targets, UnlearningProblem
from amun.model.architectures import build_model
from amun.model.training import compute_logits, configure_torch, fit
from amun.search.catalogue import SEARCHES, search_together
from amun.store.image_sets import HeldImages, ImageSet
from tests.amun.methods.problems import IMAGES, LABELS, QUICK, make_problem, run
from tests.amun.shipped import PARAMS, copy_weights, have_same_weights

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU"),
]


@pytest.fixture
def device() -> torch.device:
    return configure_torch(PARAMS.runtime.model_copy(update={"device": "cuda"}))


def pose_on(device: torch.device, method: str) -> UnlearningProblem:
    """Returns the small problem on a device."""
    problem = make_problem(method)
    names = ("forget", "adversarial", "remain")
    tensors: dict[str, Any] = {
        f"{name}_{kind}": getattr(problem, f"{name}_{kind}").to(device)
        for name in names
        for kind in ("images", "labels")
    }
    targets = problem.targets
    assert targets is not None
    assert targets.load is not None
    load = targets.load
    moved = Targets(targets.logits.to(device), targets.inclusion, lambda number: load(number).to(device))
    return replace(
        problem,
        base=problem.base.to(device),
        targets=moved,
        build=lambda: build_model(QUICK.model, 10, (1, 8, 8), seed=2).to(device),
        **tensors,
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_method_gives_the_same_bytes_twice(method: str, device: torch.device) -> None:
    first, again = (copy_weights(run(pose_on(device, method)).model) for _ in range(2))
    assert have_same_weights(first, again)
    assert all(bool(weight.isfinite().all()) for weight in first.values())


def train_on(device: torch.device, images: ImageSet | None = None) -> nn.Module:
    """Returns a model trained for some epochs."""
    model = build_model(PARAMS.model, 10, (1, 8, 8), seed=0).to(device)
    fit(
        model,
        IMAGES[:600].to(device) if images is None else images,
        LABELS[:600].to(device),
        optimisation=PARAMS.training.model_copy(update={"epochs": 5}),
        learning_rate=PARAMS.training.learning_rate,
        precision="float32",
        on_epoch=lambda _: None,
    )
    return model


def test_training_gives_the_same_bytes_twice(device: torch.device) -> None:
    assert have_same_weights(copy_weights(train_on(device)), copy_weights(train_on(device)))


def test_images_in_the_hosts_memory_give_the_same_bytes(device: torch.device) -> None:
    """Each batch goes over while the one before is computed on; a copy that came late would change the weights."""
    there = copy_weights(train_on(device, HeldImages(IMAGES[:600].to(device), device)))
    assert have_same_weights(there, copy_weights(train_on(device, HeldImages(IMAGES[:600], device))))


def test_a_model_says_what_it_says_on_the_cpu(device: torch.device) -> None:
    model = train_on(device)
    there = compute_logits(model, IMAGES.to(device))
    here = compute_logits(model.cpu(), IMAGES)
    torch.testing.assert_close(there, here, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("search", SEARCHES)
def test_a_search_finds_the_same_images_twice(search: str, device: torch.device) -> None:
    model = train_on(device).eval()
    images = IMAGES[:128].to(device)
    own = compute_logits(model, images).argmax(1).to(device)
    params = PARAMS.adversarial.model_copy(update={"search": search})
    first, again = (search_together(model, images, own, params, str) for _ in range(2))
    assert torch.equal(first.images, again.images)
    assert (compute_logits(model, first.images.to(device)).argmax(1) != own.cpu()).float().mean() > 0.9
