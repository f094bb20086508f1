"""The baselines: each held to a closed form or to an invariant of its source."""

import math
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from amun.core.errors import AttemptError, InputError
from amun.core.params import Params
from amun.methods.ablations import move_anywhere, step_until_wrong
from amun.methods.amun_reference import search_on_references
from amun.methods.boundary_shrink import find_labels_beyond
from amun.methods.catalogue import METHODS
from amun.methods.l1_sparse import decay_penalty
from amun.methods.labels import draw_unseen, draw_wrong_labels, find_nearest_wrong, step_across
from amun.methods.problem import UnlearningProblem
from amun.methods.random_label import relabel_forget
from amun.methods.salun import find_salient
from amun.methods.scrub import disobey, obey
from amun.model.training import compute_logits, fit
from tests.amun.methods.problems import (
    IMAGES,
    LABELS,
    QUICK,
    make_attempt,
    make_problem,
    make_targets,
    run,
    weights_after,
)
from tests.amun.shipped import copy_weights, have_same_weights


def change(params: Params, **changes: Any) -> Params:
    """Returns the parameters with others of fine-tuning."""
    return params.model_copy(update={"unlearning": params.unlearning.model_copy(update=changes)})


# one step of plain gradient descent on all of a set
ONE_STEP = change(QUICK, epochs=1, momentum=0.0, weight_decay=0.0, schedule="constant")
WHOLE_BATCH = change(ONE_STEP, batch_size=100)
FLIPPED = change(QUICK, augmentation="flip_crop")

Turn = tuple[Callable[[Tensor, Tensor, Tensor], Tensor], Tensor, Tensor]


def fit_by_hand(images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Returns the weights of the small problem's base after plain fine-tuning on these samples."""
    model = deepcopy(make_problem("amun").base)
    fit(
        model,
        images,
        labels,
        optimisation=QUICK.unlearning,
        learning_rate=0.1,
        precision="float32",
        on_epoch=lambda _: None,
    )
    return copy_weights(model)


def are_close(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.allclose(first[name], second[name], atol=1e-5) for name in first)


def compute_loss(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    return cross_entropy(compute_logits(model, images), labels).item()


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.needs_remain])
def test_a_method_that_needs_the_remain_set_says_so(method: str) -> None:
    with pytest.raises(InputError, match=f"{method} needs the remain set"):
        run(make_problem(method, remain_images=None, remain_labels=None))


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if not method.needs_remain])
def test_every_other_method_works_without_the_remain_set(method: str) -> None:
    run(make_problem(method, remain_images=None, remain_labels=None))


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if not method.needs_adversarial])
def test_only_who_needs_the_adversarial_set_looks_at_it(method: str) -> None:
    other = weights_after(method, adversarial_images=IMAGES[:0], adversarial_labels=LABELS[:0])
    assert have_same_weights(weights_after(method), other)


def test_fine_tuning_sees_what_remains_alone() -> None:
    assert have_same_weights(weights_after("fine_tune"), fit_by_hand(IMAGES[40:140], LABELS[40:140]))


def test_random_label_is_fine_tuning_on_wrong_labels() -> None:
    images, labels = relabel_forget(make_problem("random_label"))
    assert not (labels == LABELS[:20]).any()
    expected = fit_by_hand(torch.cat([IMAGES[40:140], images]), torch.cat([LABELS[40:140], labels]))
    assert have_same_weights(weights_after("random_label"), expected)


def test_gradient_ascent_takes_the_clipped_step_uphill() -> None:
    problem = make_problem("gradient_ascent", params=ONE_STEP, attempt=make_attempt("gradient_ascent", clip_norm=0.01))
    unlearned = run(problem).model
    moved = torch.cat(
        [
            (after - before).flatten()
            for after, before in zip(unlearned.parameters(), problem.base.parameters(), strict=True)
        ]
    )
    assert moved.norm().item() == pytest.approx(0.1 * 0.01, rel=1e-3)
    base = deepcopy(problem.base).train()
    loss = cross_entropy(base(IMAGES[:20]), LABELS[:20])
    uphill = torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, list(base.parameters()))])
    assert torch.cosine_similarity(moved, uphill, dim=0).item() == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("step", [0.05, 0.5])
