"""A user's own trainer: what it is given, what it must return, and the one line where it does not."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from amun.core.custom import import_function
from amun.core.errors import AmunError, DivergedError, InputError
from amun.core.params import AttemptParams, TrainingParams
from amun.methods.problem import UnlearningProblem
from amun.methods.retrain import retrain
from amun.model.architectures import build_model
from amun.model.history import put_epoch, show_epochs
from amun.model.references import draw_halves, train_reference_logits
from amun.model.trainer import TrainingSamples, compute_guessing_loss, limit_gradient, train_model
from amun.model.training import EpochMetrics, compute_accuracy, compute_logits
from tests.amun.shipped import PARAMS, copy_weights, have_same_weights, load_digit_images
from tests.amun.user_trainers import train_by_adam

IMAGES, LABELS = load_digit_images()
IMAGES, LABELS = IMAGES[:200], LABELS[:200]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Works outside the project: a user's code in a workspace must lie in its `custom/`."""
    monkeypatch.chdir(tmp_path)


def build(seed: int = 0) -> nn.Module:
    return build_model(PARAMS.model, 10, (1, 8, 8), seed)


def name(function: str, seed: int = 0) -> TrainingParams:
    options = {"rate": 0.01, "steps": 20}
    changes = {"function": f"tests.amun.user_trainers:{function}", "options": options, "seed": seed}
    return PARAMS.training.model_copy(update=changes)


def train(function: str, seed: int = 0) -> tuple[nn.Module, list[EpochMetrics]]:
    model, history = build(), list[EpochMetrics]()
    train_model(model, IMAGES, LABELS, params=name(function, seed), precision="float32", on_epoch=history.append)
    return model, history


def train_alone(params: TrainingParams, images: torch.Tensor, labels: torch.Tensor, first_seed: int) -> nn.Module:
    return train_by_adam(build(first_seed), TrainingSamples(images, labels), params, params.seed)


def test_trained_model_is_the_functions_and_its_curve_what_was_measured() -> None:
    model, history = train("train_by_adam")
    expected = train_alone(name("train_by_adam"), IMAGES, LABELS, 0)
    assert have_same_weights(copy_weights(model), copy_weights(expected))
    logits = compute_logits(expected, IMAGES)
    assert history == [EpochMetrics(1, float(cross_entropy(logits, LABELS)), compute_accuracy(logits, LABELS))]
    assert history[0].accuracy > 0.5


def test_training_that_comes_to_nothing_begins_anew_with_the_gradient_limited() -> None:
    with pytest.raises(DivergedError):
        train_built_in(2.0, None)
    weights, told = train_built_in(2.0, 1.0)
    assert told[-1].loss < 1
    first = [metrics.epoch for metrics in told].index(1, 1)
    assert [metrics.epoch for metrics in told] == [*range(1, first + 1), *range(1, 11)]
    history: list[EpochMetrics] = []
    assert [put_epoch(history, metrics) for metrics in told].count(True) == 10
    assert history == told[first:]
    assert all(bool(tensor.isfinite().all()) for tensor in weights.values())


