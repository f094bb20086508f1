"""What every stage program does around its own work: parameters, its lock and the device's, one line for an error."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import torch

from amun.core.errors import AmunError, SourceError
from amun.core.files import tell_os_error
from amun.core.locks import hold_lock
from amun.core.log import begin_log
from amun.core.params import Params
from amun.core.paths import PARAMS, STAGE_LOCK
from amun.core.processes import end_with_parent, forbid_core_dumps
from amun.core.processors import describe_device
from amun.core.stage_result import RESULT_FILE_VARIABLE, StageResult, Work
from amun.model.training import configure_torch
from amun.params import load_params

DEVICE_LOCKS = Path("/tmp")  # noqa: S108 - a name that every user of the machine shares


def run_stage(stage: Callable[[Params, torch.device], Work | None]) -> None:
    """Runs a stage in the current folder and exits: 0, or the error's code after its one line.

    Args:
        stage: its function. It returns what it has done, where its time goes by a number of samples.
    """
    end_with_parent()
    forbid_core_dumps()
    begin_log()
    try:
        params = load_params(PARAMS)
        device = configure_torch(params.runtime)
        with hold_lock(STAGE_LOCK), hold_device(device):
            started_at = time.monotonic()
            work = stage(params, device)
            seconds = time.monotonic() - started_at
        _tell(StageResult(0, "", seconds, work=work, machine=describe_device(str(device))))
    except AmunError as error:
        short = error.short if isinstance(error, SourceError) else ""
        _end(error, short)
    except OSError as error:
        if (line := tell_os_error(error)) is None:
            raise
        _end(AmunError(line))


def _end(error: AmunError, short: str = "") -> NoReturn:
    """Tells an error, in short as well where its line names somebody, and ends with its code."""
    _tell(StageResult(error.exit_code, str(error), 0.0, short=short))
    sys.exit(error.exit_code)


def _tell(result: StageResult) -> None:
    """Tells the parent that asked for it; otherwise the terminal, and of errors alone."""
    if path := os.environ.get(RESULT_FILE_VARIABLE):
        # its folder is gone where whoever waits for it was killed
        with suppress(FileNotFoundError):
            result.write(Path(path))
    elif result.error:
        print(f"amun: {result.error}", file=sys.stderr)


@contextmanager
def hold_device(device: torch.device) -> Iterator[None]:
    """Holds an accelerator for one stage of one workspace at a time; a CPU is shared."""
    if device.type == "cpu":
        yield
        return
    # everybody's, whoever came first: the device is one for all users of the machine
    with hold_lock(DEVICE_LOCKS / f"amun-{device.type}-{device.index or 0}.lock", 0o666):
        yield
