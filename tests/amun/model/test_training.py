"""The training loop: its schedule in closed form, its bytes, its batches and its augmentation."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, pad

from amun.core.errors import AmunError, DivergedError, InputError
from amun.core.params import ModelParams
from amun.model.architectures import build_model
from amun.model.training import (
    EpochMetrics,
    augment,
    choose_pass_size,
    compute_accuracy,
    compute_logits,
    decay_learning_rate,
    draw_batches,
    fit,
    make_optimizer,
    select_device,
)
from tests.amun.shipped import (
    PARAMS,
    change_optimisation,
    copy_weights,
    have_same_weights,
    load_digit_images,
    needs_glibc,
    run_apart,
)

IMAGES, LABELS = load_digit_images()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Works outside the project: a user's code in a workspace must lie in its `custom/`."""
    monkeypatch.chdir(tmp_path)


def build(architecture: str = "small_cnn", **options: Any) -> nn.Module:
    return build_model(ModelParams(name="m", architecture=architecture, options=options), 10, (1, 8, 8), seed=0)


def train(
    model: nn.Module, num_samples: int = 100, rate: float = 0.1, precision: str = "float32", **changes: Any
) -> list[EpochMetrics]:
    history: list[EpochMetrics] = []
    fit(
        model,
        IMAGES[:num_samples],
        LABELS[:num_samples],
        optimisation=change_optimisation(**changes),
        learning_rate=rate,
        precision=precision,
        on_epoch=history.append,
    )
    return history


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_each_step_takes_the_rate_of_its_schedule(schedule: str) -> None:
    linear = nn.Linear(64, 10)
    model, weight = nn.Sequential(nn.Flatten(), linear), linear.weight
    snapshots = [weight.detach().clone()]
    gradients: list[Tensor] = []

    def note(_: EpochMetrics) -> None:
        snapshots.append(weight.detach().clone())
        gradients.append(torch.autograd.grad(cross_entropy(model(IMAGES[:100]), LABELS[:100]), weight)[0])

    note(EpochMetrics(0, 0, 0))
    plain = change_optimisation(epochs=4, batch_size=100, momentum=0.0, weight_decay=0.0, schedule=schedule)
    fit(model, IMAGES[:100], LABELS[:100], optimisation=plain, learning_rate=0.2, precision="float32", on_epoch=note)
    for step, (before, after, gradient) in enumerate(zip(snapshots[1:], snapshots[2:], gradients, strict=False)):
        factor = 0.5 * (1 + math.cos(math.pi * step / 4)) if schedule == "cosine" else 1
        torch.testing.assert_close(before - after, 0.2 * factor * gradient)


