"""What the pages tell a reader to type, and what they show to be written into a file."""

import re
from pathlib import Path

from tests.workspaces import ROOT

README = ROOT / "README.md"
WORKSPACE = ROOT / "docs" / "workspace.md"


def list_commands(page: Path) -> list[str]:
    """Returns the lines of all fenced `sh` blocks, comments aside."""
    lines = "".join(read_blocks(page, "sh")).splitlines()
    return [line for line in (full.partition("  #")[0].strip() for full in lines) if line and not line.startswith("#")]


def read_blocks(page: Path, language: str) -> list[str]:
    """Returns the content of a page's fenced blocks in a language."""
    block = re.compile(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return block.findall(page.read_text(encoding="utf-8"))


def list_told_commands(text: str) -> list[str]:
    """Returns the commands of `amun` in code spans and in the lines of fenced blocks, as far as a `|`, `>` or `;`."""
    fenced = "\n".join(re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    spans = re.findall(r"`(amun [^`]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
    lines = re.findall(r"(?:^|&& |; |/bin/|-- |\$ )(amun [^#\n]+)", fenced, re.MULTILINE)
    return [" ".join(re.split(r"[|>;&]", command)[0].split()) for command in [*spans, *lines]]
