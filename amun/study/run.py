"""A benchmark from its first run to the last: what has been computed is not computed again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

from torch.nn.functional import cross_entropy

from amun.core.errors import InputError
from amun.core.params import RuntimeParams
from amun.engine.local import LocalEngine
from amun.engine.shards import Engine
from amun.methods.catalogue import load_method
from amun.model.training import configure_torch, count_workers, make_optimizer, select_device, take_step
from amun.stages.engines import choose_engine
from amun.study.jobs import Clock, Job, measure_speed, run_jobs, select_pending
from amun.study.parameters import choose, describe_trial, make_yardstick
from amun.study.plan import Plan
from amun.study.preset import Chosen
from amun.study.records import Pair, Record, Trial
from amun.study.study import Study, digest_code

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
    optimizer = make_optimizer(model, study.params.training, learning_rate=0.0, num_steps=1)
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
    pending = select_pending([*chain(*list_jobs(plan, known))])
    return sum(job.seconds for job in pending) / count_workers(plan.study.params.runtime)


def list_jobs(plan: Plan, known: Mapping[Pair, Chosen]) -> tuple[list[Job], list[Job]]:
    """Returns the jobs that need no search for parameters first, and those of the methods that are shown.

    While a method's parameters are still searched for, the first ones that it tries stand for them.
    """
    searched = list_searches(plan, known)
    tried = [trial for trials in searched.values() for trial in trials]
    before = [make_yardstick(plan.first_share), *tried] if searched else []
    first = [plan.plan_trial(trial) for trial in [*plan.list_retrained(), *before]]
    shown = [plan.plan_trial(trial) for trial in plan.list_reported(settle(plan, known, searched))]
    return [*plan.plan_shared(select_pending([*first, *shown]), with_search_set=bool(searched)), *first], shown


def list_searches(plan: Plan, known: Mapping[Pair, Chosen]) -> dict[Pair, list[Trial]]:
    """Returns the trials of every method and setting whose parameters are not known."""
    return {pair: plan.list_search(*pair) for pair in find_unsearched(plan, known)}


def settle(plan: Plan, known: Mapping[Pair, Chosen], searched: Mapping[Pair, Sequence[Trial]]) -> dict[Pair, Chosen]:
    """Returns the parameters of the plan's methods, in its order, without the methods whose trials all failed."""
    found = {pair: _settle_one(plan, trials) for pair, trials in searched.items()}
    settled = {**known, **{pair: chosen for pair, chosen in found.items() if chosen is not None}}
    return {pair: settled[pair] for pair in plan.list_pairs() if pair in settled}


def _settle_one(plan: Plan, tried: Sequence[Trial]) -> Chosen | None:
    """Returns what a finished search chose; before that the first parameters that it tries, to estimate with."""
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
        InputError: it is to run on a cluster that cannot be used.
        AmunError: exact retraining failed: there is nothing to compare with.
    """
    engine = open_engine(plan.study.params.runtime, plan.methods)
    try:
        return _run_all(engine, plan, known)
    finally:
        for path in plan.study.list_weights():
            path.unlink(missing_ok=True)


def open_engine(runtime: RuntimeParams, methods: Sequence[str]) -> Engine:
    """Returns what computes the jobs: a cluster, or as many new processes as there are processors.

    Copies of this one would have its memory, too, which each run's is measured with, and its threads' locks.

    Raises:
        InputError: it is a cluster that cannot be used.
    """
    if runtime.engine != "local":
        return choose_engine(runtime, select_device(runtime), 0, may_fork=False)
    num_processes = count_workers(runtime)
    digest = digest_code() if num_processes > 1 else None  # this process has its code
    return LocalEngine(num_processes, "spawn", partial(prepare, runtime, methods, digest))


def prepare(runtime: RuntimeParams, methods: Sequence[str], digest: str | None) -> None:
    """Makes a process ready: code that is edited while a benchmark runs has no part in it.

    Raises:
        InputError: the code is not that of this digest any more.
    """
    for method in methods:
        load_method(method)
    if digest is not None:
        require_code(digest)
    configure_torch(runtime)


def require_code(digest: str) -> None:
    """Sees that the code is that of this digest.

    Raises:
        InputError: it is another.
    """
    if digest_code() != digest:
        raise InputError(
            "the code, amun's or that of custom/, has changed since this benchmark began; type the command again: it "
            "begins a study of the code as it is now"
        )


def _run_all(engine: Engine, plan: Plan, known: Mapping[Pair, Chosen]) -> Outcome:
    study, searched, digest = plan.study, list_searches(plan, known), digest_code()
    first, shown = list_jobs(plan, known)
    num_workers = count_workers(study.params.runtime) if engine.shares_files else None
    clock = Clock(sum(job.seconds for job in select_pending([*first, *shown])), num_workers)
    if searched:
        run_jobs(study, engine, first, clock, "search")
        if not engine.shares_files:
            require_code(digest)  # the cluster is sent custom/ anew
    chosen = settle(plan, known, searched)
    reported = plan.list_reported(chosen)
    methods = [plan.plan_trial(trial) for trial in reported]
    run_jobs(study, engine, [*first, *methods], clock, "methods")
    records = study.read_records([*plan.list_retrained(), *reported])
    return Outcome(records, study.read_records(chain(*searched.values())), chosen)
