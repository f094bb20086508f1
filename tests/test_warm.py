"""A copy of the process that has imported the libraries answers as a new interpreter does."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import has_ended, wait_until
from tests.warm import WarmProcess, run_warm
from tests.warm_order import Order, ask
from tests.workspaces import Site

LOOKS = """
import logging, os, sys
assert not [name for name in sys.modules if name.partition(".")[0] == "prefect"]
os.environ["PREFECT_LOGGING_LEVEL"], os.environ["PREFECT_API_URL"] = sys.argv[1:]
from prefect.context import get_settings_context
import prefect, prefect.flows
assert prefect.flows is sys.modules["prefect.flows"] and prefect.__spec__.origin == prefect.__file__
settings, level = get_settings_context().settings, logging.getLogger("prefect.flow_runs").getEffectiveLevel()
print(settings.logging.level, settings.api.url, logging.getLevelName(level))
"""


def write_stages(root: Path, **programs: str) -> None:
    """Writes stages with these programs, as a clone has them."""
    folder = root / "amun/stages"
    folder.mkdir(parents=True)
    for name, program in {"__init__": "", **programs}.items():
        (folder / f"{name}.py").write_text(program, encoding="utf-8")
    (folder.parent / "__init__.py").touch()


@pytest.mark.parametrize("words", [("--version",), ("nonsense",), ("status",), ("request", "add"), ("wave", "--help")])
def test_answers_and_exit_codes_are_the_same(
    words: tuple[str, ...], variables: dict[str, str], warm: WarmProcess, tmp_path: Path
) -> None:
    site = Site(tmp_path, variables | {"GIT_CEILING_DIRECTORIES": str(tmp_path.parent)})
    answers = []
    for process in (warm, None):
        with run_warm(process):
            finished = site.start("amun", *words)
            answers.append((finished.returncode, finished.stdout, finished.stderr))
    assert answers[0] == answers[1]
    assert answers[0] != (0, "", "")


def test_prefect_is_not_there_before_it_is_imported_and_reads_its_settings_then(
    variables: dict[str, str], warm: WarmProcess, tmp_path: Path
) -> None:
    (tmp_path / "looks.py").write_text(LOOKS, encoding="utf-8")
    environment = Site(tmp_path, variables).environment
    for level, url in (("WARNING", "http://127.0.0.1:1/api"), ("DEBUG", "http://127.0.0.1:2/api")):
        order = Order(["python", "-m", "looks", level, url], str(tmp_path), environment, sys.executable)
        with (tmp_path / "said").open("w+b") as said:
            status = ask(warm.address, order, [said.fileno()] * 3, timeout=60)
        assert (status, (tmp_path / "said").read_text(encoding="utf-8")) == (0, f"{level} {url} {level}\n")


def test_stage_ends_with_the_code_or_the_signal_of_its_program(
    variables: dict[str, str], warm: WarmProcess, tmp_path: Path
) -> None:
    write_stages(
        tmp_path,
        code="import sys; print('said'); sys.exit(3)",
        killed="import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        fault="import torch; raise ValueError('a fault')",
    )
    environment = Site(tmp_path, variables).environment | warm.told
    ended = [
        subprocess.run(
            [str(warm.interpreter), "-m", f"amun.stages.{name}"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        for name in ("code", "killed", "fault")
    ]
    assert [run.returncode for run in ended] == [3, -signal.SIGKILL, 1]
    assert ended[0].stdout == "said\n"
    assert ended[2].stderr.splitlines()[-1] == "ValueError: a fault"


def test_stage_whose_run_is_killed_finds_that_by_itself(
    variables: dict[str, str], warm: WarmProcess, tmp_path: Path
) -> None:
    begun = "import os, time; parent = os.getppid(); print('begun', flush=True)"
    waits = "while os.getppid() == parent: time.sleep(0.02)"
    write_stages(tmp_path, left=f"{begun}\n{waits}\nopen('noticed', 'w').close()")
    environment = Site(tmp_path, variables).environment | warm.told
    called = [str(warm.interpreter), "-m", "amun.stages.left"]
    with subprocess.Popen(called, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as asked:
        assert asked.stdout is not None
        assert asked.stdout.readline() == "begun\n"
        asked.kill()
    wait_until((tmp_path / "noticed").exists, "what the stage does once its run is gone")


def test_stage_may_write_no_longer_files_than_its_run(
    variables: dict[str, str], warm: WarmProcess, tmp_path: Path
) -> None:
    write_stages(tmp_path, size="import resource; print(resource.getrlimit(resource.RLIMIT_FSIZE)[0])")
    environment = Site(tmp_path, variables).environment | warm.told
    limited = f"ulimit -S -f 100; exec {warm.interpreter} -m amun.stages.size"
    said = subprocess.run(
        ["sh", "-c", limited], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert int(said.stdout) in (100 * 512, 100 * 1024)  # the unit is the shell's


def test_program_that_takes_too_long_is_killed_and_what_it_said_is_kept(
    variables: dict[str, str], warm: WarmProcess, tmp_path: Path
) -> None:
    write_stages(tmp_path, slow="import os, time; print(os.getpid(), flush=True); time.sleep(60)")
    with pytest.raises(subprocess.TimeoutExpired) as expired:
        warm.run(["python", "-m", "amun.stages.slow"], tmp_path, Site(tmp_path, variables).environment, 2)
    wait_until(lambda: has_ended(int(expired.value.output)), "the end of a program that took too long")
