"""How many processors there are for this process."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from amun.core import processors
from amun.core.processors import count_processors, describe_device


def test_no_more_processors_than_the_machine_has() -> None:
    assert 1 <= count_processors() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system binds no process")
def test_a_process_that_is_bound_to_one_has_one() -> None:
    bound = f"import os; os.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}})"
    program = f"{bound}; from amun.core.processors import count_processors; print(count_processors())"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"1\n"


def test_a_machine_without_its_description_is_named_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processors, "CPU_INFO", tmp_path / "none")
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert describe_device("cpu").startswith(f"{platform.machine()}, ")