def test_boundary_shrink_learns_the_wrong_class_beyond_the_step(step: float) -> None:
    problem = make_problem("boundary_shrink", attempt=make_attempt("boundary_shrink", fgsm_step=step))
    beyond = step_across(problem.base, IMAGES[:20], LABELS[:20], step)
    labels = find_nearest_wrong(problem.base, beyond, LABELS[:20])
    assert not torch.equal(labels, find_nearest_wrong(problem.base, IMAGES[:20], LABELS[:20]))
    assert not (labels == LABELS[:20]).any()
    assert have_same_weights(copy_weights(run(problem).model), fit_by_hand(IMAGES[:20], labels))


def test_l1_sparse_without_a_penalty_is_fine_tuning() -> None:
    sparse = weights_after("l1_sparse", attempt=make_attempt("l1_sparse", l1_penalty=0.0))
    assert have_same_weights(sparse, weights_after("fine_tune"))


def test_l1_sparse_steps_down_the_loss_and_the_norm() -> None:
    penalty = 0.01
    problem = make_problem("l1_sparse", params=WHOLE_BATCH, attempt=make_attempt("l1_sparse", l1_penalty=penalty))
    base = deepcopy(problem.base).train()
    loss = cross_entropy(base(IMAGES[40:140]), LABELS[40:140])
    gradients = torch.autograd.grad(loss, list(base.parameters()))
    for after, before, gradient in zip(run(problem).model.parameters(), base.parameters(), gradients, strict=True):
        assert torch.allclose(after, before - 0.1 * (gradient + penalty * before.sign()), atol=1e-6)


def test_l1_penalty_is_the_gradient_of_the_norm_and_decays_each_epoch() -> None:
    model = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[3.0, -2.0]]))
    add_penalty = decay_penalty(0.4, num_batches=2, epochs=2)
    added = []
    for _ in range(4):
        model.weight.grad = torch.zeros(1, 2)
        add_penalty(model)
        added.append(model.weight.grad.flatten().tolist())
    assert torch.allclose(torch.tensor(added), torch.tensor([[0.4, -0.4], [0.4, -0.4], [0.2, -0.2], [0.2, -0.2]]))


@pytest.mark.parametrize(
    ("masked", "plain"), [("salun", "random_label"), ("amun_salun", "amun"), ("amun_a_salun", "amun_a")]
)
def test_a_mask_of_all_weights_changes_nothing(masked: str, plain: str) -> None:
    whole = weights_after(masked, attempt=make_attempt(masked, mask_fraction=1.0))
    assert have_same_weights(whole, weights_after(plain))


@pytest.mark.parametrize("method", ["salun", "amun_salun", "amun_a_salun"])
def test_only_salient_weights_move(method: str) -> None:
    problem = make_problem(method, attempt=make_attempt(method, mask_fraction=0.25))
    is_salient = find_salient(problem, 0.25)
    num_salient, num_all = (
        sum(int(part.sum()) if own else part.numel() for part in is_salient.values()) for own in (True, False)
    )
    assert num_salient / num_all == pytest.approx(0.25, abs=0.01)
    after, before = dict(run(problem).model.named_parameters()), dict(problem.base.named_parameters())
    assert all(torch.equal(after[name][~mask], before[name][~mask]) for name, mask in is_salient.items())
    assert any((after[name][mask] != before[name][mask]).any() for name, mask in is_salient.items())


def test_salient_weights_have_the_largest_gradients() -> None:
    problem = make_problem("salun")
    loss = cross_entropy(problem.base.eval()(IMAGES[:20]), LABELS[:20])
    gradients = torch.cat([part.abs().flatten() for part in torch.autograd.grad(loss, list(problem.base.parameters()))])
    mask = torch.cat([part.flatten() for part in find_salient(problem, 0.5).values()])
    assert gradients[mask].min() >= gradients[~mask].max()


def test_scrub_starts_at_its_teacher() -> None:
    logits = torch.randn(8, 10, generator=torch.Generator().manual_seed(0))
    assert disobey(logits, logits, LABELS[:8]).item() == pytest.approx(0.0, abs=1e-6)
    assert obey(logits, logits, LABELS[:8]).item() == pytest.approx(0.99 * cross_entropy(logits, LABELS[:8]).item())
    at_rest = make_attempt("scrub", learning_rate=1e-30)
    problem = make_problem("scrub", attempt=at_rest)
    student = run(problem).model
    for after, before in zip(student.parameters(), problem.base.parameters(), strict=True):
        assert torch.equal(after, before)


