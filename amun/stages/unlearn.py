"""Stage `unlearn`: makes one attempt, always from the wave's base."""

import shutil
from collections.abc import Callable

import torch

from amun.core.counts import tell_count
from amun.core.errors import AttemptError, InputError
from amun.core.params import AttemptParams, Params
from amun.core.paths import (
    ADVERSARIAL,
    TARGET_INCLUSION,
    TARGET_LOGITS,
    TARGET_WEIGHTS,
    TRAIN,
    UNLEARN_EPOCHS,
    UNLEARN_METRICS,
    UNLEARNED,
    WAVE_BASE,
)
from amun.core.stage_result import Work
from amun.evidence.figures import UnlearnFigures
from amun.evidence.wave import MIN_REPORTED, Wave, read_attempt, read_wave, write_json
from amun.methods.catalogue import find_method, load_method
from amun.methods.method import Method
from amun.methods.problem import Targets, Unlearned, UnlearningProblem, gather_targets
from amun.model.building import build_for, load_for
from amun.model.history import show_epochs, write_history
from amun.model.target_weights import count_references, open_references
from amun.model.trainer import count_epochs
from amun.model.training import EpochMetrics
from amun.model.weights import open_weights_seal, save_weights
from amun.stages.runner import run_stage
from amun.store.opening import SampleOpener
from amun.store.samples import LabelledSamples, count_samples, read_samples
from amun.store.store import StoreShape, read_shape


def unlearn(params: Params, device: torch.device) -> Work | None:
    """Writes the unlearned weights and the loss by epoch; where nothing is forgotten, the base byte for byte.

    Returns:
        which samples it had and for how many epochs; None where nothing is forgotten.
    """
    wave, number, work = read_wave(), read_attempt().attempt, None
    attempt = select_attempt(params, number)
    if wave.forget_ids:
        forget_ids = None if params.data.remain == "use" else wave.forget_ids
        opener = SampleOpener(params.runtime, device)
        train = opener.open(TRAIN, sample_ids=forget_ids, without=wave.earlier_gone_ids)
        unlearned = _make_attempt(params, device, wave, train, attempt)
        # an exact one leaves those to forget out
        num_trained_on = len(train) - len(wave.forget_ids) * attempt.is_exact
        work = Work(num_trained_on, _count_epochs(params, attempt))
        save_weights(UNLEARNED, unlearned.model, open_weights_seal(params, wave.number))
        # a handful of samples without the remain set: their loss would be a person's score
        num_asked = len(wave.forgetting.asked_ids)
        is_reported = params.data.remain == "use" or num_asked >= MIN_REPORTED
        write_history(UNLEARN_EPOCHS, unlearned.history if is_reported else [])
    else:
        shutil.copyfile(WAVE_BASE, UNLEARNED)
        write_history(UNLEARN_EPOCHS, [])
    # a copied base has been unlearned by no method; a new base is exact by itself
    is_exact = attempt.is_exact if wave.forget_ids else wave.kind == "base"
    method = attempt.method if wave.forget_ids else "none"
    write_json(UNLEARN_METRICS, UnlearnFigures(attempt=number, method=method, is_exact=is_exact))
    return work


def select_attempt(params: Params, number: int) -> AttemptParams:
    """Returns the attempt of that number, counted from 1."""
    if not 1 <= number <= len(params.unlearning.attempts):
        raise InputError(f"wave/attempt.json: there is no attempt {number} in unlearning.attempts of params.yaml")
    return params.unlearning.attempts[number - 1]


def _count_epochs(params: Params, attempt: AttemptParams) -> int:
    return count_epochs(params.training) if attempt.is_exact else params.unlearning.epochs


def _make_attempt(
    params: Params, device: torch.device, wave: Wave, train: LabelledSamples, attempt: AttemptParams
) -> Unlearned:
    with show_epochs(f"unlearn {attempt.method}", _count_epochs(params, attempt)) as show:
        problem = pose_problem(params, device, wave, train, attempt, show)
        return load_method(attempt.method)(problem)


def pose_problem(
    params: Params,
    device: torch.device,
    wave: Wave,
    train: LabelledSamples,
    attempt: AttemptParams,
    on_epoch: Callable[[EpochMetrics], None],
) -> UnlearningProblem:
    """Returns what a method is given in the current folder's wave.

    Args:
        params: all of `params.yaml`.
        device: to compute on.
        wave: whom to forget.
        train: the training samples; those to forget alone where the remaining ones are not at hand.
        attempt: the method and its parameters.
        on_epoch: called after each epoch.

    Raises:
        AttemptError: the method lacks adversarial examples or target references.
    """
    forget, adversarial = train.select(train.is_among(wave.forget_ids)), read_samples(ADVERSARIAL)
    method = find_method(attempt.method)
    if len(adversarial) < len(forget) and method.needs_adversarial:
        num_missing = len(forget) - len(adversarial)
        raise AttemptError(f"{attempt.method} lacks adversarial examples of {tell_count(num_missing, 'sample')}")
    shape = read_shape(TRAIN)
    remain = train.select(~train.is_among(wave.gone_ids)) if params.data.remain == "use" else None
    remain_images = None if remain is None else remain.image_set(device)
    return UnlearningProblem(
        base=load_for(params, shape, device, WAVE_BASE),
        forget_images=forget.image_set(device).read_all(),
        forget_labels=forget.labels.to(device),
        adversarial_images=adversarial.images.to(device),
        adversarial_labels=adversarial.labels.to(device),
        remain_images=remain_images if remain_images is None or not method.is_own else remain_images.read_all(),
        remain_labels=None if remain is None else remain.labels.to(device),
        targets=_read_targets(params, shape, method, forget, device),
        attempt=attempt,
        params=params,
        build=lambda: build_for(params, shape, device, params.training.seed),
        on_epoch=on_epoch,
    )


def _read_targets(
    params: Params, shape: StoreShape, method: Method, forget: LabelledSamples, device: torch.device
) -> Targets | None:
    """Returns the target references on the forget samples: what the method needs, all there is for a user's own."""
    if not method.asks_targets and not method.is_own:
        return None
    if not count_samples(TARGET_LOGITS):
        if method.is_own:
            return None
        raise AttemptError("there are no target references (references.num_target was 0 when the base was built)")
    asked = forget.sample_ids.tolist()
    logits, inclusion = (read_samples(path, sample_ids=asked) for path in (TARGET_LOGITS, TARGET_INCLUSION))
    load = None
    if method.needs_target_weights or (method.is_own and count_references(TARGET_WEIGHTS)):
        load = open_references(lambda: build_for(params, shape, device, seed=0), inclusion.payloads.shape[1])
    return gather_targets(logits, inclusion, forget, device, load)


if __name__ == "__main__":
    run_stage(unlearn)
