"""The continuous protocol: wave after wave, each from the model that the last one left, D_A built anew on it."""

import numpy as np
import torch
from torch import nn

from amun.core.errors import AttemptError, DivergedError
from amun.methods.catalogue import find_method, load_method
from amun.store.samples import Samples
from amun.study import shared
from amun.study.cost import Meter, measuring
from amun.study.draws import draw_forget_sets
from amun.study.records import RETRAIN, Figures, Record, Trial
from amun.study.scoring import Judge
from amun.study.study import Study
from amun.study.trials import Scene, make_problem, uses_adversarial


def run_waves(study: Study, trial: Trial, num_waves: int, device: torch.device) -> shared.Written:
    """Runs a method through all waves of the share `trial.share` each, and returns one record of them."""
    try:
        record = _run(study, trial, num_waves, device)
    except (DivergedError, AttemptError) as error:
        record = Record(trial=trial, failure=str(error))
    return {study.locate_record(trial): record}


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
                forget = train.select(is_forget)
                scene = Scene(
                    study,
                    trial,
                    device,
                    meter,
                    model,
                    train,
                    is_forget,
                    ~gone,
                    _search(study, trial, model, forget, device),
                )
                model = load_method(trial.method)(make_problem(scene, trial.attempt)).model
            with meter.paused():
                judge = Judge(study, device)
                seen, test = judge.look(model, "train", "test")
                last.append(judge.measure(seen, test, is_forget, ~gone, trace=None))
                so_far.append(judge.measure(seen, test, gone, ~gone, trace=None))
    return Record(trial=trial, waves=last, waves_all=so_far, costs=costs[0])


def _search(study: Study, trial: Trial, model: nn.Module, forget: Samples, device: torch.device) -> Samples:
    """Returns D_A on the model that the last wave left; the forget samples in its place where nobody reads it."""
    return shared.search(study, model, forget, device)[0] if uses_adversarial(trial.method) else forget


def can_go_on(method: str) -> bool:
    """Returns whether the method belongs in the figure of waves: the ablations do not."""
    return method == RETRAIN or not find_method(method).is_ablation
