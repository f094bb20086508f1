"""The benchmark: the paper's study, on the preset's data and this machine."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from amun.core.counts import describe_seconds, tell_count
from amun.core.errors import InputError
from amun.core.locks import hold_lock
from amun.model.training import select_device
from amun.stages.runner import hold_device
from amun.study import shared
from amun.study.expected import find_deviations, write_expected
from amun.study.machine import describe_machine, list_versions
from amun.study.methods import list_methods
from amun.study.parameters import list_tried
from amun.study.plan import Plan
from amun.study.preset import Chosen, Preset, apply_preset, list_known, load_preset, locate_expected
from amun.study.publish import CHOSEN, EXPECTED, publish
from amun.study.records import Pair
from amun.study.run import Outcome, estimate_seconds, find_unsearched, measure_training, run_benchmark
from amun.study.setup import DIFFERENCES, Setup
from amun.study.study import OF_WAVES, USED, Study, open_study
from tasks.views.benchmark_runs import log_benchmark
from tasks.workspace.workspace import Workspace

ASK_ABOVE = 6 * 3600.0  # seconds: nobody starts this by mistake
FOLDER = Path("benchmark")


@dataclass(frozen=True)
class Wish:
    """What was asked for on the command line.

    Attributes:
        preset: its name, or a file.
        is_full: all of the study.
        by_subject: people are forgotten whole.
        methods: the user's own.
        root: folder of the source's files, in place of the preset's.
        is_agreed: however long it takes.
    """

    preset: str
    is_full: bool
    by_subject: bool
    methods: tuple[str, ...]
    root: str | None
    is_agreed: bool


def run(workspace: Workspace, wish: Wish) -> Path:
    """Runs what is left of a benchmark and publishes it; returns the folder of its tables, figures and page.

    Raises:
        InputError: the preset is wrong, or it would take very long and nobody agreed.
    """
    name, preset = load_preset(wish.preset)
    name = f"{name}-by-subject" if wish.by_subject else name
    params = apply_preset(_change(preset, wish), workspace.params)
    methods = list_methods(preset.methods, wish.methods, params.references.num_target)
    study = open_study(name, params, wish.by_subject, preset.num_waves)
    device = select_device(params.runtime)
    with hold_lock(study.folder.parent / "lock"), hold_device(device):
        if not shared.is_prepared(study):
            shared.prepare_store(study, device)
        if wish.by_subject:
            _require_people(study)
        scale = preset.full if wish.is_full else preset.scale
        plan = Plan(study, preset, scale, wish.is_full, methods, measure_training(study))
        # a full run searches anew
        known = {} if wish.is_full else list_known(preset)
        estimate = _announce(plan, known, wish.is_agreed)
        started_at = time.monotonic()
        outcome = run_benchmark(plan, known)
        setup = _describe(name, plan, device, estimate, time.monotonic() - started_at)
        folder = _publish(workspace, outcome, setup)
        if not (wish.is_full or wish.by_subject or wish.root):
            _compare(wish.preset, outcome)
        return folder


def _change(preset: Preset, wish: Wish) -> Preset:
    """Returns the preset with the folder of its data; by subject, with as large subjects as the workspace invents."""
    data = dict(preset.params.get("data", {}))
    if wish.root is not None:
        data["root"] = wish.root
    if wish.by_subject and data.get("subject_max_samples") == 1:
        del data["subject_max_samples"]
    return preset.model_copy(update={"params": preset.params | {"data": data}})


def _require_people(study: Study) -> None:
    """Refuses to forget by subject where that is the same as by sample.

    Raises:
        InputError: nobody has more than one sample.
    """
    owners = study.read_everything().subject_ids
    if len(np.unique(owners)) == len(owners):
        raise InputError("--by-subject: every subject has one sample; set data.subject_max_samples in params.yaml")


def _announce(plan: Plan, known: dict[Pair, Chosen], is_agreed: bool) -> float:
    """Says what is to be run and about how long it takes here; returns these seconds.

    Raises:
        InputError: it would take very long and nobody agreed.
    """
    seconds = estimate_seconds(plan, known)
    searched = find_unsearched(plan, known)
    methods = tell_count(len(plan.methods), "method")
    print(f"{plan.preset.title}: {methods}, about {describe_seconds(seconds)} left to compute here")
    if searched:
        trials = tell_count(plan.preset.num_trials, "trial")
        pairs = tell_count(len(searched), "method and setting", "methods and settings")
        print(f"  search for parameters: {trials} for each of {pairs}")
    if seconds > ASK_ABOVE and not is_agreed:
        raise InputError(f"that takes about {describe_seconds(seconds)} on this machine; say --yes to start it")
    return seconds


def _describe(name: str, plan: Plan, device: torch.device, estimate: float, seconds: float) -> Setup:
    params = plan.study.params
    return Setup(
        preset=name,
        digest=plan.study.digest,
        title=plan.preset.title,
        machine=describe_machine(device),
        versions=list_versions() | {"amun": version("amun")},
        seeds=range(plan.scale.num_seeds),
        forget_sets=range(1, plan.scale.num_forget_sets + 1),
        params=params.model_dump(mode="json", include={*USED, "unlearning"}, exclude=OF_WAVES),
        search_budget=plan.preset.num_trials,
        search_ranges={name: str(tried) for name, tried in list_tried(plan.methods).items()},
        differences=[*plan.preset.differences, *DIFFERENCES],
        seconds=seconds,
        estimate=estimate,
        by_subject=plan.study.by_subject,
    )


def _publish(workspace: Workspace, outcome: Outcome, setup: Setup) -> Path:
    folder = workspace.root / FOLDER / setup.preset
    folder.mkdir(parents=True, exist_ok=True)
    write_chosen(folder / CHOSEN, outcome.chosen)
    write_expected(outcome.records, setup.machine, folder / EXPECTED)
    publish([*outcome.records, *outcome.searched], folder, setup)
    log_benchmark(workspace.root, workspace.model, outcome.records, folder, setup)
    return folder


def _compare(preset: str, outcome: Outcome) -> None:
    """Says whether this machine gives the figures that are published for a shipped preset."""
    published = locate_expected(preset)
    if published is None:
        return
    deviations = find_deviations(outcome.records, published)
    for deviation in deviations:
        print(f"  {deviation}")
    print("these are not the published figures" if deviations else "as published: every figure within its tolerance")


def write_chosen(path: Path, chosen: Mapping[Pair, Chosen]) -> None:
    """Writes what the search found as a preset keeps it."""
    content: dict[str, dict[str, Any]] = {}
    for (setting, method), found in chosen.items():
        content.setdefault(setting, {})[method] = found.model_dump(mode="json")
    path.write_text(yaml.safe_dump({"chosen": content}, sort_keys=False), encoding="utf-8")
