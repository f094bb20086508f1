"""A program that a command starts ends with it, and quietly when it is told to stop."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.workspaces import ROOT

INTERRUPTED = 130
# where the tests run in the background the signal is ignored, and so it would be here
SLOW = """import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
print("begun", flush=True)
time.sleep(60)
"""


def test_program_that_is_told_to_stop_before_it_listens_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-m", "tasks.tools.tied", "slow"],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "begun\n"
        program.send_signal(signal.SIGINT)
        said, complained = program.communicate(timeout=60)
    assert (program.returncode, said, complained) == (INTERRUPTED, "", "")
