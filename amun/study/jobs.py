"""Jobs: each writes one file and begins when those it reads are there; none is done twice; they share the cores."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from amun.core.counts import describe_seconds
from amun.core.params import RuntimeParams
from amun.core.processes import end_with_parent
from amun.core.progress import show_progress
from amun.model.training import configure_torch, count_workers, select_device

ESTIMATE_AFTER = 60.0  # seconds


@dataclass(frozen=True)
class Job:
    """One piece of work.

    Attributes:
        output: the file it writes, in one piece and last of all.
        function: at the top level of a module; called with the device after the arguments.
        arguments: of the function.
        seconds: about what it takes.
        needs: the files it reads that other jobs write.
    """

    output: Path
    function: Callable[..., None]
    arguments: tuple[Any, ...]
    seconds: float
    needs: tuple[Path, ...] = ()


@dataclass
class Clock:
    """How much of the whole is done, and what that promises.

    Attributes:
        expected: of all jobs, in the seconds of one process that `Job.seconds` gives.
        num_workers: processes that share them.
        done: of what was expected.
        busy: seconds that the processes took for it.
        has_told: whether it has said how long the rest takes.
    """

    expected: float
    num_workers: int
    done: float = 0.0
    busy: float = 0.0
    started_at: float = field(default_factory=time.monotonic)
    has_told: bool = False

    def note(self, seconds: float, taken: float, running: Iterable[float] = ()) -> None:
        """Notes a job that has ended; after the first minute tells about how long the rest takes.

        Args:
            seconds: that were expected of it.
            taken: by it.
            running: seconds that those at work now have taken so far.
        """
        self.done += seconds
        self.busy += taken
        if not self.has_told and self.done and time.monotonic() - self.started_at >= ESTIMATE_AFTER:
            self.has_told = True
            print(f"  about {describe_seconds(self.estimate_left(running))} to go", flush=True)

    def estimate_left(self, running: Iterable[float]) -> float:
        """Returns seconds of wall clock: the rest at the pace of what is done, less what is under way."""
        rest = (self.expected - self.done) * self.busy / self.done
        return max(0.0, rest - sum(running)) / self.num_workers


def select_pending(jobs: Sequence[Job]) -> list[Job]:
    """Returns the jobs whose file is not there."""
    return [job for job in jobs if not job.output.exists()]


@contextmanager
def open_pool(runtime: RuntimeParams, num_workers: int, prepare: Callable[[], None]) -> Iterator[Executor]:
    """Gives so many processes, which end with this one, or a thread; when the block fails, nothing more is begun.

    Args:
        runtime: of each process.
        num_workers: how many.
        prepare: at the top level of a module; called once in each of them.
    """
    pool: Executor
    if num_workers == 1:
        configure_torch(runtime)
        prepare()
        pool = ThreadPoolExecutor(1)
    else:
        pool = ProcessPoolExecutor(
            num_workers, get_context("spawn"), initializer=_prepare_worker, initargs=(runtime, prepare)
        )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def run_jobs(pool: Executor, runtime: RuntimeParams, jobs: Sequence[Job], clock: Clock, name: str) -> None:
    """Runs the jobs that are not done, the first of those that can begin first; what one job raises ends all.

    Args:
        pool: of processes.
        runtime: of each of them.
        jobs: each with, or after, those whose files it needs.
        clock: of the whole benchmark.
        name: for the line of progress.

    Raises:
        ValueError: jobs wait for each other.
    """
    pending = select_pending(jobs)
    if not pending:
        return
    num_workers, missing = count_workers(runtime), {job.output for job in pending}
    running: dict[Future[None], tuple[Job, float]] = {}  # with the time each began
    with show_progress(name, len(pending), "runs") as advance:
        while missing:
            for job in list_ready(pending, missing, num_workers - len(running)):
                pending.remove(job)
                running[pool.submit(_run, job.function, job.arguments, runtime)] = job, time.monotonic()
            if not running:
                raise ValueError(f"{name}: nothing writes what {pending[0].output} waits for")
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            now = time.monotonic()
            for future in finished:
                job, began_at = running.pop(future)
                future.result()
                missing.discard(job.output)
                clock.note(job.seconds, now - began_at, [now - began for _, began in running.values()])
                advance(job.output.stem)


def list_ready(jobs: Iterable[Job], missing: Set[Path], number: int) -> list[Job]:
    """Returns the first jobs, so many at most, that need no file that is still missing."""
    return list(islice((job for job in jobs if missing.isdisjoint(job.needs)), number))


def _prepare_worker(runtime: RuntimeParams, prepare: Callable[[], None]) -> None:
    end_with_parent()
    configure_torch(runtime)
    prepare()


def _run(function: Callable[..., None], arguments: tuple[Any, ...], runtime: RuntimeParams) -> None:
    function(*arguments, select_device(runtime))


def measure_speed(step: Callable[[], int], min_seconds: float) -> float:
    """Returns how many samples a second a training step passes.

    Args:
        step: takes one step and returns how many samples it passed.
        min_seconds: for which it is repeated; at least three times, the first of which does not count.
    """
    step()
    started_at, num_samples, num_steps = time.monotonic(), 0, 0
    while num_steps < 2 or time.monotonic() - started_at < min_seconds:
        num_samples += step()
        num_steps += 1
    return num_samples / (time.monotonic() - started_at)
