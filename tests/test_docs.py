"""The pages are what their sources say now, and lead where they say."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from amun import __version__
from docs.build_parameters import PAGE, build_page
from flows.cli.app import app
from tests.readme import README, WORKSPACE, Block, find_page, list_blocks, make_anchor
from tests.workspaces import ROOT

# what is in a block by its language: tests run it; it needs machines that no test has (Docker, a cluster, systemd) and
# is looked at; it is a picture in letters
RUN, LOOKED_AT, DRAWN = {"sh", "python", "yaml", "json", "csv", "crontab"}, {"console", "output"}, {"text", "mermaid"}
# the functions by which tests take blocks, and of which language; of any the call says it
TAKING = {"list_commands": "sh", "read_cron": "crontab", "read_blocks": ""}
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


def list_taken() -> set[tuple[str, str]]:
    """Returns which places tests take blocks from, and in which language."""
    taken = set()
    for path in sorted((ROOT / "tests").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = dict(find_constants(tree)) | {"README": README, "WORKSPACE": WORKSPACE}
        dropping = [line.value for line in ast.walk(tree) if isinstance(line, ast.Assign) and is_dropping(line)]
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id not in TAKING:
                continue
            place = call.args[0]
            named = names.get(place.id) if isinstance(place, ast.Name) else getattr(place, "value", None)
            if path.name == "readme.py":
                continue
            assert isinstance(named, str), f"{path}, line {call.lineno}: a place is written as text"
            assert call not in dropping, f"{path}, line {call.lineno}: takes blocks and leaves some of them"
            language = TAKING[call.func.id] or ast.literal_eval(call.args[1])
            taken.add((named, language))
    return taken


def is_dropping(line: ast.Assign) -> bool:
    """Tells whether an assignment takes some of what it gets, and leaves any number of others: `first, *_ = ...`."""
    targets = [one for target in line.targets if isinstance(target, ast.Tuple) for one in target.elts]
    stars = [one.value for one in targets if isinstance(one, ast.Starred)]
    return any(isinstance(one, ast.Name) and one.id.startswith("_") for one in stars)


def find_constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yields the names of a module that are texts."""
    for line in tree.body:
        if isinstance(line, ast.Assign):
            for target in line.targets:
                pairs = [(target, line.value)]
                if isinstance(target, ast.Tuple) and isinstance(line.value, ast.Tuple):
                    pairs = list(zip(target.elts, line.value.elts, strict=True))
                for name, value in pairs:
                    if isinstance(name, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
                        yield name.id, value.value


def list_shown() -> Iterator[tuple[str, Block]]:
    """Yields every fenced block of every page, with the page's name."""
    for page in PAGES:
        name = page.name if page.parent == ROOT else str(page.relative_to(ROOT / "docs"))
        # of several pages of one name the one in `docs/` would be read
        assert find_page(name) == page
        yield from ((name, block) for block in list_blocks(name))


def is_taken(name: str, block: Block, taken: set[tuple[str, str]]) -> bool:
    """Tells whether a test takes what stands in a block: from the page, or from a section that has the block."""
    places = [name, *(f"{name}#{anchor}" for anchor in block.sections)]
    return any((place, block.language) in taken for place in places)


def test_every_block_of_every_page_is_typed() -> None:
    shown, taken = list(list_shown()), list_taken()
    assert {block.language for _, block in shown} <= {*RUN, *LOOKED_AT, *DRAWN}
    untyped = [
        (name, *block.sections[-1:], block.language)
        for name, block in shown
        if block.language not in DRAWN and not is_taken(name, block, taken)
    ]
    assert untyped == []
    assert sum(block.language in RUN for _, block in shown) > 80
    # a block that no test could see: indented, or fenced otherwise
    fences = sum(len(re.findall(r"```|~~~", page.read_text(encoding="utf-8"))) for page in PAGES)
    assert fences == 2 * len(shown)


def test_blocks_are_found_in_their_sections() -> None:
    blocks = list_blocks("erasure.md")
    assert [block.sections for block in blocks] == [
        ("erasure", "who-serves-the-model"),
        ("erasure", "the-keys", "a-key-in-a-token"),
    ]
    taken = {("erasure.md#the-keys", "sh")}
    assert [is_taken("erasure.md", block, taken) for block in blocks] == [False, True]
    assert not is_taken("erasure.md", blocks[1], {("erasure.md#the-keys", "python")})
    assert not is_taken("models.md", blocks[1], taken)


@pytest.mark.parametrize("place", sorted({place for place, _ in list_taken()}))
def test_places_that_tests_take_from_are_there(place: str) -> None:
    page, _, anchor = place.partition("#")
    assert is_there(ROOT / "README.md", str(find_page(page).relative_to(ROOT)), anchor)


def test_what_is_for_other_machines_is_read_by_a_shell() -> None:
    for name, block in list_shown():
        if block.language == "console":
            read = subprocess.run(["sh", "-n"], input=block.text, capture_output=True, text=True, check=False)
            assert (name, read.returncode, read.stderr) == (name, 0, "")
            paths = re.findall(r"infra/[\w./@-]+[\w]", block.text)
            there = [path for path in paths if (ROOT / path).exists() or path.endswith(("YOURS", "deploy.env"))]
            assert there == paths


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
