"""The step that retrains models beside a new base, and how later waves come to know what was seen."""

import json
from pathlib import Path
from typing import Any

import pytest

from amun.audit.roc import auc_standard_error
from amun.core.errors import AmunError
from amun.core.paths import WAVE
from amun.evidence.wave import RetrainedFigures
from tasks.steps.retrained import describe_retrained
from tasks.tools.git import commit_paths, run_git
from tasks.workspace.retrained import find_retrained

BEFORE: dict[str, Any] = {
    "num_asked": 4,
    "num_people": 75,
    "num_strangers": 80,
    "trace_by_person": [0.61, 0.65, 0.58, 0.66],
}
BEFORE_IMAGES = BEFORE | {"weights_by_person": [0.6, 0.56, 0.55, 0.62]}
SEEN = BEFORE_IMAGES | {"trace": [0.59, 0.62, 0.57, 0.63], "trace_standard_error": 0.035}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    run_git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    (tmp_path / WAVE).parent.mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("kept", "expected"),
    [({}, None)] + [({"retrained": each}, RetrainedFigures(**each)) for each in (SEEN, BEFORE, BEFORE_IMAGES)],
)
def test_a_wave_takes_it_from_the_wave_before(
    kept: dict[str, Any], expected: RetrainedFigures | None, root: Path
) -> None:
    (root / WAVE).write_text(json.dumps({"number": 3} | kept), encoding="utf-8")
    commit_paths(root, [str(WAVE)], "wave 3")
    (root / WAVE).write_text("{}", encoding="utf-8")  # what a killed run has left
    found = find_retrained(root)
    assert found == expected
    assert found is None or found.model_dump() == kept["retrained"], "as earlier versions wrote it"


@pytest.mark.parametrize("text", [json.dumps({"retrained": SEEN | {"num_people": "many"}}), "<<<<<<< HEAD", "[]"])
def test_what_is_damaged_is_named(text: str, root: Path) -> None:
    (root / WAVE).write_text(text, encoding="utf-8")
    commit_paths(root, [str(WAVE)], "wave 3")
    with pytest.raises(AmunError, match=f"{WAVE} in HEAD is damaged"):
        find_retrained(root)


@pytest.mark.parametrize(
    ("traces", "people", "bound"),
    [
        ((0.61, 0.65, 0.58, 0.66), 75, "nights of as many people are refused above 0.87"),
        ((0.6, 0.62), 75, "no bound: fewer than 4 figures, gate.max_trace alone judges"),
        ((0.6, 0.6, 0.6, 0.6), 12, "the bound, 1.21 of as many people, refuses nothing"),
    ],
)
def test_what_is_seen_is_told(traces: tuple[float, ...], people: int, bound: str) -> None:
    seen = {name: list(traces) for name in ("trace", "trace_by_person", "weights_by_person")}
    error = auc_standard_error(people, people)
    figures = RetrainedFigures(num_asked=4, num_people=people, num_strangers=people, trace_standard_error=error, **seen)
    shown = ", ".join(f"{trace:.2f}" for trace in traces)
    names = ("trace by image", "trace by person", "weights by person")
    for name, line in zip(names, describe_retrained(figures), strict=True):
        assert line.startswith(f"{name} of exact retraining, each without {people} people: {shown}; {bound}")


def test_nobody_to_see_it_on_is_told() -> None:
    nobody = RetrainedFigures(num_asked=4, num_people=0, num_strangers=0, trace_by_person=[])
    (line,) = describe_retrained(nobody)
    assert line.startswith("too few people to see what trace exact retraining leaves")
