"""The commands that the README tells a reader to type."""

import re

from tests.workspaces import ROOT

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def list_commands() -> list[str]:
    """Returns the lines of all fenced `sh` blocks, comments aside."""
    lines = "".join(_BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))).splitlines()
    return [line for line in (full.partition("  #")[0].strip() for full in lines) if line and not line.startswith("#")]
