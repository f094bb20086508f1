"""The quick form on a tiny base: nights too small show nothing, and a gate that is too wide is found out."""

from pathlib import Path

import pytest

from amun.core.errors import InputError
from amun.core.paths import (
    BASE_MODEL,
    SELFTEST,
    TEST,
    WAVE_BASE,
)
from amun.selftest.ground import draw_people, freeze_night, open_ground
from amun.selftest.quick import NUM_EXACT
from amun.selftest.verdicts import INSUFFICIENT, PASSED, REFUSED, Cell, Verdict, list_misses
from flows.selftest import print_quick, run_quick
from tasks.workspace.workspace import Workspace


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

    # one of six people is a sixth of the memory, which the margin allows: the selftest says so
    misses = [cell.planted for cell in list_misses(quick.cells)]
    assert "one of six people overlooked" in misses
    print_quick(quick)
    said = capsys.readouterr().out
    assert said.count("MISS: passed") == said.count("miss: ") == len(misses)
    assert "5 of 5 passed" in said


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