@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize("schedule", ["cosine", "constant"])
@pytest.mark.parametrize(("momentum", "weight_decay"), [(0.9, 0.0005), (0.9, 0.0), (0.0, 0.0005), (0.0, 0.0)])
def test_steps_are_those_of_torchs_own_class_to_the_bit(
    momentum: float, weight_decay: float, schedule: str, foreach: bool
) -> None:
    ours, theirs = build("small_resnet", widths=[4, 8]), build("small_resnet", widths=[4, 8])
    changed = change_optimisation(momentum=momentum, weight_decay=weight_decay, schedule=schedule)
    mine = make_optimizer(ours, changed, learning_rate=0.3, num_steps=9)
    reference = torch.optim.SGD(
        theirs.parameters(), lr=0.3, momentum=momentum, weight_decay=weight_decay, foreach=foreach
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(reference, lambda step: decay_learning_rate(schedule, step / 9))
    for step in range(9):
        for model in (ours, theirs):
            model.zero_grad()
            torch.autograd.backward(cross_entropy(model(IMAGES[step * 20 :][:20]), LABELS[step * 20 :][:20]))
            if step in (0, 4):  # a weight that has no part in a step is left where it is
                next(model.parameters()).grad = None
        mine.step()
        reference.step()
        scheduler.step()
        assert have_same_weights(copy_weights(ours), copy_weights(theirs)), step


def test_training_does_not_import_the_compiler() -> None:
    program = (
        "import sys, torch; from amun.model.training import *; from tests.amun.shipped import PARAMS;"
        "configure_torch(PARAMS.runtime.model_copy(update={'device': 'cpu'}));"
        "model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2));"
        "fit(model, torch.rand(9, 1, 2, 2), torch.ones(9).long(), optimisation=PARAMS.unlearning,"
        "learning_rate=0.1, precision='float32', on_epoch=lambda metrics: None);"
        "print('torch._dynamo' in sys.modules)"
    )
    run = run_apart(program)
    assert run.stdout == "False\n", run.stderr


def test_the_same_seed_gives_the_same_bytes() -> None:
    options: dict[str, Any] = {"augmentation": "flip_crop", "epochs": 2, "batch_size": 32}
    models = [build("tests.amun.user_models:build_dropout") for _ in range(3)]
    histories = [train(model, seed=seed, **options) for model, seed in zip(models, (1, 1, 2), strict=True)]
    first, again, other = (copy_weights(model) for model in models)
    assert have_same_weights(first, again)
    assert histories[0] == histories[1]
    assert not have_same_weights(first, other)


def test_the_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    train(build("tests.amun.user_models:build_dropout"), epochs=1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_learns_and_tells_how_well(precision: str) -> None:
    model = build(channels=[16, 16])
    history = train(model, 500, precision=precision, epochs=12, batch_size=50)
    assert [metrics.epoch for metrics in history] == list(range(1, 13))
    assert history[-1].loss < history[0].loss / 4
    assert history[-1].accuracy > 0.95
    assert compute_accuracy(compute_logits(model, IMAGES[500:]), LABELS[500:]) > 0.85
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


def test_bfloat16_is_another_arithmetic() -> None:
    losses = [
        train(build(channels=[4]), precision=precision, epochs=1)[0].loss for precision in ("float32", "bfloat16")
    ]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


@pytest.mark.parametrize("num_samples", [1, 9])
def test_batches_of_one_do_not_break_batch_normalisation(num_samples: int) -> None:
    history = train(build("resnet18"), num_samples, batch_size=1 if num_samples == 1 else 8, epochs=1)
    assert math.isfinite(history[0].loss)


def test_without_samples_or_with_a_diverging_loss_it_fails_in_one_line() -> None:
    with pytest.raises(AmunError, match="no sample is left"):
        train(build(channels=[4]), num_samples=0)
    with pytest.raises(DivergedError, match=r"after epoch \d+; lower the learning rate"):
        train(build(channels=[4]), rate=1e20)


@given(num_samples=st.integers(1, 300), num_batches=st.integers(1, 20), seed=st.integers(0, 2**32))
def test_every_sample_comes_once_in_batches_of_equal_size(num_samples: int, num_batches: int, seed: int) -> None:
    batches = list(draw_batches(num_samples, num_batches, Generator().manual_seed(seed)))
    sizes = [len(batch) for batch in batches]
    assert torch.cat(batches).sort().values.tolist() == list(range(num_samples))
    assert max(sizes) - min(sizes) <= 1


@given(seed=st.integers(0, 2**32))
def test_each_augmented_image_is_a_flip_and_a_shift_of_its_own(seed: int) -> None:
    images = 0.1 + 0.9 * torch.rand(3, 2, 8, 8, generator=Generator().manual_seed(seed))
    augmented = augment(images, "flip_crop", Generator().manual_seed(seed))
    assert augmented.shape == images.shape
    for image, result in zip(images, augmented, strict=True):
        padded = [pad(turned, [1] * 4) for turned in (image, image.flip(-1))]
        possible = [each[:, top : top + 8, left : left + 8] for each in padded for top in range(3) for left in range(3)]
        assert sum(torch.equal(result, candidate) for candidate in possible) == 1


def test_augmentation_uses_every_flip_and_shift() -> None:
    images = torch.rand(1, 1, 8, 8).expand(500, 1, 8, 8)
    results = augment(images, "flip_crop", Generator().manual_seed(0))
    assert len({tuple(result.flatten().tolist()) for result in results}) == 2 * 3 * 3
    assert torch.equal(augment(images, "none", Generator()), images)


def test_logits_come_in_eval_mode_whatever_the_batches() -> None:
    model = build("resnet18").train()
    before = copy_weights(model)
    whole, parts = (compute_logits(model, IMAGES[:20], batch_size=size) for size in (20, 7))
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-5)
    assert whole.shape == (20, 10)
    assert not whole.requires_grad
    assert model.training
    assert have_same_weights(before, copy_weights(model))


def test_no_images_have_no_logits_whatever_the_model() -> None:
    class Viewing(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.view(len(images), -1)

    assert compute_logits(Viewing(), IMAGES[:0]).shape == (0, 64)


def test_accuracy_is_a_share() -> None:
    logits = torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0], [0.0, 4.0]])
    assert compute_accuracy(logits, torch.tensor([0, 1, 0, 0])) == 0.75


def test_the_device_is_what_runtime_says() -> None:
    assert select_device(PARAMS.runtime.model_copy(update={"device": "cpu"})) == torch.device("cpu")
    auto = select_device(PARAMS.runtime.model_copy(update={"device": "auto"}))
    assert auto.type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(InputError, match=r"runtime\.device: cuda:99 is not there"):
        select_device(PARAMS.runtime.model_copy(update={"device": "cuda:99"}))


def test_configuring_makes_nondeterministic_arithmetic_an_error() -> None:
    program = (
        "import torch; from amun.model.training import configure_torch; from tests.amun.shipped import PARAMS;"
        "device = configure_torch(PARAMS.runtime.model_copy(update={'device': 'cpu', 'num_threads': 2}));"
        "print(device, torch.get_num_threads(), torch.are_deterministic_algorithms_enabled());"
        "torch.zeros(2).put_(torch.tensor([0]), torch.ones(1))"
    )
    run = run_apart(program)
    assert run.stdout == "cpu 2 True\n"
    assert "put_" in run.stderr
    assert run.returncode == 1


@needs_glibc
def test_configuring_keeps_freed_memory_in_the_process() -> None:
    program = (
        "import resource, torch; from tests.amun.shipped import PARAMS;\n"
        "from amun.model.training import configure_torch;\n"
        "def count():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    torch.ones(2**24)\n"  # 64 MiB, more than malloc keeps by itself
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "given_back = min(count() for _ in range(10))\n"
        "configure_torch(PARAMS.runtime.model_copy(update={'device': 'cpu'}))\n"
        "print(given_back > 0, min(count() for _ in range(10)))"
    )
    assert run_apart(program).stdout == "True 0\n"


@pytest.mark.parametrize(
    ("shape", "size"), [((1, 8, 8), 512), ((3, 32, 32), 512), ((3, 224, 224), 111), ((3, 4096, 4096), 1)]
)
def test_a_pass_takes_fewer_of_large_images(shape: tuple[int, int, int], size: int) -> None:
    sizes: list[int] = []
    images = torch.zeros(1, *shape).expand(size + 3, *shape)
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    assert choose_pass_size(images) == size
    if math.prod(shape) < 10**5:
        compute_logits(model, images)
        assert sizes == [size, 3]
