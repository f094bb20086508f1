"""Jobs: which begin, and after which."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import torch

from amun.model.training import count_workers
from amun.study.jobs import ESTIMATE_AFTER, Clock, Job, list_ready, run_jobs
from tests.amun.shipped import PARAMS

ONE_AT_A_TIME = PARAMS.runtime.model_copy(update={"num_threads": 1000})


def write_after(path: Path, needed: tuple[Path, ...], log: list[str], _device: torch.device) -> None:
    assert all(need.exists() for need in needed)
    log.append(path.name)
    path.touch()


def meet(path: Path, meeting: Barrier, log: list[str], _device: torch.device) -> None:
    meeting.wait()
    log.append(path.name)
    path.touch()


def make_job(path: Path, log: list[str], *needed: Path) -> Job:
    return Job(path, write_after, (path, needed, log), 1.0, needed)


def test_job_waits_for_the_files_of_others_and_takes_its_turn(tmp_path: Path) -> None:
    log: list[str] = []
    first, second, third, fourth = (tmp_path / name for name in "abcd")
    jobs = [make_job(third, log, second), make_job(second, log, first), make_job(first, log), make_job(fourth, log)]
    clock = Clock(4.0, 1)
    with ThreadPoolExecutor(1) as pool:
        run_jobs(pool, ONE_AT_A_TIME, jobs, clock, "runs")
        assert log == ["a", "b", "c", "d"]
        second.unlink()
        run_jobs(pool, ONE_AT_A_TIME, jobs, clock, "runs")
    assert log[4:] == ["b"]
    assert clock.done == 5.0


def test_no_more_begin_than_there_are_processes() -> None:
    paths = [Path(name) for name in "abcde"]
    jobs = [make_job(paths[0], [], paths[4]), *(make_job(path, []) for path in paths[1:])]
    missing = {*paths}
    assert [job.output.name for job in list_ready(jobs, missing, 2)] == ["b", "c"]
    assert [job.output.name for job in list_ready(jobs, missing - {paths[4]}, 2)] == ["a", "b"]
    assert list_ready(jobs, missing, 0) == []


def test_job_that_fails_ends_all(tmp_path: Path) -> None:
    log: list[str] = []
    broken = Job(tmp_path / "a", write_after, (tmp_path / "a", (tmp_path / "none",), log), 1.0)
    with ThreadPoolExecutor(1) as pool, pytest.raises(AssertionError):
        run_jobs(pool, ONE_AT_A_TIME, [broken, make_job(tmp_path / "b", log)], Clock(2.0, 1), "runs")
    assert log == []


def test_jobs_that_wait_for_each_other_are_an_error(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    jobs = [make_job(first, [], second), make_job(second, [], first)]
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match=r"nothing writes what .*a waits for"):
        run_jobs(pool, ONE_AT_A_TIME, jobs, Clock(2.0, 1), "runs")


def test_two_processes_share_the_work(tmp_path: Path) -> None:
    """The second begins beside the first, the third after both."""
    runtime = PARAMS.runtime.model_copy(update={"num_threads": 1})
    if count_workers(runtime) < 2:
        pytest.skip("one core")
    meeting, log = Barrier(2, timeout=60), list[str]()
    first, second, third = (tmp_path / name for name in "abc")
    jobs = [
        make_job(third, log, first, second),
        *(Job(path, meet, (path, meeting, log), 1.0) for path in (first, second)),
    ]
    with ThreadPoolExecutor(2) as pool:
        run_jobs(pool, runtime, jobs, Clock(3.0, 2), "runs")
    assert log[2:] == ["c"]


def test_estimate_counts_what_is_under_way(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Of ten jobs of 100 s on two processes the first takes 200 s: 8 left of 200 s, and one that is as good as done."""
    clock = Clock(1000.0, 2)
    clock.note(100.0, 200.0, [200.0])
    assert capsys.readouterr().out == ""  # not in the first minute
    assert clock.estimate_left([200.0]) == 800.0
    monkeypatch.setattr(clock, "started_at", clock.started_at - ESTIMATE_AFTER)
    clock.note(100.0, 200.0)
    clock.note(100.0, 200.0)
    assert capsys.readouterr().out == "  about 13 min to go\n"  # of the first of them alone: 8 x 200 s / 2
