"""The quick form: every planted model is really made, in a real night of each size, and judged by gate and report."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from amun.audit.night import NightPower, read_night
from amun.core.counts import tell_count
from amun.core.errors import AttemptError, DivergedError, InputError
from amun.core.params import Params
from amun.core.paths import TRAIN, UNLEARNED
from amun.evidence.wave import Wave
from amun.model.building import load_for
from amun.model.training import explain_diverged
from amun.model.weights import save_weights
from amun.selftest.ground import draw_people, freeze_night
from amun.selftest.planted import PLANTED, Planted, number_people
from amun.selftest.truth import Scale
from amun.selftest.verdicts import Cell, Verdict, describe, judge_model
from amun.stages.adversarial import build_adversarial_set
from amun.stages.power import measure_power
from amun.stages.unlearn import pose_problem
from amun.store.samples import read_samples
from amun.store.store import read_shape

SIZES = (1, 3, 12, 30, 75, 150)  # people
NUM_EXACT = 5  # trainings of exact weights, in a night that is to show something
_SEED = 0


def run_night(
    params: Params, device: torch.device, num_people: int, tell: Callable[[str], None]
) -> tuple[NightPower | None, list[Cell]]:
    """Returns what a night of so many people could show, and what is said of each planted model.

    At most half of the people who are in training can ask; where there are fewer there is no such night.

    Args:
        params: of the workspace.
        device: to compute on.
        num_people: who ask; the nights of two sizes have the smaller one's people in common.
        tell: is told each model that is made.

    Raises:
        InputError: the remaining training samples are not at hand.
    """
    if params.data.remain == "none":
        raise InputError("data.remain is none: the selftest plants its models on the remaining training samples")
    people = draw_people(_SEED)
    if num_people > len(people) // 2:
        return None, [describe(planted, num_people, ()) for planted in PLANTED]
    wave = freeze_night(params.model.name, people[:num_people])
    measure_power(params, device)
    build_adversarial_set(params, device)
    night = read_night()
    cells = []
    for planted in PLANTED:
        tell(f"{tell_count(num_people, 'person', 'people')}, {planted.name}")
        num_made = NUM_EXACT if planted.is_exact and not night.insufficient else 1
        verdicts = _judge_planted(params, device, wave, planted, num_made) if num_people >= planted.min_people else []
        cells.append(describe(planted, num_people, verdicts))
    return night, _find_truth(params, device, wave, cells, tell)


def _find_truth(
    params: Params, device: torch.device, wave: Wave, cells: Sequence[Cell], tell: Callable[[str], None]
) -> list[Cell]:
    """Returns the cells with what those faults truly leave that have passed, or why that could not be measured."""
    if not any(cell.is_false_pass for cell in cells):
        return list(cells)
    exact = next(planted for planted in PLANTED if planted.is_exact)
    tell("what has passed is measured beside models that are retrained")
    try:
        scale = Scale(params, device, wave, lambda seed: make_seeded(params, device, wave, exact, seed))
    except AttemptError as error:  # one seed of five diverges: what was judged is told all the same
        return [replace(cell, unmeasured=str(error)) if cell.is_false_pass else cell for cell in cells]
    found = []
    for planted, cell in zip(PLANTED, cells, strict=True):
        if cell.is_false_pass:
            tell(f"{planted.name}, what it leaves")
            found.append(_measure(params, device, wave, planted, scale, cell))
        else:
            found.append(cell)
    return found


def _measure(params: Params, device: torch.device, wave: Wave, planted: Planted, scale: Scale, cell: Cell) -> Cell:
    try:
        make_planted(_seed_judged(params, 0), device, wave, planted)  # a fault is judged once
        judged = load_for(params, read_shape(TRAIN), device, UNLEARNED)
        left = scale.measure(partial(make_seeded, params, device, wave, planted), judged, planted.sort)
    except AttemptError as error:
        return replace(cell, unmeasured=str(error))
    return replace(cell, true_left=left)


def make_seeded(params: Params, device: torch.device, wave: Wave, planted: Planted, seed: int) -> nn.Module:
    """Returns the model that is trained with a seed of its own, whatever it is that draws."""
    changes = {
        name: section.model_copy(update={"seed": section.seed + seed})
        for name, section in (("training", params.training), ("unlearning", params.unlearning))
    }
    make_planted(params.model_copy(update=changes), device, wave, planted)
    return load_for(params, read_shape(TRAIN), device, UNLEARNED)


def _judge_planted(
    params: Params, device: torch.device, wave: Wave, planted: Planted, num_made: int
) -> Sequence[Verdict]:
    """Returns what is said of the model, trained with so many seeds; nothing where it cannot be made here."""
    verdicts = []
    for number in range(num_made):
        try:
            make_planted(_seed_judged(params, number), device, wave, planted)
        except AttemptError:  # no target references, or samples without an adversarial example
            return []
        verdicts.append(judge_model(params, device))
    return verdicts


def _seed_judged(params: Params, number: int) -> Params:
    training = params.training.model_copy(update={"seed": params.training.seed + 1 + number})
    return params.model_copy(update={"training": training})


def make_planted(params: Params, device: torch.device, wave: Wave, planted: Planted) -> None:
    """Writes the model as the current folder's unlearned one.

    Raises:
        AttemptError: it cannot be made: its loss diverges, or what it needs is not there.
    """
    train = read_samples(TRAIN, without=wave.earlier_gone_ids)
    problem = pose_problem(params, device, wave, train, planted.attempt, lambda _: None)
    people = number_people(train.select(train.is_among(wave.forget_ids)).subject_ids)
    model = planted.make(problem, people)
    if diverged := explain_diverged(model, problem.forget_images):
        raise DivergedError(f"{planted.name}: a model with {diverged}")
    save_weights(UNLEARNED, model.eval())
