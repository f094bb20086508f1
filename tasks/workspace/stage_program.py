"""Runs a program of `amun.stages` that is no stage of DVC, in the work tree that it is to read."""

import os
import subprocess
import sys
from pathlib import Path

from amun.core.errors import AmunError, InputError
from amun.core.log import LOG_VARIABLE
from amun.core.stage_result import RESULT_FILE_VARIABLE, StageResult
from amun.core.temporary import open_temporary


def run_program(path: Path, name: str, doing: str, *arguments: str, is_printed: bool = True) -> str:
    """Runs a stage that is none of DVC's in a work tree; returns the line of JSON that it prints, unless it only tells.

    Args:
        path: of the work tree.
        name: of the stage's module.
        doing: what it does, for the line of an error.
        arguments: to it.
        is_printed: all that it prints is told on standard error. Otherwise all but its last line of JSON is.

    Raises:
        InputError: what it refuses, in its own line.
        AmunError: it failed; the line begins with what it was doing.
    """
    found = ""
    with open_temporary() as folder:
        result_path = folder / "result.json"
        with subprocess.Popen(
            [sys.executable, "-m", f"amun.stages.{name}", *arguments],
            cwd=path,
            # what is read here has a form of its own
            env=os.environ | {RESULT_FILE_VARIABLE: str(result_path)} | ({} if is_printed else {LOG_VARIABLE: "text"}),
            # how far it has come is no part of what `--json` prints
            stdout=sys.stderr if is_printed else subprocess.PIPE,
            text=True,
        ) as program:
            try:
                for line in program.stdout or ():
                    if line.startswith("{"):
                        found = line
                    else:  # that it waits for a lock, while it waits
                        print(line, end="", file=sys.stderr, flush=True)
                program.wait()
            except BaseException:
                program.kill()
                raise
        told = StageResult.read(result_path).error if result_path.exists() else ""
    if program.returncode:
        if told and program.returncode == InputError.exit_code:
            raise InputError(told)
        raise AmunError(f"{doing} failed: {told or f'exit {program.returncode}'}")
    if not found and not is_printed:
        raise AmunError(f"{doing} failed: it has printed nothing")
    return found
