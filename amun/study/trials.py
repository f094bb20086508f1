"""One trial: a method, run from its base on a forget set, then looked at."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from amun.core.counts import tell_count
from amun.core.errors import AmunError, AttemptError, DivergedError
from amun.core.params import AttemptParams, Params
from amun.methods.catalogue import find_method, is_own, load_method
from amun.methods.problem import Targets, UnlearningProblem
from amun.model.training import EpochMetrics, compute_accuracy, compute_logits
from amun.store.samples import Samples
from amun.study import shared
from amun.study.cost import Meter, add_costs, measuring
from amun.study.draws import Mask, draw_forget_set
from amun.study.records import AMUN, AMUN_A, BASE, Costs, Record, Trial
from amun.study.scoring import SPLITS, Attacker, Judge, bin_confidence, measure_trace, read_logits, take
from amun.study.study import Study


@dataclass(frozen=True)
class Scene:
    """What a method starts from.

    Attributes:
        study: whose files.
        trial: what is run.
        device: to compute on.
        meter: attached to the base.
        base: the model that is to forget.
        train: the training samples.
        is_forget: (N,) bool, which of them are to be forgotten.
        is_remain: (N,) bool, which of them remain.
        adversarial: D_A; without those samples for which nothing was found.
    """

    study: Study
    trial: Trial
    device: torch.device
    meter: Meter
    base: nn.Module
    train: Samples
    is_forget: Mask
    is_remain: Mask
    adversarial: Samples


def open_scene(study: Study, trial: Trial, device: torch.device) -> Scene:
    """Returns the scene of a trial of kind `search`, `table` or `delta`."""
    meter, train = Meter(), study.read_splits()[0]
    is_forget = draw_forget_set(train.subject_ids, trial.share, trial.forget_set)
    base = meter.attach(study.load(study.locate_base(trial.seed), device))
    adversarial = study.read_samples(study.locate_adversarial(trial.share, trial.forget_set, trial.seed))
    return Scene(study, trial, device, meter, base, train, is_forget, ~is_forget, adversarial)


def run_trial(study: Study, trial: Trial, device: torch.device) -> shared.Written:
    """Runs a trial of kind `search`, `table` or `delta`; returns its record, which one that fails has, too.

    Before the record of exact retraining come the weights of its model, which others are compared with.

    Raises:
        AmunError: exact retraining failed.
    """
    scene, path = open_scene(study, trial, device), study.locate_record(trial)
    try:
        record, model = _run(scene)
    except (DivergedError, AttemptError) as error:
        if trial.is_exact:
            raise AmunError(f"exact retraining failed, so there is nothing to compare with: {error}") from error
        return {path: Record(trial=trial, failure=str(error))}
    if not trial.is_exact:
        return {path: record}
    weights = study.locate_retrained(trial.share, trial.forget_set, trial.seed)
    return {weights: shared.pack_weights(model), path: record}


def _run(scene: Scene) -> tuple[Record, nn.Module]:
    """Returns what came of a trial, and the model that it has come to."""
    study, trial = scene.study, scene.trial
    if trial.attempt is None:
        return _describe(scene, scene.base, shared.read_costs(study, study.locate_base(trial.seed)), []), scene.base
    problem, accuracies = make_problem(scene, trial.attempt), list[float]()
    if trial.kind == "table" and is_drawn_by_epoch(trial.method):
        problem = replace(problem, on_epoch=lambda metrics: _note_accuracy(scene, accuracies, metrics))
    if trial.delta_factor != 1:
        problem = replace(problem, adversarial_images=take_farther(problem, trial.delta_factor))
    with measuring(scene.meter, scene.device) as costs:
        unlearned = load_method(trial.method)(problem)
    searched = _read_facts(scene).costs if uses_adversarial(trial.method) else None
    record = _describe(
        scene, unlearned.model, costs[0] if searched is None else add_costs(costs[0], searched), accuracies
    )
    if trial.kind == "delta":
        record = record.model_copy(update=describe_farther(problem, scene))
    return record, unlearned.model


def make_problem(scene: Scene, attempt: AttemptParams) -> UnlearningProblem:
    """Returns what the method is given.

    Raises:
        AttemptError: the method needs an adversarial example of each forget sample, and some have none.
    """
    study, trial, forget = scene.study, scene.trial, scene.train.select(scene.is_forget)
    num_missing = len(forget) - len(scene.adversarial)
    if num_missing and uses_adversarial(trial.method):
        raise AttemptError(f"{trial.method} lacks adversarial examples of {tell_count(num_missing, 'sample')}")
    remain = take(scene.train.select(scene.is_remain), scene.device) if is_remain_given(trial) else (None, None)
    forget_images, forget_labels = take(forget, scene.device)
    adversarial_images, adversarial_labels = take(scene.adversarial, scene.device)
    return UnlearningProblem(
        base=scene.base,
        forget_images=forget_images,
        forget_labels=forget_labels,
        adversarial_images=adversarial_images,
        adversarial_labels=adversarial_labels,
        remain_images=remain[0],
        remain_labels=remain[1],
        targets=read_targets(study, scene.is_forget, scene.meter, scene.device),
        attempt=attempt,
        params=seed_params(study.params, trial),
        build=lambda: scene.meter.attach(study.build(trial.seed, scene.device)),
        on_epoch=lambda _: None,
    )


def is_remain_given(trial: Trial) -> bool:
    """Returns whether the method gets the remain set: exact retraining always does."""
    return trial.setting == "use" or trial.is_exact


def is_drawn_by_epoch(method: str) -> bool:
    """Returns whether Figure 1 shows the method: AMUN and the ablation."""
    return method in (AMUN, AMUN_A) or find_method(method).is_ablation


def uses_adversarial(method: str) -> bool:
    """Returns whether D_A, and what its search took, belongs to the method."""
    return find_method(method).needs_adversarial


def uses_target_weights(method: str) -> bool:
    """Returns whether the method asks the target references themselves; one of the user's own may."""
    return is_own(method) or (method != BASE and find_method(method).needs_target_weights)


