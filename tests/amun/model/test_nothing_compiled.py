"""Nothing here compiles a model, for a compiler's cache lies outside every folder that an erasure reads."""

import ast

import pytest

from tests.workspaces import ROOT

COMPILERS = ("torch._inductor", "torch._dynamo", "aoti", "inductor")


def list_compiling(source: str) -> list[str]:
    """Returns what in a module compiles a model or names a compiler: `torch.compile`, `net.compile()`, AOTInductor."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(ast.Name("re"), "compile"):
                continue
            case ast.Attribute(_, "compile"):
                names = [ast.unparse(node)]
            case ast.ImportFrom(module, aliases):
                names = [f"{module}.{alias.name}" for alias in aliases]
            case ast.Import(aliases):
                names = [alias.name for alias in aliases]
            case ast.Attribute(_, name) | ast.Name(name) | ast.keyword(name):
                names = [name or ""]
            case _:
                continue
        found += [name for name in names if name.endswith(".compile") or any(each in name for each in COMPILERS)]
    return found


@pytest.mark.parametrize(
    "source",
    [
        "torch.compile(net)",
        "net.compile()",
        "@torch.compile\ndef f(): ...",
        "from torch import compile",
        "from torch import compile as faster",
        "import torch._inductor",
        "torch._inductor.aoti_compile_and_package(exported)",
        "from torch._export import aot_compile, aoti_load_package",
    ],
)
def test_compiling_is_seen(source: str) -> None:
    assert list_compiling(source)


def test_regular_expressions_compile_no_model() -> None:
    assert list_compiling("import re\nre.compile('a')\ncompile('1', 'file', 'eval')") == []


def test_nothing_compiles_a_model() -> None:
    paths = [path for package in ("amun", "tasks", "flows") for path in (ROOT / package).rglob("*.py")]
    found = {str(path.relative_to(ROOT)): list_compiling(path.read_text(encoding="utf-8")) for path in paths}
    assert len(found) > 100
    assert {path: names for path, names in found.items() if names} == {}