def test_scrub_measures_the_softened_distance_to_its_teacher() -> None:
    """Two classes, one sample: the divergence of (3/4, 1/4) from (1/2, 1/2), at a temperature of 4."""
    teacher, student = torch.tensor([[4 * math.log(3), 0.0]]), torch.zeros(1, 2)
    divergence = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    label = torch.tensor([0])
    assert disobey(teacher, student, label).item() == pytest.approx(-16 * divergence, rel=1e-5)
    assert obey(teacher, student, label).item() == pytest.approx(0.5 * 16 * divergence + 0.99 * math.log(2), rel=1e-5)


def get_weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach() for name, weight in model.named_parameters()}


def take_turns(problem: UnlearningProblem, *turns: Turn) -> dict[str, Tensor]:
    """Returns the weights of the student after one whole step for each turn: a loss, the images, the labels."""
    student = deepcopy(problem.base).train()
    for compute_loss, images, labels in turns:
        loss = compute_loss(compute_logits(problem.base, images), student(images), labels)
        gradients = torch.autograd.grad(loss, list(student.parameters()))
        with torch.no_grad():
            for weight, gradient in zip(student.parameters(), gradients, strict=True):
                weight.sub_(gradient)
    return get_weights(student)


@pytest.mark.parametrize(("share", "num_ascents"), [(0.0, 0), (0.5, 1), (1.0, 2)])
def test_scrub_disobeys_and_obeys_in_turn(share: float, num_ascents: int) -> None:
    attempt = make_attempt("scrub", ascent_share=share, learning_rate=1.0)
    problem = make_problem("scrub", params=change(WHOLE_BATCH, epochs=2), attempt=attempt)
    ascent, descent = (disobey, IMAGES[:20], LABELS[:20]), (obey, IMAGES[40:140], LABELS[40:140])
    turns = {number: [*[ascent, descent] * number, *[descent] * (2 - number)] for number in range(3)}
    student = get_weights(run(problem).model)
    assert are_close(take_turns(problem, *turns[num_ascents]), student)
    other = take_turns(problem, *turns[2 if num_ascents < 2 else 1])  # the first ascent, at the teacher, goes nowhere
    assert not are_close(other, student)


def test_scrub_augments_what_it_learns_from() -> None:
    assert not have_same_weights(weights_after("scrub", params=FLIPPED), weights_after("scrub"))


