"""When a stage finds nothing of what a killed run has left: its inputs are others, or DVC was told to run it anew."""

from pathlib import Path

import pytest
import torch

from amun.core import release
from amun.core.params import Params
from amun.stages import partial
from amun.stages.partial import digest_inputs, is_forced_reproduction
from amun.stages.references import SECTIONS
from tests.amun.shipped import PARAMS

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("command", "is_forced"),
    [
        ("/venv/bin/python /venv/bin/dvc repro -s -f adversarial", True),
        ("/venv/bin/python /venv/bin/dvc repro -sf adversarial", True),
        ("/venv/bin/python /venv/bin/dvc repro -fs adversarial", True),
        ("python -m dvc -v repro adversarial --force", True),
        ("dvc repro -s adversarial", False),
        ("dvc repro --force-downstream adversarial", False),
        ("dvc repro -s first-half", False),
        ("dvc push -f repro", False),
        ("make -f repro", False),
        ("make -f x repro", False),
        ("bash repro -f", False),
        ("python -m amun.stages.adversarial", False),
    ],
)
def test_forced_is_what_dvc_was_told_with_its_options_alone_or_together(command: str, is_forced: bool) -> None:
    assert is_forced_reproduction(command.split()) == is_forced


def change(section: str, **values: object) -> Params:
    return PARAMS.model_copy(update={section: getattr(PARAMS, section).model_copy(update=values)})


@pytest.mark.parametrize(
    ("section", "values", "is_lost"),
    [
        ("training", {"epochs": 1}, True),
        ("runtime", {"precision": "bfloat16"}, True),
        ("runtime", {"engine": "ray"}, False),
        ("runtime", {"memory_gib": 0.5}, False),
        ("runtime", {"device": "cpu"}, False),
        ("alerts", {"due_days": 1}, False),
        ("unlearning", {"epochs": 1}, False),
    ],
)
def test_only_what_results_depend_on_loses_them(section: str, values: dict[str, object], is_lost: bool) -> None:
    kept, now = (digest_inputs(params, SECTIONS, CPU, []) for params in (PARAMS, change(section, **values)))
    assert (kept != now) == is_lost


def test_other_code_or_files_lose_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "train.parquet"
    path.write_bytes(b"one")
    digests = {digest_inputs(PARAMS, SECTIONS, CPU, [path])}
    path.write_bytes(b"two")
    digests.add(digest_inputs(PARAMS, SECTIONS, CPU, [path]))
    monkeypatch.setattr(partial, "describe_release", lambda device: f"{release.describe_release(device)}, another")
    digests.add(digest_inputs(PARAMS, SECTIONS, CPU, [path]))
    assert len(digests) == 3
