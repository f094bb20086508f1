"""Which modules of the library a stage imports, read from the source, nothing executed."""

import ast
from pathlib import Path

from amun.methods.catalogue import METHODS
from amun.store.sources.catalogue import SOURCES

ROOT = Path(__file__).parent.parent

# modules that these stages load by name
LOADED_BY_NAME = {
    "prepare": set(SOURCES.values()),
    "unlearn": {method.function.partition(":")[0] for method in METHODS.values()},
}


def find_imports(stage: str) -> set[str]:
    """Returns the paths of all `amun/` files that a stage imports, itself among them, packages' docstrings aside."""
    waiting = {f"amun.stages.{stage}", *LOADED_BY_NAME.get(stage, set())}
    found: set[str] = set()
    while waiting:
        path = Path(waiting.pop().replace(".", "/") + ".py")
        if str(path) in found or not (ROOT / path).exists():
            continue
        found.add(str(path))
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("amun."):
                waiting.add(node.module)
    return found
