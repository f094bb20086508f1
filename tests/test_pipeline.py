"""dvc.yaml says what the code does: dependencies are imports, parameters are those that are read."""

import ast
import difflib
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from amun.core.stage_names import BASE_STAGES, WAVE_STAGES
from tasks.steps.stages import GPU_STAGES
from tasks.tools import dvc
from tasks.tools.git import run_git
from tests.imports import ROOT, find_dependencies, find_imports, parse

STAGES: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
# keys of sections that are handed on whole: no result depends on what computes it, and neither earlier waves nor the
# choice among attempts are a stage's
IRRELEVANT = {"runtime.engine", "audit.earlier_people", "references.num_retrained", "unlearning.policy"}
# reading, naming and dealing samples is no arithmetic of PyTorch's, and nobody is forgotten there
OF_NO_IMAGE = {f"runtime.{key}" for key in PARAMS["runtime"]} | {"data.remain", "data.source_delete", "data.twins"}


def test_every_stage_has_its_place_in_the_order_of_a_wave() -> None:
    assert list(STAGES) == [*BASE_STAGES, *WAVE_STAGES]
    assert set(GPU_STAGES) <= set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_stage_depends_on_the_packages_it_imports(stage: str) -> None:
    declared = {path for path in STAGES[stage]["deps"] if path.startswith("amun/")}
    assert declared == find_dependencies(stage)


def test_change_of_a_method_makes_unlearn_stale_alone() -> None:
    assert [stage for stage in STAGES if "amun/methods" in STAGES[stage]["deps"]] == ["unlearn"]


@pytest.mark.parametrize("stage", STAGES)
def test_stage_declares_the_parameters_it_reads(stage: str) -> None:
    assert set(STAGES[stage]["params"]) == find_params(stage) - IRRELEVANT - (
        OF_NO_IMAGE if stage == "prepare" else set()
    )


@pytest.mark.parametrize("stage", BASE_STAGES)
def test_base_stage_depends_on_nothing_of_a_wave(stage: str) -> None:
    assert not [path for path in STAGES[stage]["deps"] if path.startswith("wave/")]


@pytest.mark.parametrize("stage", STAGES)
def test_stage_that_builds_a_model_depends_on_the_users_code(stage: str) -> None:
    assert ("custom" in STAGES[stage]["deps"]) == ("amun/core/custom.py" in find_imports(stage))


def test_freezing_adds_a_line_to_each_base_stage_and_moves_none(tmp_path: Path) -> None:
    """An upgrade changes dependencies in a workspace that has committed these lines: the two must not meet."""
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    run_git(tmp_path, "init", "--quiet")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").touch()
    dvc.freeze_base(tmp_path)
    before = (ROOT / "dvc.yaml").read_text(encoding="utf-8").splitlines()
    after = (tmp_path / "dvc.yaml").read_text(encoding="utf-8").splitlines()
    changes = [line for line in difflib.ndiff(before, after) if line[0] in "+-"]
    assert changes == ["+     frozen: true"] * len(BASE_STAGES)


def test_audit_never_reads_the_target_references() -> None:
    for stage in ("audit", "report"):
        assert not [path for path in STAGES[stage]["deps"] if "target" in path]


def find_params(stage: str) -> set[str]:
    """Returns the keys a stage reads: `params.section.key`, or all of a section that is handed on whole."""
    modules = (path for path in find_imports(stage) if not path.startswith("amun/core/") and path != "amun/params.py")
    # a model's name is for registries; no stage computes anything from it
    return set().union(*map(find_params_of, modules)) - {"model.name"}


@cache
def find_params_of(module: str) -> frozenset[str]:
    """Returns the keys that one file reads."""
    found: set[str] = set()
    parents = {child: node for node in ast.walk(parse(module)) for child in ast.iter_child_nodes(node)}
    for node, parent in parents.items():
        if not isinstance(node, ast.Attribute) or node.attr not in PARAMS or not is_params(node.value):
            continue
        if isinstance(parent, ast.Attribute) and parent.attr in PARAMS[node.attr]:
            found.add(f"{node.attr}.{parent.attr}")
        else:
            found |= {f"{node.attr}.{key}" for key in PARAMS[node.attr]}
    return frozenset(found)


def is_params(node: ast.expr) -> bool:
    """Tells whether an expression is the whole of the parameters: `params`, `problem.params`."""
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name == "params"