@pytest.mark.parametrize("num_before", [0, 2, 3])
def test_training_that_begins_anew_is_told_and_how_it_ended(
    num_before: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with show_epochs("train", 3) as show:
        for epoch in [*range(1, num_before + 1), *range(1, 4)]:
            show(EpochMetrics(epoch, 2.3 / epoch, 0.1 * epoch))
    shown = capsys.readouterr().out
    assert shown.count("3/3 epochs") == 1
    assert ("it begins anew" in shown) is (num_before > 0)
    assert shown.splitlines()[-1].endswith("loss 0.7667, accuracy 0.300")


def test_training_that_comes_to_something_is_the_same_to_the_bit() -> None:
    (limited, told), (unlimited, as_told) = train_built_in(0.1, 0.001), train_built_in(0.1, None)
    assert have_same_weights(limited, unlimited)
    assert told == as_told


def test_network_that_has_died_has_come_to_nothing() -> None:
    model = build()
    torch.nn.init.constant_(list(model.parameters())[-3], -1e3)  # the last ReLU lets nothing through
    lost, told = train_built_in(0.1, None, model), train_built_in(0.1, 1.0, model)[1]
    assert lost[1][-1].loss >= compute_guessing_loss(LABELS)
    assert len(told) == 20


def train_built_in(
    rate: float, norm: float | None, first: nn.Module | None = None
) -> tuple[dict[str, torch.Tensor], list[EpochMetrics]]:
    """Returns the weights after ten epochs of the built-in loop, and all that was told of epochs."""
    changes = {"learning_rate": rate, "fallback_gradient_norm": norm, "epochs": 10}
    params, told = PARAMS.training.model_copy(update=changes), list[EpochMetrics]()
    model = build() if first is None else deepcopy(first)
    train_model(model, IMAGES, LABELS, params=params, precision="float32", on_epoch=told.append)
    return copy_weights(model), told


@pytest.mark.parametrize(("max_norm", "factor"), [(1.0, 0.2), (5.0, 1.0), (7.0, 1.0)])
def test_gradient_of_all_weights_together_is_shortened(max_norm: float, factor: float) -> None:
    model = nn.Linear(2, 1)
    model.weight.grad, model.bias.grad = torch.tensor([[0.0, 3.0]]), torch.tensor([-4.0])
    limit_gradient(max_norm, model)
    torch.testing.assert_close(model.weight.grad, torch.tensor([[0.0, 3.0 * factor]]))
    torch.testing.assert_close(model.bias.grad, torch.tensor([-4.0 * factor]))


def test_every_generator_is_seeded_and_another_object_serves() -> None:
    first, again, other = (copy_weights(train("train_by_chance", seed)[0]) for seed in (1, 1, 2))
    assert have_same_weights(first, again)
    assert not have_same_weights(first, other)
    assert not have_same_weights(first, copy_weights(build()))


def test_references_are_trained_by_it() -> None:
    inclusion = draw_halves(np.array([f"s{number}" for number in range(200)]), 2, seed=0)
    logits = train_reference_logits(
        IMAGES,
        LABELS,
        inclusion,
        build=build,
        params=name("train_by_adam"),
        precision="float32",
        seed=7,
        on_reference=lambda _: None,
    )
    for number in range(2):
        chosen = inclusion[:, number]
        expected = train_alone(name("train_by_adam", 7 + number), IMAGES[chosen], LABELS[chosen], 7 + number)
        assert torch.equal(logits[:, number], compute_logits(expected, IMAGES))


def test_exact_retraining_is_done_by_it() -> None:
    training = name("train_by_adam")
    reported: list[EpochMetrics] = []
    problem = UnlearningProblem(
        base=build(1),
        forget_images=IMAGES[:20],
        forget_labels=LABELS[:20],
        adversarial_images=IMAGES[:20],
        adversarial_labels=LABELS[:20],
        remain_images=IMAGES[20:],
        remain_labels=LABELS[20:],
        targets=None,
        attempt=AttemptParams(method="retrain"),
        params=PARAMS.model_copy(update={"training": training}),
        build=lambda: build(training.seed),
        on_epoch=reported.append,
    )
    unlearned = retrain(problem)
    expected = train_alone(training, IMAGES[20:], LABELS[20:], training.seed)
    assert have_same_weights(copy_weights(unlearned.model), copy_weights(expected))
    assert len(reported) == 1
    assert reported == unlearned.history


@pytest.mark.parametrize(
    ("function", "kind", "line"),
    [
        ("no_function", InputError, "cannot import 'tests.amun.user_trainers:no_function': AttributeError"),
        ("NOT_A_FUNCTION", InputError, "is no function"),
        ("take_two", InputError, r"must take \(model, samples, params, seed\)"),
        ("return_nothing", InputError, "must return the trained model, but returned NoneType"),
        ("wrap", InputError, "returned another architecture than it was given"),
        ("replace_layer", InputError, "another architecture .* layer 1.1: "),
        ("halve", InputError, "another architecture .*float16"),
        ("diverge", DivergedError, "weights that are not finite"),
        ("fail", AmunError, r"failed: KeyError: .*no such.*thing.* \(user_trainers.py, line \d+\)"),
    ],
)
def test_what_is_no_trainer_is_refused_in_one_line(function: str, kind: type[AmunError], line: str) -> None:
    with pytest.raises(AmunError, match=rf"training\.function: .*{line}") as refused:
        train(function)
    assert type(refused.value) is kind
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("import no_such_thing", r"ModuleNotFoundError: No module named 'no_such_thing' \(faulty.py, line 1\)"),
        ("def train(:", "SyntaxError"),
        ("1 / 0", r"ZeroDivisionError: division by zero \(faulty.py, line 1\)"),
    ],
)
def test_module_that_cannot_be_imported_is_named(
    content: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "faulty.py").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=f"training.function: cannot import 'faulty:train': {line}") as refused:
        import_function("training.function", "faulty:train")
    assert "\n" not in str(refused.value)


def test_code_that_no_stage_depends_on_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for path in ("astray.py", "custom/inside.py"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("def build(): ...", encoding="utf-8")
    with pytest.raises(InputError, match=r"astray.py lies where no stage .* custom/ and write custom.astray"):
        import_function("model.architecture", "astray:build")
    monkeypatch.syspath_prepend(tmp_path / "custom")
    found: Any = import_function("model.architecture", "inside:build")
    assert callable(found)
