"""The lineage as a tree: lines of descent, what was left behind, new bases, versions of nobody's wave."""

import re
from datetime import UTC, datetime

import pytest

from flows.pages.model_tables import print_lineage
from tasks.views.lineage import Version


def make_version(number: int, parent: str | None, *, is_known: bool = True, rolled_back: str | None = None) -> Version:
    return Version(
        number=number,
        wave=number - 1 if is_known else None,
        kind="deletion" if parent else "base",
        wave_state="complete",
        parent=parent,
        commit="c" * 40,
        method="amun",
        attempt=1,
        registered_at=datetime(2026, 1, 31, tzinfo=UTC),
        aliases=("champion",) if number == 7 else (),
        rolled_back=rolled_back,
        num_forget=30,
        num_subjects=number,
        accuracy=0.9,
        ft_auc=0.5,
        standard_error=0.03,
    )


def test_tree_shows_lines_and_what_was_left_behind(capsys: pytest.CaptureFixture[str]) -> None:
    print_lineage(
        "model",
        [
            make_version(1, "models:/theirs@prod"),
            make_version(2, "1"),
            make_version(3, "2", rolled_back="wrong labels"),
            make_version(4, "3", rolled_back="wrong labels"),
            make_version(5, "2"),
            make_version(6, None),
            make_version(7, "6"),
            make_version(8, None, is_known=False),
        ],
    )
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    tree = [re.sub(r"(model|version \d).*", r"\1", line) for line in lines[2:10]]
    assert tree == [
        "model",
        "├── version 1",
        "│   ├── version 2",
        "│   │   └── version 3",
        "│   │       └── version 4",
        "│   └── version 5",
        "└── version 6",
        "    └── version 7",
    ]
    assert "models:/theirs@prod" in lines[3]
    assert "0.500 ± 0.030" in lines[4]
    assert lines[5].endswith("rolled back: wrong labels")
    assert lines[9].endswith("champion")
    assert lines[-1] == "in MLflow, but registered by no wave: version 8"
