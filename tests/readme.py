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