def test_scrub_asks_its_teacher_about_the_images_as_augmented(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a rate the student is its teacher, and says the same of the same images: there is no distance."""
    distances: list[float] = []

    def record(teacher_logits: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        distances.append((teacher_logits - logits).abs().max().item())
        return disobey(teacher_logits, logits, labels)

    monkeypatch.setattr("amun.methods.scrub.disobey", record)
    at_rest = make_attempt("scrub", learning_rate=1e-30, ascent_share=1.0)
    run(make_problem("scrub", params=FLIPPED, attempt=at_rest))
    assert len(distances) == 2
    assert max(distances) < 1e-5


def test_scrub_that_ascends_leaves_its_teacher_on_the_forget_set() -> None:
    def measure_loss(share: float) -> float:
        problem = make_problem("scrub", attempt=make_attempt("scrub", ascent_share=share))
        return compute_loss(run(problem).model, IMAGES[:20], LABELS[:20])

    assert measure_loss(1.0) > measure_loss(0.0)


def test_never_seen_learns_what_an_unseeing_reference_predicts() -> None:
    targets = make_targets()
    chosen = draw_unseen(targets, QUICK.unlearning.seed)
    soft = targets.logits[torch.arange(20), chosen].softmax(1)
    remain = nn.functional.one_hot(LABELS[40:140], 10).float()
    expected = fit_by_hand(torch.cat([IMAGES[40:140], IMAGES[:20], IMAGES[:20]]), torch.cat([remain, soft, soft]))
    assert have_same_weights(weights_after("never_seen"), expected)


def test_never_seen_hard_learns_its_most_likely_class() -> None:
    targets = make_targets()
    hard = targets.logits[torch.arange(20), draw_unseen(targets, QUICK.unlearning.seed)].argmax(1)
    expected = fit_by_hand(
        torch.cat([IMAGES[40:140], IMAGES[:20], IMAGES[:20]]), torch.cat([LABELS[40:140], hard, hard])
    )
    assert have_same_weights(weights_after("never_seen_hard"), expected)


def test_never_seen_mean_learns_the_mean_of_all_that_have_not_seen() -> None:
    targets = make_targets()
    unseen = [targets.logits[sample, ~targets.inclusion[sample]].softmax(1).mean(0) for sample in range(20)]
    mean = torch.stack(unseen)
    remain = nn.functional.one_hot(LABELS[40:140], 10).float()
    expected = fit_by_hand(torch.cat([IMAGES[40:140], IMAGES[:20], IMAGES[:20]]), torch.cat([remain, mean, mean]))
    assert are_close(weights_after("never_seen_mean"), expected)


@pytest.mark.parametrize("method", ["never_seen", "never_seen_hard", "never_seen_mean"])
def test_never_seen_never_asks_who_has_seen(method: str) -> None:
    targets = make_targets()
    seen = torch.from_numpy(targets.inclusion)
    scrambled = torch.where(seen[:, :, None], targets.logits + 5 * torch.randn_like(targets.logits), targets.logits)
    other = weights_after(method, targets=type(targets)(scrambled, targets.inclusion, None))
    assert have_same_weights(weights_after(method), other)


def test_never_seen_without_references_says_so() -> None:
    with pytest.raises(InputError, match="never_seen needs target references"):
        run(make_problem("never_seen", targets=None))


@pytest.mark.parametrize("method", ["amun_reference", "amun_soft"])
def test_a_method_that_needs_references_weights_says_so(method: str) -> None:
    targets = make_targets()
    with pytest.raises(InputError, match=f"{method} needs the target references' weights"):
        run(make_problem(method, targets=type(targets)(targets.logits, targets.inclusion, None)))


def test_amun_reference_searches_on_models_that_never_saw_the_sample() -> None:
    """The base takes no part: what is found, and how it is labelled, are those models' alone."""
    targets = make_targets()
    assert targets.load is not None
    images, labels = search_on_references(make_problem("amun_reference"))
    chosen = draw_unseen(targets, QUICK.unlearning.seed)
    assert not targets.inclusion[torch.arange(20), chosen].any()
    for number in set(chosen.tolist()):
        mine = chosen == number
        assert torch.equal(compute_logits(targets.load(number), images[mine]).argmax(1), labels[mine])
    again = search_on_references(make_problem("amun_reference", base=make_problem("retrain").build()))
    assert torch.equal(again[0], images)
    expected = fit_by_hand(
        torch.cat([IMAGES[40:140], IMAGES[:20], images]), torch.cat([LABELS[40:140], LABELS[:20], labels])
    )
    assert have_same_weights(weights_after("amun_reference"), expected)


def test_amun_soft_labels_its_examples_as_models_that_never_saw_the_sample() -> None:
    targets = make_targets()
    assert targets.load is not None
    chosen = draw_unseen(targets, QUICK.unlearning.seed).tolist()
    seen_by_each = torch.stack([compute_logits(targets.load(number), IMAGES[20:40]).softmax(1) for number in range(4)])
    soft = seen_by_each[chosen, torch.arange(20)]
    hard = [nn.functional.one_hot(part, 10).float() for part in (LABELS[40:140], LABELS[:20])]
    expected = fit_by_hand(torch.cat([IMAGES[40:140], IMAGES[:20], IMAGES[20:40]]), torch.cat([*hard, soft]))
    assert are_close(weights_after("amun_soft", attempt=make_attempt("amun_soft", label_mix=0.0)), expected)


def test_amun_soft_with_the_adversarial_labels_alone_is_amun() -> None:
    mixed = weights_after("amun_soft", attempt=make_attempt("amun_soft", label_mix=1.0))
    assert are_close(mixed, weights_after("amun"))
    assert not are_close(weights_after("amun_soft"), weights_after("amun"))


@pytest.mark.parametrize(
    "method", ["adversarial", "random_label_images", "adversarial_random_label", "random_noise_labels"]
)
def test_ablations_take_the_images_and_labels_they_name(method: str) -> None:
    problem = make_problem(method)
    others = draw_wrong_labels(LABELS[:20], 10, QUICK.unlearning.seed, also_not=LABELS[20:40])
    assert not ((others == LABELS[:20]) | (others == LABELS[20:40])).any()
    images, labels = {
        "adversarial": (IMAGES[:20], LABELS[20:40]),
        "random_label_images": (IMAGES[:20], others),
        "adversarial_random_label": (IMAGES[20:40], others),
        "random_noise_labels": (move_anywhere(problem), LABELS[20:40]),
    }[method]
    expected = fit_by_hand(torch.cat([IMAGES[40:140], images]), torch.cat([LABELS[40:140], labels]))
    assert have_same_weights(copy_weights(run(problem).model), expected)


def test_fgsm_is_amun_on_its_own_examples() -> None:
    images, labels = step_until_wrong(make_problem("adversarial_fgsm"))
    amun = weights_after("amun", adversarial_images=images, adversarial_labels=labels)
    assert have_same_weights(weights_after("adversarial_fgsm"), amun)


def test_noise_goes_as_far_as_the_adversarial_images() -> None:
    grey, shift = torch.full((20, 1, 8, 8), 0.5), torch.linspace(0.01, 0.1, 20)[:, None, None, None]
    problem = make_problem("random_noise_labels", forget_images=grey, adversarial_images=grey + shift)
    distances = (move_anywhere(problem) - grey).flatten(1).norm(dim=1)
    assert torch.allclose(distances, shift.flatten() * 8, atol=1e-4)


def test_noise_that_leaves_the_range_of_pixels_goes_as_far_too() -> None:
    """Half of a digit's pixels are black: what noise takes off them is cut."""
    problem = make_problem("random_noise_labels", adversarial_images=(IMAGES[:20] + 0.05).clamp(0, 1))
    moved = move_anywhere(problem)
    wanted = (problem.adversarial_images - IMAGES[:20]).flatten(1).norm(dim=1)
    assert torch.allclose((moved - IMAGES[:20]).flatten(1).norm(dim=1), wanted, rtol=1e-5)
    assert 0 <= moved.min() < moved.max() <= 1
    still = make_problem("random_noise_labels", adversarial_images=IMAGES[:20])
    assert torch.equal(move_anywhere(still), IMAGES[:20])


def test_fgsm_ends_with_wrong_labels_or_without_the_sample() -> None:
    problem = make_problem("adversarial_fgsm")
    images, labels = step_until_wrong(problem)
    assert torch.equal(compute_logits(problem.base, images).argmax(1), labels)
    assert not (labels == LABELS[:20]).any()
    constant = deepcopy(problem.base)
    with torch.no_grad():
        for weight in constant.parameters():
            weight.zero_()
    # all it ever says is 0: right for those whose label is that, whatever the step
    assert len(step_until_wrong(make_problem("adversarial_fgsm", base=constant))[1]) == int((LABELS[:20] != 0).sum())
    zeros = torch.zeros(20, dtype=torch.int64)
    with pytest.raises(AttemptError, match="no adversarial example of any of 20 samples"):
        step_until_wrong(make_problem("adversarial_fgsm", base=constant, forget_labels=zeros))


def test_large_forget_set_is_looked_at_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of CIFAR-10 does not fit through a network at once; what comes of it must not depend on the parts."""
    problem = make_problem("salun")
    whole = find_salient(problem, 0.5), find_labels_beyond(make_problem("boundary_shrink"))
    monkeypatch.setattr("amun.model.training.PASS_SIZE", 7)
    sizes: list[int] = []
    problem.base.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    masks = find_salient(problem, 0.5)
    assert sizes == [7, 7, 6]
    differing = sum(int((masks[name] != whole[0][name]).sum()) for name in masks)
    assert differing <= 2  # a weight at the threshold may fall to the other side by rounding
    assert torch.equal(find_labels_beyond(make_problem("boundary_shrink")), whole[1])
