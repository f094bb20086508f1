"""Writes into `dvc.lock` what one stage has become; DVC parses all of it for comments, half a second for each stage."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dvc import dvcfile
from dvc.utils.serialize import YAMLFileCorruptedError, dumps_yaml, modify_yaml, parse_yaml

LOCK_FILE = "dvc.lock"
_BEGIN = re.compile(r"^  (?=[\w-]+:$)", re.MULTILINE)  # of a stage


def write_quickly() -> None:
    """Has DVC in this process write its lock files so."""
    dvcfile.modify_yaml = _modify


@contextmanager
def _modify(path: str, fs: Any = None) -> Iterator[dict[str, Any]]:
    """Gives the content of a YAML file, and writes what has become of it; other files than `dvc.lock` as DVC does."""
    file = Path(path)
    text = file.read_text(encoding="utf-8") if file.name == LOCK_FILE and file.exists() else ""
    head, *parts = _BEGIN.split(text)
    content = parse_yaml(text, path) if parts else {}
    # a part for each stage, and nothing else: as DVC writes it
    if list(content) != ["schema", "stages"] or [part.partition(":")[0] for part in parts] != list(content["stages"]):
        with modify_yaml(path, fs=fs) as content:
            yield content
        return
    before = dict(content["stages"])
    yield content
    kept = {name: f"  {part}" for name, part in zip(before, parts, strict=True)}
    written = [
        kept[name] if stage is before.get(name) else dumps_yaml({"stages": {name: stage}}).partition("\n")[2]
        for name, stage in content["stages"].items()
    ]
    text = "".join([head, *written])
    if _says(text, content):
        file.write_text(text, encoding="utf-8")
        return
    # somebody has changed more than stages, or one in its place, or the file ended otherwise than DVC ends it
    with modify_yaml(path, fs=fs) as whole:
        whole.clear()
        whole.update(content)


def _says(text: str, content: dict[str, Any]) -> bool:
    try:
        return bool(parse_yaml(text, LOCK_FILE) == content)
    except YAMLFileCorruptedError:
        return False
