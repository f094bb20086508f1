"""Runs a program of `amun.stages` that is no stage of DVC, in the work tree that it is to read."""

import os
import subprocess
import sys
from pathlib import Path

from amun.core.errors import AmunError, InputError
from amun.core.stage_result import RESULT_FILE_VARIABLE, StageResult
from amun.core.temporary import open_temporary


def run_program(path: Path, name: str, doing: str, *, is_printed: bool = True) -> str:
    """Runs a stage that is none of DVC's in a work tree; returns what it prints, unless that is printed here.

    Raises:
        InputError: what it refuses, in its own line.
        AmunError: it failed; the line begins with what it was doing.
    """
    with open_temporary() as folder:
        result_path = folder / "result.json"
        finished = subprocess.run(
            [sys.executable, "-m", f"amun.stages.{name}"],
            cwd=path,
            env=os.environ | {RESULT_FILE_VARIABLE: str(result_path)},
            # how far it has come is no part of what `--json` prints
            stdout=sys.stderr if is_printed else subprocess.PIPE,
            text=True,
            check=False,
        )
        told = StageResult.read(result_path).error if result_path.exists() else ""
    if finished.returncode:
        if told and finished.returncode == InputError.exit_code:
            raise InputError(told)
        raise AmunError(f"{doing} failed: {told or f'exit {finished.returncode}'}")
    return finished.stdout or ""
