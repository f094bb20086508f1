"""Counts as people say them, commands as a shell takes them, holders as people know them; nowhere `1 requests`."""

import re
import shlex

import pytest

from amun.core.commands import tell_command
from amun.core.counts import tell_count
from amun.ledger.holder import describe_holder, tell_holder
from tests.amun.shipped import ROOT

# a number and a thing in the plural, unless a function has chosen it
PLURALS = (
    "files|people|requests|samples|subjects|versions|waves|images|days|objects|problems|trials|findings|fields|values|"
    "tensors|channels|methods|runs|training samples"
)
CALLED = rf"(?:len|int|[\w.]*[.]error_count)\([^}}]*\)\}} (?:\w+ )?(?:{PLURALS})\b"
NAMED = rf"[\w.]*(?:num_|count)\w*\}} (?:{PLURALS})\b"
BY_HAND = re.compile(rf"\{{(?:{CALLED}|{NAMED})")
IN_TEMPLATE = re.compile(rf"\{{\{{(?![^}}]*tell_count)[^}}]*\}}\}} (?:{PLURALS})\b")
COMMAND_BY_HAND = re.compile(r"\b; type (?!\{tell_command)[a-z]+ [^\"]*\{")
# more than one by what comes before
KNOWN = {
    "amun/ledger/intake.py": "{num_demands} people",
    "amun/audit/night.py": "{self.num_people} people",
    "amun/study/preset.py": "{self.num_waves} waves",
    "tasks/views/model_page.py": "{len(compared)} waves",
}


@pytest.mark.parametrize(
    ("number", "words", "said"),
    [
        (1, ("request",), "1 request"),
        (0, ("request",), "0 requests"),
        (2, ("earlier wave",), "2 earlier waves"),
        (1, ("person", "people"), "1 person"),
        (2, ("person", "people"), "2 people"),
    ],
)
def test_count_is_singular_for_one(number: int, words: tuple[str, ...], said: str) -> None:
    assert tell_count(number, *words) == said


def test_counts_are_told_by_the_one_function() -> None:
    paths = [path for package in ("amun", "tasks", "flows") for path in (ROOT / package).rglob("*.py")]
    found = {
        str(path.relative_to(ROOT)): match[0]
        for path in paths
        for match in BY_HAND.finditer(path.read_text(encoding="utf-8"))
    }
    assert found == KNOWN


def test_counts_in_templates_are_told_by_the_one_function() -> None:
    paths = [path for package in ("amun", "flows") for path in (ROOT / package).rglob("*.html")]
    assert len(paths) > 1
    assert [match[0] for path in paths for match in IN_TEMPLATE.finditer(path.read_text(encoding="utf-8"))] == []


def test_no_command_is_told_without_quoting() -> None:
    paths = [path for package in ("amun", "tasks", "flows") for path in (ROOT / package).rglob("*.py")]
    assert [match[0] for path in paths for match in COMMAND_BY_HAND.finditer(path.read_text(encoding="utf-8"))] == []


def test_command_is_quoted_for_the_shell() -> None:
    said = tell_command("dvc", "add", "our data/don't.dvc")
    assert shlex.split(said.strip("`")) == ["dvc", "add", "our data/don't.dvc"]
    assert tell_command("git", "rebase", "origin/main") == "`git rebase origin/main`"


def test_holder_is_told_without_boot_and_start() -> None:
    assert tell_holder("vm:9c94fb17-aa.4026531836:4711:12.50") == "process 4711 on vm"
    assert tell_holder("elsewhere") == "elsewhere"
    assert tell_holder(describe_holder()).startswith("process ")
