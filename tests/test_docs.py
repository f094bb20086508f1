"""The pages are what their sources say now, and lead where they say."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from amun import __version__
from docs.build_parameters import PAGE, build_page
from flows.cli.app import app
from tests.workspaces import ROOT

# other machines, keys and models stand in their blocks; of these the commands of `amun` alone are looked at
NOT_TYPED = ["erasure.md", "models.md", "pages.md", "receipts.md", "scale.md"]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    # what a fenced block shows is no link
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    broken = [target for target in targets if not is_there(page, *target.partition("#")[::2])]
    assert broken == []


def is_there(page: Path, path: str, anchor: str) -> bool:
    """Tells whether a file is there, and a heading or an `id` in it where the link names one."""
    target = page.parent / path if path else page
    if not target.exists() or not anchor:
        return target.exists()
    text = target.read_text(encoding="utf-8")
    return anchor in {make_anchor(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)} or (
        f'id="{anchor}"' in text
    )


def make_anchor(heading: str) -> str:
    """Returns the anchor that a heading gets: lower case, no punctuation, hyphens for blanks."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def list_leaves(command: Any, name: str) -> Iterator[str]:
    """Yields every command that can be typed, by the names that lead to it."""
    commands = getattr(command, "commands", {})
    if not commands or command.invoke_without_command:
        yield name
    for part, inner in commands.items():
        yield from list_leaves(inner, f"{name} {part}")


def test_the_page_of_the_commands_has_every_command() -> None:
    text = " ".join((ROOT / "docs/workspace.md").read_text(encoding="utf-8").split())
    commands = sorted(list_leaves(get_command(app), "amun"))
    assert "amun request extend" in commands
    assert [command for command in commands if not re.search(rf"{command}\b", text)] == []


def test_pages_whose_blocks_no_test_types_are_known() -> None:
    typed = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py") if is_typing(path))
    telling = [
        page.name
        for page in sorted((ROOT / "docs").glob("*.md"))
        if re.search(r"^```(sh|python)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert [name for name in telling if not re.search(rf'["/]{re.escape(name)}"', typed)] == NOT_TYPED


def is_typing(path: Path) -> bool:
    """Tells whether a file of tests takes from a page what it types."""
    text = path.read_text(encoding="utf-8")
    return (
        path.name == "readme.py"
        or re.search("^from tests.readme import .*(list_commands|read_blocks)", text, re.MULTILINE) is not None
    )


def test_changelog_names_this_release() -> None:
    headings = re.findall(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[:2] == ["Unreleased", __version__]


def test_parameters_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == build_page(), (
        "run `python -m docs.build_parameters` and commit docs/parameters.md"
    )


def test_parameters_page_tells_what_the_entries_of_a_list_are() -> None:
    (line,) = (line for line in build_page().splitlines() if line.startswith("| `data.images.size`"))
    assert "| list of 2, each: whole number, ≥ 1 or null |" in line


def test_parameters_page_explains_a_key() -> None:
    (line,) = (line for line in build_page().splitlines() if line.startswith("| `training.momentum`"))
    assert "number, ≥ 0, < 1 | `0.9`" in line
    assert line.endswith("| train, references, unlearn |")
