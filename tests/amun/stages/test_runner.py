"""What a stage tells the process that started it of an error."""

import os
import sys
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


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
def test_error_of_a_source_is_told_whole_and_without_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copyfile(ROOT / PARAMS, tmp_path / PARAMS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(RESULT_FILE_VARIABLE, str(tmp_path / "result.json"))
    # a stage ends with its parent, which a test process is not to do
    if not (pid := os.fork()):
        try:
            run_stage(fail)
        finally:
            os._exit(2)
    os.waitpid(pid, 0)
    told = StageResult.read(tmp_path / "result.json")
    assert (told.exit_code, told.error.endswith(": anna/1.png is torn")) == (2, True)
    assert told.short == f"params.yaml: data.root: 1 problem in the source; {SAYS_MORE}"
