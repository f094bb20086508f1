"""No program leaves its memory on the disk."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no memory is handed to a program")

DUMPING = """
import resource, sys
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
try:
    exec(sys.argv[1])
except SystemExit:
    pass
print(resource.getrlimit(resource.RLIMIT_CORE)[0])
"""


@pytest.mark.parametrize(
    "program",
    [
        "from flows.cli import main; main(['version'])",
        "from amun.stages.runner import run_stage; run_stage(print)",
    ],
)
def test_no_program_leaves_its_memory_on_the_disk(program: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", DUMPING, program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    # Linux hands no memory to a program either where the limit is one byte
    assert ended.stdout.splitlines()[-1] == ("1" if resource.getrlimit(resource.RLIMIT_CORE)[1] else "0")
    if resource.getrlimit(resource.RLIMIT_CORE)[1]:
        nothing = subprocess.run([sys.executable, "-c", DUMPING, "pass"], capture_output=True, text=True, check=True)
        assert nothing.stdout.strip() != "0"
