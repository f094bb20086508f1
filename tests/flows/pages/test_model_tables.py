"""The lineage as a tree: lines of descent, what was left behind, new bases, versions of nobody's wave."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from flows.pages import table
from flows.pages.listing import View
from flows.pages.model_tables import choose_versions, print_lineage
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
        weights_erased_at=None,
        num_forget=30,
        num_subjects=number,
        accuracy=0.9,
        ft_auc=0.5,
        standard_error=0.03,
    )


def show_tree(capsys: pytest.CaptureFixture[str], versions: list[Version], view: View = View()) -> list[str]:  # noqa: B008
    page, num_versions = choose_versions(versions, view)
    print_lineage("model", page, view, num_versions)
    return capsys.readouterr().out.splitlines()


def test_tree_shows_lines_and_what_was_left_behind(capsys: pytest.CaptureFixture[str]) -> None:
    versions = [
        make_version(1, "models:/theirs@prod"),
        make_version(2, "1"),
        make_version(3, "2", rolled_back="wrong labels"),
        make_version(4, "3", rolled_back="wrong labels"),
        make_version(5, "2"),
        make_version(6, None),
        make_version(7, "6"),
        make_version(8, None, is_known=False),
    ]
    heads, lines = (shown := show_tree(capsys, versions))[:2], shown[2:]
    assert heads[1].split()[:2] == ["model", "wave"]
    assert [re.sub(r"(version \d).*", r"\1", line) for line in lines[:7]] == [
        "├─┬ version 1",
        "│ ├ version 2",
        "│ ├─┬ version 3",
        "│ │ └ version 4",
        "│ └ version 5",
        "└─┬ version 6",
        "  └ version 7",
    ]
    assert "models:/theirs@prod" in lines[0]
    assert "0.500 ± 0.030" in lines[1]
    assert lines[2].endswith("rolled back: wrong labels")
    assert lines[6].endswith("champion")
    assert lines[-1] == "in MLflow, but registered by no wave: version 8"


def test_siblings_do_not_look_like_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    siblings = show_tree(capsys, [make_version(1, None), make_version(2, "1"), make_version(3, "1")])
    line = show_tree(capsys, [make_version(1, None), make_version(2, "1"), make_version(3, "2")])
    trees = [[re.sub(r"(version \d).*", r"\1", row) for row in shown[2:]] for shown in (siblings, line)]
    assert trees == [
        ["└─┬ version 1", "  ├── version 2", "  └ version 3"],
        ["└─┬ version 1", "  ├ version 2", "  └ version 3"],
    ]


def test_versions_have_pages_and_long_reasons_give_way(
    capsys: pytest.CaptureFixture[str], open_terminal: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_terminal(80)
    why = "confuses three and eight since Monday, as the desk in Hamburg has told us twice by now"
    versions = [make_version(number, str(number - 1), rolled_back=why) for number in range(1, 101)]
    shown = show_tree(capsys, versions)
    assert max(map(len, shown[:-2])) <= 80
    assert re.search("version 71  .*rolled back: confuses.*…$", shown[2])
    assert shown[-2].startswith("no room for ")
    assert shown[-1].startswith("70 earlier versions: `--page 2`")
    # a pipe gets all of it, whatever the environment says
    monkeypatch.setattr(table, "is_terminal", lambda: False)
    assert show_tree(capsys, versions)[2].endswith(why)
