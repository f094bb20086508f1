"""Jobs: each comes to some files and begins when those it reads are there; an engine computes them, and none twice."""

import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amun.core.counts import describe_seconds
from amun.core.files import replace_file
from amun.core.progress import show_progress
from amun.engine.shards import Engine, Shard, compute_shards, name_shard
from amun.evidence.wave import write_json
from amun.model.training import select_device
from amun.store.samples import Samples
from amun.study.lending import LentFiles, read_files
from amun.study.scoring import read_logits
from amun.study.shared import Written
from amun.study.study import GROUPS, Study

ESTIMATE_AFTER = 60.0  # seconds


@dataclass(frozen=True)
class Job:
    """One piece of work.

    Attributes:
        output: the file that is written last: the job is done when it is there.
        function: at the top level of a module; of the study, the arguments and the device. It returns what is to be
            written, by path, in that order, and writes nothing.
        arguments: of the function.
        seconds: about what it takes.
        needs: the files that other jobs come to, for which it waits.
        reads: the files of other jobs that it reads, but for logits: a machine without this disk is sent them.
        asks_references: whether it reads the logits of all references, too.
    """

    output: Path
    function: Callable[..., Written]
    arguments: tuple[Any, ...]
    seconds: float
    needs: tuple[Path, ...] = ()
    reads: tuple[Path, ...] = ()
    asks_references: bool = False


@dataclass
class Clock:
    """How much of the whole is done, and what that promises.

    Attributes:
        expected: of all jobs, in the seconds of one process that `Job.seconds` gives.
        num_workers: processes that share them; None on a cluster, where it is not known and nothing is told.
        done: of what was expected.
        busy: seconds that the processes took for it.
        has_told: whether it has said how long the rest takes.
    """

    expected: float
    num_workers: int | None
    done: float = 0.0
    busy: float = 0.0
    started_at: float = field(default_factory=time.monotonic)
    has_told: bool = False

    def note(self, seconds: float, taken: float) -> None:
        """Notes a job that has ended; after the first minute tells about how long the rest takes.

        Args:
            seconds: that were expected of it.
            taken: by it.
        """
        self.done += seconds
        self.busy += taken
        passed = time.monotonic() - self.started_at
        if self.num_workers is None or self.has_told or not self.done or passed < ESTIMATE_AFTER:
            return
        self.has_told = True
        print(f"  about {describe_seconds(self.estimate_left(passed, self.num_workers))} to go", flush=True)

    def estimate_left(self, passed: float, num_workers: int) -> float:
        """Returns seconds of wall clock: the rest at the pace of what is done, less what is under way.

        Args:
            passed: seconds of wall clock since the first job began, in which no process was idle.
            num_workers: how many there are.
        """
        rest = (self.expected - self.done) * self.busy / self.done
        under_way = max(0.0, num_workers * passed - self.busy)
        return max(0.0, rest - under_way) / num_workers


def select_pending(jobs: Sequence[Job]) -> list[Job]:
    """Returns the jobs whose file is not there."""
    return [job for job in jobs if not job.output.exists()]


def run_jobs(study: Study, engine: Engine, jobs: Sequence[Job], clock: Clock, name: str) -> None:
    """Runs the jobs that are not done, the first of those that can begin first; what one job raises ends all.

    Args:
        study: whose jobs they are; its files are written here, whatever computes.
        engine: what computes.
        jobs: each with, or after, those whose files it needs.
        clock: of the whole benchmark.
        name: for the line of progress.

    Raises:
        ValueError: jobs wait for each other.
    """
    pending = select_pending(jobs)
    if not pending:
        return
    shards = [_describe(study, job, engine.shares_files) for job in pending]
    shared = study if engine.shares_files else study.lend()
    with show_progress(name, len(pending), "runs") as advance:
        for place, done in compute_shards(_compute, shards, shared, engine, _Writer(study)):
            clock.note(pending[place].seconds, done.seconds)
            advance(pending[place].output.stem)


@dataclass(frozen=True)
class _Task:
    """A job as whoever computes it gets it.

    Attributes:
        files: that it reads, where it has no others.
    """

    job: Job
    files: LentFiles | None = None


@dataclass(frozen=True, kw_only=True)
class _TaskElsewhere(_Task):
    """A job that goes to another machine; what it reads is opened only now that it is sent."""

    study: Study

    def __reduce__(self) -> tuple[Any, ...]:
        """Makes it a task."""
        groups = [group for group in GROUPS if self.study.count_references(group)] if self.job.asks_references else []
        # read once here, for all jobs
        logits = {group: read_logits(self.study, group) for group in groups}
        return _Task, (self.job, read_files(self.job.reads, logits))


@dataclass(frozen=True)
class _Done:
    """What a job has come to.

    Attributes:
        written: the pickled files: tensors would go by way of shared memory.
        seconds: that it took.
    """

    written: bytes
    seconds: float


@dataclass(frozen=True)
class _Writer:
    """Writes what a job has come to, as soon as it is there: seals and keys are here alone."""

    study: Study

    def read(self, _: str) -> _Done | None:
        """Returns nothing: a job that is done is no shard."""
        return None

    def keep(self, _: str, result: _Done) -> None:
        """Writes the files of a job, the one by which it is done last."""
        written: Written = pickle.loads(result.written)  # noqa: S301 - of our own worker
        for path, content in written.items():
            if isinstance(content, Samples):
                self.study.write(path, content)
            elif isinstance(content, bytes):
                with replace_file(path) as unfinished:
                    unfinished.write_bytes(content)
            else:
                write_json(path, content)


def _describe(study: Study, job: Job, shares_files: bool) -> Shard[_Task]:
    task = _Task(job) if shares_files else _TaskElsewhere(job, study=study)
    return Shard(_name(study, job.output), job.output.stem, task, frozenset(_name(study, path) for path in job.needs))


def _name(study: Study, output: Path) -> str:
    return name_shard("study", study.digest, str(output.relative_to(study.folder)))


def _compute(study: Study, task: _Task) -> _Done:
    started_at, job = time.monotonic(), task.job
    own = study if task.files is None else study.take_along(task.files)
    written = job.function(own, *job.arguments, select_device(study.params.runtime))
    return _Done(pickle.dumps(dict(written), protocol=5), time.monotonic() - started_at)


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