def seed_params(params: Params, trial: Trial) -> Params:
    """Returns the study's parameters with the trial's seed and schedule."""
    training = params.training.model_copy(update={"seed": trial.seed})
    unlearning = params.unlearning.model_copy(update={"seed": trial.seed, "schedule": trial.schedule})
    return params.model_copy(update={"training": training, "unlearning": unlearning})


def read_targets(study: Study, is_forget: Mask, meter: Meter, device: torch.device) -> Targets | None:
    """Returns the target references on the forget samples, if any; the models that they load are counted, too."""
    if not study.count_references("target"):
        return None
    chosen, load = np.flatnonzero(is_forget), shared.load_target(study, device)
    logits = read_logits(study, "target")[torch.from_numpy(chosen)].to(device)
    return Targets(logits, study.draw_halves("target")[chosen], lambda number: meter.attach(load(number)))


def take_farther(problem: UnlearningProblem, factor: float) -> Tensor:
    """Returns (F, C, H, W), the adversarial images that many times farther from the originals, within [0, 1]."""
    return (problem.forget_images + factor * (problem.adversarial_images - problem.forget_images)).clamp(0, 1)


def describe_farther(problem: UnlearningProblem, scene: Scene) -> dict[str, float]:
    """Returns how far the trial's examples really are, and what became of their pixels and labels."""
    farther, nearest = problem.adversarial_images, take(scene.adversarial, scene.device)[0]
    is_stuck = ((farther == 0) | (farther == 1)) & (nearest != 0) & (nearest != 1)
    labels = compute_logits(problem.base, farther).argmax(1)
    return {
        "mean_delta_norm": float((farther - problem.forget_images).flatten(1).norm(dim=1).mean()),
        "clamped_share": float(is_stuck.float().mean()),
        "flipped_share": float((labels != problem.adversarial_labels.cpu()).float().mean()),
    }


@torch.no_grad()
def measure_distance(model: nn.Module, other: nn.Module) -> float:
    """Returns the L2 distance of all weights of two models of one architecture."""
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    return float(torch.cat([(first - second).flatten() for first, second in pairs]).norm())


def _describe(scene: Scene, model: nn.Module, costs: Costs, accuracies: list[float]) -> Record:
    study, trial = scene.study, scene.trial
    judge, masks = Judge(study, scene.device), (scene.is_forget, scene.is_remain)
    if trial.kind == "search":
        train, calibration = judge.look(model, "train", "calibration")
        return Record(trial=trial, calibration=judge.measure(train, calibration, *masks, trace=None), costs=costs)
    train, calibration, test = judge.look(model, *SPLITS)
    forget, remain = (train.select(torch.from_numpy(mask)) for mask in masks)
    path = study.locate_retrained(trial.share, trial.forget_set, trial.seed)
    retrained = model if trial.is_exact else study.load(path, scene.device)
    return Record(
        trial=trial,
        calibration=judge.measure(train, calibration, *masks, trace=None),
        test=judge.measure(train, test, *masks, trace=measure_trace(_make_attacker(scene), model)),
        costs=costs,
        test_accuracies=accuracies,
        confidence={
            name: bin_confidence(part.logits, part.labels)
            for name, part in (("forget", forget), ("remain", remain), ("test", test))
        },
        parameter_distance=measure_distance(model, retrained),
        mean_delta_norm=_read_facts(scene).mean_delta_norm,
    )


def _make_attacker(scene: Scene) -> Attacker:
    study, trial, device = scene.study, scene.trial, scene.device
    base = study.load(study.locate_base(trial.seed), device)  # a user's method may have changed the scene's
    others = study.read_samples(study.locate_candidates(trial.share, trial.seed))
    return Attacker(base, take(scene.adversarial, device), take(others, device))


def _read_facts(scene: Scene) -> shared.AdversarialFacts:
    trial = scene.trial
    return shared.read_facts(scene.study, scene.study.locate_adversarial(trial.share, trial.forget_set, trial.seed))


def _note_accuracy(scene: Scene, accuracies: list[float], _metrics: EpochMetrics) -> None:
    """Adds the accuracy on the test half of the model in training, off the clock."""
    if scene.meter.model is None:
        return
    test = scene.study.read_splits()[2]
    with scene.meter.paused():
        accuracies.append(
            compute_accuracy(compute_logits(scene.meter.model, test.images.to(scene.device)), test.labels)
        )
