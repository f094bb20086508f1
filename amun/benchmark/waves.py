"""The continuous protocol: wave after wave, each from the model that the last one left, D_A built anew on it."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from amun.benchmark import shared
from amun.benchmark.cost import Meter, measuring
from amun.benchmark.methods import load_method
from amun.benchmark.records import RETRAIN, Figures, Record, Trial
from amun.benchmark.scoring import Judge, take
from amun.benchmark.study import Mask, Study, draw_forget_sets
from amun.benchmark.trials import is_remain_given, read_targets, seed_params, uses_adversarial
from amun.data.samples import Samples
from amun.errors import AttemptError, DivergedError
from amun.params import AttemptParams
from amun.unlearning.methods import find_method
from amun.unlearning.problem import UnlearningProblem
from amun.wave import write_json


def run_waves(study: Study, trial: Trial, num_waves: int, device: torch.device) -> None:
    """Runs a method through all waves of the share `trial.share` each, and writes one record of them."""
    try:
        record = _run(study, trial, num_waves, device)
    except (DivergedError, AttemptError) as error:
        record = Record(trial=trial, failure=str(error))
    write_json(study.locate_record(trial), record)


def _run(study: Study, trial: Trial, num_waves: int, device: torch.device) -> Record:
    meter, train = Meter(), study.read_splits()[0]
    model = meter.attach(study.load(study.locate_base(trial.seed), device))
    gone = np.zeros(len(train), dtype=np.bool_)
    last: list[Figures] = []
    so_far: list[Figures] = []
    with measuring(meter, device) as costs:
        for is_forget in draw_forget_sets(train.subject_ids, trial.share, num_waves, trial.forget_set):
            gone = gone | is_forget
            if trial.attempt is not None:
                model = _run_wave(study, trial, trial.attempt, model, train, is_forget, gone, meter, device)
            with meter.paused():
                judge = Judge(study, device)
                seen, _, test = judge.look(model)
                last.append(judge.measure(seen, test, is_forget, ~gone, trace=None))
                so_far.append(judge.measure(seen, test, gone, ~gone, trace=None))
    return Record(trial=trial, waves=last, waves_all=so_far, costs=costs[0])


def _run_wave(
    study: Study,
    trial: Trial,
    attempt: AttemptParams,
    model: nn.Module,
    train: Samples,
    is_forget: Mask,
    gone: Mask,
    meter: Meter,
    device: torch.device,
) -> nn.Module:
    forget, remain = train.select(is_forget), train.select(~gone)
    examples = forget
    if uses_adversarial(trial.method):
        examples, _ = shared.search(study, model, forget, device)
        if len(examples) < len(forget):
            raise AttemptError(f"{trial.method} lacks adversarial examples of {len(forget) - len(examples)} samples")
    problem = UnlearningProblem(
        base=model,
        forget_images=forget.images.to(device),
        forget_labels=forget.labels.to(device),
        adversarial_images=examples.images.to(device),
        adversarial_labels=examples.labels.to(device),
        remain_images=None,
        remain_labels=None,
        targets=read_targets(study, is_forget, meter, device),
        attempt=attempt,
        params=seed_params(study.params, trial),
        build=lambda: meter.attach(study.build(trial.seed, device)),
        on_epoch=lambda _: None,
    )
    if is_remain_given(trial):
        images, labels = take(remain, device)
        problem = replace(problem, remain_images=images, remain_labels=labels)
    unlearned: nn.Module = load_method(trial.method)(problem).model
    return unlearned


def can_go_on(method: str) -> bool:
    """Returns whether the method belongs in the figure of waves: the ablations do not."""
    return method == RETRAIN or not find_method(method).is_ablation
