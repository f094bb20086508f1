"""What a stage tells the process that started it of an error."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import copyfile

import pytest
import torch

from amun.core.errors import SAYS_MORE
from amun.core.params import Params
from amun.core.paths import PARAMS
from amun.core.stage_result import RESULT_FILE_VARIABLE, StageResult
from amun.stages.runner import run_stage
from amun.store.sources.catalogue import raise_problems
from tests.workspaces import ROOT


def fail(_params: Params, _device: torch.device) -> None:
    raise_problems(["anna/1.png is torn"])


def read_from_a_failing_disk(_params: Params, _device: torch.device) -> None:
    # of this process's memory nothing lies at its beginning
    Path("/proc/self/mem").read_bytes()


def end_in(folder: Path, stage: Callable[[Params, torch.device], None], monkeypatch: pytest.MonkeyPatch) -> StageResult:
    """Returns what a stage that ends in an error has told."""
    copyfile(ROOT / PARAMS, folder / PARAMS)
    monkeypatch.chdir(folder)
    monkeypatch.setenv(RESULT_FILE_VARIABLE, str(folder / "result.json"))
    # a stage ends with its parent, which a test process is not to do
    if not (pid := os.fork()):
        try:
            run_stage(stage)
        finally:
            os._exit(2)
    os.waitpid(pid, 0)
    return StageResult.read(folder / "result.json")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
def test_error_of_the_disk_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = end_in(tmp_path, read_from_a_failing_disk, monkeypatch)
    assert (told.exit_code, told.error.split(";")[0]) == (1, "Input/output error")
    assert "see to the disk or the share" in told.error


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
def test_error_of_a_source_is_told_whole_and_without_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = end_in(tmp_path, fail, monkeypatch)
    assert (told.exit_code, told.error.endswith(": anna/1.png is torn")) == (2, True)
    assert told.short == f"params.yaml: data.root: 1 problem in the source; {SAYS_MORE}"
