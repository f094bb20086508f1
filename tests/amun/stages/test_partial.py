"""When a stage finds nothing of what a killed run has left: DVC was told to run it whatever there is."""

import pytest

from amun.stages.partial import is_forced_reproduction


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
