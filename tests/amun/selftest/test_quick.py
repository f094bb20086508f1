"""The quick form on a tiny base: nights too small show nothing, and a gate that is too wide is found out."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from amun.core.errors import InputError
from amun.core.paths import (
    BASE_MODEL,
    SELFTEST,
    TEST,
    WAVE_BASE,
)
from amun.selftest.ground import draw_people, freeze_night, open_ground
from amun.selftest.planted import PLANTED
from amun.selftest.quick import NUM_EXACT, make_seeded
from amun.selftest.truth import Scale, TrueLeft, find_true_left
from amun.selftest.verdicts import INSUFFICIENT, PASSED, REFUSED, Cell, Verdict, list_misses, list_within
from amun.stages.adversarial import build_adversarial_set
from flows.selftest import print_quick, run_quick
from tasks.workspace.workspace import Workspace

CPU = torch.device("cpu")


def list_files(root: Path) -> set[Path]:
    return {path.relative_to(root) for path in root.rglob("*")}


def test_planted_models_are_judged_and_nothing_else_is_left(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    before, base = list_files(workspace.root), (workspace.root / BASE_MODEL).read_bytes()
    quick = run_quick(workspace, sizes=(1, 40, 1000))
    assert list_files(workspace.root) - before <= {Path(".amun"), Path(".amun/selftest.lock")}
    assert (workspace.root / BASE_MODEL).read_bytes() == base
    by_size = {size: [cell for cell in quick.cells if cell.num_people == size] for size in quick.nights}

    assert {verdict.gate for cell in by_size[1] for verdict in cell.verdicts} == {INSUFFICIENT}
    assert [cell.planted for cell in by_size[1] if not cell.verdicts] == [
        "one of six people overlooked",
        "five samples memorised",
        "half remembered, half overdone",
    ]
    assert quick.nights[1000] is None
    assert all(not cell.verdicts for cell in by_size[1000])

    at_40 = {cell.planted: cell for cell in by_size[40]}
    for name in ("untouched base", "learning rate 1e-8", "sign error", "amun"):
        (verdict,) = at_40[name].verdicts
        assert (verdict.gate, verdict.is_contradicted) == (REFUSED, True)
    assert [verdict.gate for verdict in at_40["exact weights"].verdicts] == [PASSED] * NUM_EXACT

    # one of six people is a sixth of the memory, which the margin allows: the selftest measures it, and says so
    overlooked = at_40["one of six people overlooked"]
    assert overlooked.true_left is not None
    assert 0.05 < overlooked.true_left.left < overlooked.true_left.upper <= overlooked.true_left.margin == 0.5
    assert overlooked in list_within(quick.cells)
    misses = [cell.planted for cell in list_misses(quick.cells)]
    assert overlooked.planted not in misses
    print_quick(quick)
    said = capsys.readouterr().out
    assert said.count("MISS: passed") == said.count("miss: ") == len(misses)
    assert said.count("passed, within the margin") == said.count("within the margin: ") == len(list_within(quick.cells))
    assert "5 of 5 passed" in said


def test_truth_is_measured_beside_models_that_were_retrained(workspace: Workspace) -> None:
    params = workspace.params
    with open_ground(workspace.root):
        wave = freeze_night(params.model.name, draw_people(0)[:40])
        build_adversarial_set(params, CPU)
        planted = {each.name: each for each in PLANTED}

        def make(name: str) -> Callable[[int], nn.Module]:
            return partial(make_seeded, params, CPU, wave, planted[name])

        scale = Scale(params, CPU, wave, make("exact weights"))
        together = np.zeros(40, dtype=np.int64)
        untouched = scale.measure(make("untouched base"), together)
        exact = scale.measure(make("exact weights"), together)
    assert untouched.left == pytest.approx(1)
    assert not untouched.is_within
    assert exact.left == pytest.approx(0, abs=1e-9), "these very models are its 0"
    assert exact.is_within


def test_what_is_remembered_of_some_does_not_make_up_for_what_is_overdone_with_others() -> None:
    exact = np.array([[0.1, 0.1, 0.0, 0.0], [-0.1, -0.1, 0.0, 0.0]])
    base, halves, together = np.ones(4), np.array([0, 0, 1, 1]), np.zeros(4, dtype=np.int64)
    mixed = np.tile([1.0, 1.0, -1.0, -1.0], (2, 1))
    assert find_true_left(base, exact, mixed, together, 0.5).left == pytest.approx(0)
    by_kind = find_true_left(base, exact, mixed, halves, 0.5)
    assert by_kind.left == pytest.approx(1)
    # exact retraining has 0.05 to either side: a standard error of 0.05, once in its kind and once in the whole
    assert by_kind.upper == pytest.approx(1 + 6.3138 * (0.05 + 0.05), abs=1e-3)
    sixth = find_true_left(base, exact, np.tile([1.0, 0.0, 0.0, 0.0], (2, 1)), np.array([1, 0, 0, 0]), 0.5)
    assert sixth.left == pytest.approx(0.25)


@pytest.mark.parametrize(("upper", "is_miss"), [(0.5, False), (0.51, True)])
def test_what_passes_is_no_miss_where_it_is_shown_to_lie_within_the_margin(upper: float, is_miss: bool) -> None:
    cell = replace(say(PASSED, is_exact=False), true_left=TrueLeft(0.4, upper, 0.5))
    assert (cell.is_miss, cell.is_within) == (is_miss, not is_miss)
    refused = replace(say(REFUSED, is_exact=False), true_left=TrueLeft(0.4, upper, 0.5))
    assert not refused.is_miss
    assert not refused.is_within


def test_who_is_gone_does_not_ask(workspace: Workspace) -> None:
    with open_ground(workspace.root):
        people = draw_people(0)
        wave = freeze_night("digits", people[:5])
        assert Path.cwd() == workspace.root / SELFTEST
        assert WAVE_BASE.read_bytes() == (workspace.root / BASE_MODEL).read_bytes()
        assert wave.forget_ids
    assert sorted(people) == sorted(set(people))


def test_a_folder_without_a_base_is_told_what_to_do(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="amun init"), open_ground(tmp_path):
        pass
    assert (workspace.root / TEST).exists()


def say(*gates: str, is_exact: bool) -> Cell:
    return Cell("some", is_exact, 100, tuple(Verdict(gate, False, "", None) for gate in gates))


@pytest.mark.parametrize(
    ("cell", "is_miss"),
    [
        (say(is_exact=False), False),
        (say(REFUSED, is_exact=False), False),
        (say(INSUFFICIENT, is_exact=False), False),
        (say(PASSED, is_exact=False), True),
        (say(*[REFUSED] * 4, PASSED, is_exact=False), True),
        (say(*[INSUFFICIENT] * 5, is_exact=True), False),
        (say(*[PASSED] * 2, *[REFUSED] * 3, is_exact=True), False),
        (say(PASSED, *[REFUSED] * 4, is_exact=True), True),
        (say(REFUSED, is_exact=True), False),
    ],
)
def test_what_is_a_miss(cell: Cell, is_miss: bool) -> None:
    """Exact weights may be refused by chance, one time in five: of five trainings two that pass are no surprise."""
    assert cell.is_miss is is_miss
