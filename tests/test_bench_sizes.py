"""The bench of what a million requests cost: a command that fails, or does not do its work, is no figure."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from amun.core.params import read_params
from amun.core.paths import PARAMS
from bench.sizes import Figure, hold_people, measure_sizes, run_command
from flows.demo import ensure_clone
from tests.workspaces import ROOT


def test_figure_tells_whether_its_bound_is_kept() -> None:
    assert str(Figure("a file, seconds", 119.0, 120.0, "by the clock 130")) == (
        "a file, seconds: 119.00 (at most 120); by the clock 130"
    )
    assert str(Figure("a file, MiB", 1025.0, 1024.0)).endswith("(at most 1024)  <-- too much")


def test_command_that_fails_is_no_figure(tmp_path: Path) -> None:
    root, url = tmp_path / "workspace", f"sqlite:///{tmp_path / 'ledger.db'}"
    ensure_clone(ROOT, root)
    hold_people(url, read_params(root / PARAMS).model.name, range(1))
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE requests"))
    engine.dispose()
    with pytest.raises(RuntimeError, match="amun request list ended with exit code 1"):
        run_command(root, url, "request", "list")


@pytest.mark.long
def test_all_figures_are_measured(tmp_path: Path) -> None:
    figures = list(measure_sizes(tmp_path, num_large=2000))
    assert [figure.name.split(",")[0] for figure in figures] == [
        *["a file of 2"] * 3,
        "amun status",
        "amun request list",
        "amun request list --page 50",
        "amun request list --state completed",
    ]
    assert all(figure.value > -1 for figure in figures)
