"""What the pages tell a reader to type, and what they show to be written into a file."""

import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.workspaces import ROOT

README, WORKSPACE = "README.md", "workspace.md"
# what the pages' lines name
PROGRAM, WORKSPACE_FOLDER, VARIABLES = ".venv/bin/amun", "/var/lib/amun/workspace", "/etc/amun/amun.env"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#+) (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        sections: the anchors of the headings under which it stands, the page's own title first.
        language: the word at its fence; empty where there is none.
        text: what is in it.
    """

    sections: tuple[str, ...]
    language: str
    text: str


def find_page(name: str) -> Path:
    """Returns where a page lies: in `docs/`, or at the root."""
    path = ROOT / "docs" / name
    return path if path.exists() else ROOT / name


def list_blocks(page: str) -> list[Block]:
    """Returns all fenced blocks of a page in their order."""
    text = find_page(page).read_text(encoding="utf-8")
    fences = list(FENCE.finditer(text))
    # a comment in a block begins as a heading does
    in_fences = [fence.span() for fence in fences]
    headings = [
        found for found in HEADING.finditer(text) if not any(begin < found.start() < end for begin, end in in_fences)
    ]
    blocks = []
    for fence in fences:
        sections: dict[int, str] = {}
        for heading in headings:
            if heading.start() < fence.start():
                level = len(heading[1])
                sections = {own: anchor for own, anchor in sections.items() if own < level}
                sections[level] = make_anchor(heading[2])
        blocks.append(Block(tuple(sections.values()), fence[1], fence[2]))
    return blocks


def make_anchor(heading: str) -> str:
    """Returns the anchor that a heading gets: lower case, no punctuation, hyphens for blanks."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def read_blocks(place: str, language: str) -> list[str]:
    """Returns the content of fenced blocks in a language.

    Args:
        place: a page, or a section of it with all below (`erasure.md#the-keys`); a test of the docs reads these names
            in the tests, so they are written there as text.
        language: the word at the fence.
    """
    page, _, anchor = place.partition("#")
    found = [
        block.text
        for block in list_blocks(page)
        if block.language == language and (not anchor or anchor in block.sections)
    ]
    assert found, f"{place} has no block of {language}"
    return found


def list_commands(place: str) -> list[str]:
    """Returns the lines of all fenced `sh` blocks of a page or section, comments aside."""
    lines = "".join(read_blocks(place, "sh")).splitlines()
    return [line for line in (full.partition("  #")[0].strip() for full in lines) if line and not line.startswith("#")]


def read_cron(place: str, workspace: Path, folder: Path) -> list[str]:
    """Returns the arguments with which the only line of a crontab in a place starts `amun`.

    A shell reads the line as cron hands it over. In the place of the program is a script that notes how it is called.

    Args:
        place: a page or section.
        workspace: that stands for the one that the line names.
        folder: an empty one, for the script.
    """
    (line,) = "".join(read_blocks(place, "crontab")).splitlines()
    *fields, command = line.split(maxsplit=5)
    assert all(re.fullmatch(r"[\d*/,-]+", field) for field in fields), line
    # cron takes a bare per cent sign for the end of the command
    assert not re.search(r"(?<!\\)%", command), line
    folder.mkdir()
    script, called = folder / "amun", folder / "called"
    script.write_text(f'#!/bin/sh\npwd > {called}\nprintf "%s\\n" "$@" >> {called}\n', encoding="utf-8")
    script.chmod(0o755)
    own = {PROGRAM: str(script), WORKSPACE_FOLDER: str(workspace), VARIABLES: str(ROOT / "infra/amun.env")}
    command = fill_in(command.replace(r"\%", "%"), {text: shlex.quote(path) for text, path in own.items()})
    subprocess.run(["sh", "-c", command], check=True, stdin=subprocess.DEVNULL)
    entered, *arguments = called.read_text(encoding="utf-8").splitlines()
    assert Path(entered) == workspace.resolve()
    return arguments


def fill_in(text: str, replaced: Mapping[str, str]) -> str:
    """Returns a text of a page with some of its words in the place of others, each of which stands there."""
    for word, own in replaced.items():
        assert word in text, f"{word} is not in {text}"
        text = text.replace(word, own)
    return text


def read_variables(lines: str) -> dict[str, str]:
    """Returns the variables that a shell has which reads these lines, and nothing else before."""
    shown = subprocess.run(["sh", "-c", f"set -a\n{lines}\nenv -0"], env={}, capture_output=True, check=True)
    assert shown.stderr == b""
    read = dict(entry.split("=", 1) for entry in shown.stdout.decode().split("\0") if entry)
    return {name: value for name, value in read.items() if name not in ("PWD", "_", "OLDPWD", "SHLVL")}


def type_over(params: dict[str, Any], typed: str) -> None:
    """Changes parameters as whoever types a block of a page does: line by line in a block, whole where it is a line."""
    _type_over(params, yaml.compose(typed))


def _type_over(params: dict[str, Any], typed: yaml.Node | None) -> None:
    assert isinstance(typed, yaml.MappingNode)
    for key, value in typed.value:
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            _type_over(params[key.value], value)
        else:
            params[key.value] = yaml.safe_load(yaml.serialize(value))


def list_told_commands(text: str) -> list[str]:
    """Returns the commands of `amun` in code spans and in the lines of fenced blocks, as far as a `|`, `>` or `;`."""
    fenced = "\n".join(re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    spans = re.findall(r"`(amun [^`]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
    lines = re.findall(r"(?:^|&& |; |/bin/|-- |\$ )(amun [^#\n]+)", fenced, re.MULTILINE)
    return [" ".join(re.split(r"[|>;&]", command)[0].split()) for command in [*spans, *lines]]
