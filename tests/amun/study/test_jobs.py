"""Jobs: which begin, and after which; where their files come from, and where they go."""

import os
from functools import partial
from pathlib import Path

import pytest
import torch

from amun.core.errors import InputError
from amun.engine.local import LocalEngine
from amun.study.jobs import ESTIMATE_AFTER, Clock, Job, run_jobs
from amun.study.run import open_engine, prepare
from amun.study.shared import Written
from amun.study.study import Study, digest_code
from tests.amun.shipped import PARAMS
from tests.processes import wait_until

HERE = LocalEngine()


def come_after(_study: Study, path: Path, needed: tuple[Path, ...], log: Path, _device: torch.device) -> Written:
    assert all(need.exists() for need in needed)
    with log.open("a", encoding="ascii") as file:
        file.write(f"{path.name}\n")
    return {path.with_suffix(".facts"): b"{}", path: str(os.getpid()).encode()}


def meet(study: Study, path: Path, other: Path, device: torch.device) -> Written:
    path.with_suffix(".met").touch()
    wait_until(other.with_suffix(".met").exists, "both are computed")
    return come_after(study, path, (), path.with_suffix(".log"), device)


def make_study(folder: Path) -> Study:
    return Study(folder, PARAMS, by_subject=False)


def make_job(path: Path, log: Path, *needed: Path) -> Job:
    return Job(path, come_after, (path, needed, log), 1.0, needed)


def test_job_waits_for_the_files_of_others_and_takes_its_turn(tmp_path: Path) -> None:
    log = tmp_path / "log"
    first, second, third, fourth = (tmp_path / name for name in "abcd")
    jobs = [make_job(third, log, second), make_job(second, log, first), make_job(first, log), make_job(fourth, log)]
    clock, run = Clock(4.0, 1), partial(run_jobs, make_study(tmp_path), HERE, jobs)
    run(clock, "runs")
    assert log.read_text().split() == ["a", "b", "c", "d"]
    second.unlink()
    run(clock, "runs")
    assert log.read_text().split()[4:] == ["b"]
    assert clock.done == 5.0


def test_job_that_fails_ends_all(tmp_path: Path) -> None:
    log = tmp_path / "log"
    broken = Job(tmp_path / "a", come_after, (tmp_path / "a", (tmp_path / "none",), log), 1.0)
    with pytest.raises(AssertionError):
        run_jobs(make_study(tmp_path), HERE, [broken, make_job(tmp_path / "b", log)], Clock(2.0, 1), "runs")
    assert list(tmp_path.iterdir()) == []


def test_two_processes_share_the_work(tmp_path: Path) -> None:
    """The second begins beside the first, the third after both, in new processes."""
    first, second, third, log = (tmp_path / name for name in ("a", "b", "c", "log"))
    jobs = [
        make_job(third, log, first, second),
        Job(first, meet, (first, second), 1.0),
        Job(second, meet, (second, first), 1.0),
    ]
    engine = LocalEngine(2, "spawn", partial(prepare, PARAMS.runtime, ["amun"], digest_code()))
    run_jobs(make_study(tmp_path), engine, jobs, Clock(3.0, 2), "runs")
    processes = {int(path.read_bytes()) for path in (first, second)}
    assert len(processes - {os.getpid()}) == 2
    assert int(third.read_bytes()) in processes
    assert log.read_text() == "c\n"


def test_code_that_has_changed_has_no_part_in_a_benchmark() -> None:
    with pytest.raises(InputError, match=r"custom/, has changed since this benchmark began; type the command again"):
        prepare(PARAMS.runtime, [], "0" * 64)


def test_study_computes_in_new_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the command line would have its memory, by which each run is measured."""
    monkeypatch.setattr("amun.model.training.count_processors", lambda: 3)
    engine = open_engine(PARAMS.runtime.model_copy(update={"num_threads": 1}), [])
    assert isinstance(engine, LocalEngine)
    assert (engine.num_processes, engine.start) == (3, "spawn")


def test_estimate_counts_what_is_under_way(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Of ten jobs of 100 s on two processes the first takes 200 s: 8 left of 200 s, and one that is as good as done."""
    clock = Clock(1000.0, 2)
    clock.note(100.0, 200.0)
    assert capsys.readouterr().out == ""  # not in the first minute
    assert clock.estimate_left(200.0, 2) == 800.0
    monkeypatch.setattr(clock, "started_at", clock.started_at - 2 * ESTIMATE_AFTER)
    clock.note(100.0, 10.0)
    # the rest, 8 x 105 s, less 30 s under way, by two
    assert capsys.readouterr().out == "  about 7 min to go\n"


def test_nothing_is_estimated_where_nobody_knows_how_many_compute(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock(1000.0, None)
    clock.started_at -= 2 * ESTIMATE_AFTER
    clock.note(100.0, 200.0)
    assert capsys.readouterr().out == ""
