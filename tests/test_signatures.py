"""What a function takes and gives has a type of its own; a bare dictionary stands where others say what is in it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.imports import ROOT

BARE = "dict[str, Any]"
# whose forms are not ours: what may stand there is for others to say
READS_FILES = {
    "tasks/tools/dvc_lock.py",
    "amun/core/params.py",
    "amun/evidence/wave.py",
    "amun/study/preset.py",
    "tasks/tools/dvc.py",
    "tasks/tools/registry_left.py",
    "tasks/views/version_details.py",
}
# what a user names in `params.yaml` for a function that is the user's, or another library's
PASSES_OPTIONS_ON = {
    "amun/library/samples.py",
    "amun/model/architectures.py",
    "amun/model/normalisation.py",
    "amun/store/sources/catalogue.py",
    "amun/store/sources/torchvision.py",
}
# columns of a row, JSON and its schemas, what a template shows, a step of Prefect's file
WRITES_FORMS = {
    "amun/ledger/intake.py",
    "amun/study/study.py",
    "flows/api/opendsr_forms.py",
    "flows/api/problems.py",
    "flows/deploying.py",
    "flows/pages/export_file.py",
    "flows/pages/report_page.py",
    "flows/pages/request_page.py",
}


def list_bare(source: str) -> Iterator[str]:
    """Yields the functions of a file that take or give a dictionary of which nothing is said."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = [
                *node.args.posonlyargs,
                *node.args.args,
                *node.args.kwonlyargs,
                node.args.vararg,
                node.args.kwarg,
            ]
            hints = [node.returns, *(argument.annotation for argument in arguments if argument is not None)]
            if any(BARE in ast.unparse(hint) for hint in hints if hint is not None):
                yield node.name


@pytest.mark.parametrize(
    ("signature", "found"),
    [
        ("(a: dict[str, Any]) -> None", ["f"]),
        ("(*, a: list[dict[str, Any]]) -> None", ["f"]),
        ("(**a: dict[str, Any]) -> None", ["f"]),
        ("() -> tuple[int, dict[str, Any]]", ["f"]),
        ("(a: dict[str, int]) -> Any", []),
    ],
)
def test_bare_dictionary_is_found(signature: str, found: list[str]) -> None:
    assert list(list_bare(f"def f{signature}: ...")) == found


def test_signatures_say_what_they_take_and_give() -> None:
    folders = (ROOT / name for name in ("amun", "flows", "tasks"))
    paths = [path for folder in folders for path in folder.rglob("*.py")]
    assert len(paths) > 100
    found = {str(path.relative_to(ROOT)) for path in paths if any(list_bare(read(path)))}
    assert found == READS_FILES | PASSES_OPTIONS_ON | WRITES_FORMS


def read(path: Path) -> str:
    """Returns the text of a file of the project."""
    return path.read_text(encoding="utf-8")
