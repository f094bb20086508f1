"""What a stage tells whoever has started it."""

from pathlib import Path

import pytest

from amun.core.stage_result import StageResult, Work


@pytest.mark.parametrize("work", [Work(898, 60), None])
def test_what_is_written_is_read(tmp_path: Path, work: Work | None) -> None:
    result = StageResult(0, "", 1.5, work=work, machine="a processor, 1 thread")
    result.write(tmp_path / "result.json")
    assert StageResult.read(tmp_path / "result.json") == result


def test_a_stage_of_an_earlier_release_tells_no_work(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text('{"exit_code": 0, "error": "", "seconds": 1.5}', encoding="utf-8")
    assert StageResult.read(path) == StageResult(0, "", 1.5)
