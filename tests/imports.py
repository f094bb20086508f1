"""Which parts of the library a stage imports, read from the source, nothing executed."""

import ast
from functools import cache
from pathlib import Path

from amun.store.sources.catalogue import SOURCES

ROOT = Path(__file__).parent.parent

# modules that a package loads by name
LOADED_BY_NAME = {
    "amun.store.sources.catalogue": set(SOURCES.values()),
    "amun.methods.catalogue": {f"amun.methods.{path.stem}" for path in (ROOT / "amun/methods").glob("*.py")},
    "amun.search.catalogue": {f"amun.search.{path.stem}" for path in (ROOT / "amun/search").glob("*.py")},
}
# what reads, checks, reports and locks: no figure comes of it, so no stage is stale when it changes
NEUTRAL = ("amun/core/", "amun/params.py", "amun/stages/runner.py")


@cache
def parse(path: str) -> ast.Module:
    """Returns the code of a file of the project."""
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


@cache
def find_imports(stage: str) -> frozenset[str]:
    """Returns the paths of all `amun/` files that a stage imports, itself among them, packages' docstrings aside.

    What is neutral is among them, but not what it imports in turn.
    """
    waiting = {f"amun.stages.{stage}"}
    found: set[str] = set()
    while waiting:
        module = waiting.pop()
        path = module.replace(".", "/") + ".py"
        if path in found or not (ROOT / path).exists():
            continue
        found.add(path)
        if path.startswith(NEUTRAL):
            continue
        waiting |= LOADED_BY_NAME.get(module, set())
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("amun."):
                # a module may be imported from its package by name
                waiting |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def find_dependencies(stage: str) -> set[str]:
    """Returns what a stage depends on in code: packages of the library as folders, files of the stages one by one."""
    paths = {path for path in find_imports(stage) if not path.startswith(NEUTRAL)}
    return {
        path if path.startswith("amun/stages/") else path.rpartition("/")[0].removesuffix("/sources") for path in paths
    }
