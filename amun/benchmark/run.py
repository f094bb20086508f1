"""A benchmark from its first run to the last: what has been computed is not computed again."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy

from amun.benchmark.jobs import Clock, Job, count_workers, measure_speed, open_pool, run_jobs, select_pending
from amun.benchmark.parameters import choose, describe_trial, make_yardstick
from amun.benchmark.plan import Plan
from amun.benchmark.preset import Chosen
from amun.benchmark.records import Pair, Record, Trial
from amun.benchmark.study import Study
from amun.errors import AmunError
from amun.training import configure_torch, take_step

MIN_MEASURED = 3.0  # seconds of training steps, from which the whole is estimated


@dataclass(frozen=True)
class Outcome:
    """What a benchmark has found.

    Attributes:
        records: of all runs that the tables and figures show.
        searched: of the search for parameters.
        chosen: parameters by setting and method.
    """

    records: list[Record]
    searched: list[Record]
    chosen: dict[Pair, Chosen]


def measure_training(study: Study) -> float:
    """Returns how many samples a second one process trains on here."""
    device = configure_torch(study.params.runtime)
    model = study.build(0, device)
    samples = study.read_splits()[0].slice(0, study.params.training.batch_size)
    images, labels = samples.images.to(device), samples.labels.to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    model.train()

    def step() -> int:
        take_step(model, optimizer, images, labels, study.params.runtime.precision, cross_entropy)
        return len(labels)

    return measure_speed(step, MIN_MEASURED)


def find_unsearched(plan: Plan, known: Mapping[Pair, Chosen]) -> list[Pair]:
    """Returns the methods, with their settings, whose parameters are to be searched for."""
    return [pair for pair in plan.list_pairs() if pair not in known]


def estimate_seconds(plan: Plan, known: Mapping[Pair, Chosen]) -> float:
    """Returns about how long what is left to run takes here, on all processes together."""
    pending = select_pending(list_jobs(plan, known))
    return sum(job.seconds for job in pending) / count_workers(plan.study.params.runtime)


def list_jobs(plan: Plan, known: Mapping[Pair, Chosen]) -> list[Job]:
    """Returns all jobs; a method whose parameters are still searched for stands there with the first ones it tries."""
    searched = {pair: plan.list_search(*pair) for pair in find_unsearched(plan, known)}
    trials = [trial for tried in searched.values() for trial in tried]
    if searched:
        trials.append(make_yardstick(plan.first_share))
    settled = {pair: _settle(plan, tried) for pair, tried in searched.items()}
    chosen = {**known, **{pair: found for pair, found in settled.items() if found is not None}}
    trials += [*plan.list_retrained(), *plan.list_reported(_order(plan, chosen))]
    jobs = [plan.plan_trial(trial) for trial in trials]
    return [*plan.plan_shared(select_pending(jobs), with_search_set=bool(searched)), *jobs]


def _settle(plan: Plan, tried: Sequence[Trial]) -> Chosen | None:
    """Returns what a search chose that has been run; else, to reckon with, the first parameters that it tries."""
    yardstick = make_yardstick(plan.first_share)
    if select_pending([plan.plan_trial(trial) for trial in [yardstick, *tried]]):
        return describe_trial(tried[0])
    (exact,) = plan.study.read_records([yardstick])
    return choose(plan.study.read_records(tried), exact)


def run_benchmark(plan: Plan, known: Mapping[Pair, Chosen]) -> Outcome:
    """Runs all that has not been run, and returns everything found.

    Args:
        plan: what belongs to it.
        known: the parameters of those methods that are not searched for.

    Raises:
        AmunError: exact retraining failed: there is nothing to compare with.
    """
    runtime, jobs = plan.study.params.runtime, list_jobs(plan, known)
    clock = Clock(sum(job.seconds for job in select_pending(jobs)))
    try:
        with open_pool(runtime, count_workers(runtime)) as pool:
            return _run_all(pool, plan, known, jobs, clock)
    finally:
        for path in plan.study.list_weights():
            path.unlink(missing_ok=True)


def _run_all(pool: Executor, plan: Plan, known: Mapping[Pair, Chosen], jobs: Sequence[Job], clock: Clock) -> Outcome:
    runtime, unsearched = plan.study.params.runtime, find_unsearched(plan, known)
    for name, part in plan.group_shared(select_pending(jobs), with_search_set=bool(unsearched)):
        run_jobs(pool, runtime, part, clock, name)
    searched = _search(pool, plan, unsearched, clock)
    found = {pair: choose(records, yardstick) for pair, (records, yardstick) in searched.items()}
    chosen = _order(plan, {**known, **{pair: one for pair, one in found.items() if one is not None}})
    retrained = plan.list_retrained()
    run_jobs(pool, runtime, [plan.plan_trial(trial) for trial in retrained], clock, "retrain")
    exact = _read_exact(plan, retrained)
    reported = plan.list_reported(chosen)
    run_jobs(pool, runtime, [plan.plan_trial(trial) for trial in reported], clock, "methods")
    tried = [record for part, _ in searched.values() for record in part]
    return Outcome([*exact, *plan.study.read_records(reported)], tried, chosen)


def _read_exact(plan: Plan, trials: Sequence[Trial]) -> list[Record]:
    """Returns the records of exact retraining.

    Raises:
        AmunError: it failed: there is nothing to compare with.
    """
    exact = plan.study.read_records(trials)
    if failed := next((record.failure for record in exact if record.failure), None):
        raise AmunError(f"exact retraining failed, so there is nothing to compare with: {failed}")
    return exact


def _search(pool: Executor, plan: Plan, pairs: Sequence[Pair], clock: Clock) -> dict[Pair, tuple[list[Record], Record]]:
    """Returns for each pair the records of its search, and that of exact retraining."""
    if not pairs:
        return {}
    yardstick = make_yardstick(plan.first_share)
    trials = {pair: plan.list_search(*pair) for pair in pairs}
    jobs = [plan.plan_trial(trial) for trial in [yardstick, *(trial for tried in trials.values() for trial in tried)]]
    run_jobs(pool, plan.study.params.runtime, jobs, clock, "search")
    (exact,) = _read_exact(plan, [yardstick])
    return {pair: (plan.study.read_records(tried), exact) for pair, tried in trials.items()}


def _order(plan: Plan, chosen: Mapping[Pair, Chosen]) -> dict[Pair, Chosen]:
    """Returns what is chosen for the methods of the plan, in its order."""
    return {pair: chosen[pair] for pair in plan.list_pairs() if pair in chosen}
