"""`dvc.lock` is written byte for byte as DVC writes it, where it was DVC that wrote it before."""

from collections import OrderedDict
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from dvc import dvcfile
from dvc.utils.serialize import dump_yaml, load_yaml, modify_yaml

import tasks.tools.dvc

VALUES = {"a": None, "b": "Räume #1", "c": "a\nb: \n  c:\nd", "e": "word " * 40, "f": [1e-05, {"g": []}], "h": "5e-4"}
STAGE = OrderedDict([("cmd", "python -m amun.stages.train"), ("params", {"params.yaml": VALUES}), ("outs", [])])
LOCK = {"schema": "2.0", "stages": {"prepare": {"cmd": "true"}, "train": STAGE, "audit-2": {"cmd": "true"}}}
OTHERS = {
    "nothing": "",
    "a comment": "# mine\nschema: '2.0'\nstages:\n  train: # too\n    cmd: 'true'\n  audit: {cmd: 'true'}\n",
    "data sets": "schema: '2.0'\nstages:\n  train:\n    cmd: x\ndatasets:\n- name: one\n",
    "other blanks": "schema: '2.0'\nstages:\n    train:\n        cmd: x\n",
}


def change(root: Path, modify: Any, name: str = "dvc.lock") -> bytes:
    """Changes a stage of a lock file and adds another one; returns what is written."""
    with modify(str(root / name)) as content:
        stages = content.setdefault("stages", {})
        stages["train"] = OrderedDict(cmd="false", params={"params.yaml": dict(VALUES, e=0.0005)})
        stages["report"] = deepcopy(STAGE)
    return (root / name).read_bytes()


def test_dvc_asks_for_it_by_the_name_that_is_replaced() -> None:
    assert "modify_yaml" in dvcfile.Lockfile.dump_stages.__code__.co_names
    assert dvcfile.modify_yaml is not modify_yaml


@pytest.mark.parametrize("end", ["", "\n...\n", "\n"])
def test_what_changes_besides_a_whole_stage_is_written_too(end: str, ours: Any, tmp_path: Path) -> None:
    dump_yaml(str(tmp_path / "dvc.lock"), LOCK)
    text = (tmp_path / "dvc.lock").read_text(encoding="utf-8").rstrip("\n")
    (tmp_path / "dvc.lock").write_text(text + end, encoding="utf-8")
    with ours(str(tmp_path / "dvc.lock")) as content:
        content["stages"]["audit-2"]["cmd"] = "false"  # in its place
        content["stages"]["report"] = deepcopy(STAGE)
        content["datasets"] = [{"name": "one"}]
        expected = deepcopy(content)
    assert load_yaml(str(tmp_path / "dvc.lock")) == expected


@pytest.fixture
def ours() -> Any:
    """What DVC calls in a process of this project."""
    assert tasks.tools.dvc.LOCK_FILE == "dvc.lock"
    return dvcfile.modify_yaml


def test_stage_is_written_as_dvc_does_and_others_are_left(ours: Any, tmp_path: Path) -> None:
    assert ours is not modify_yaml
    dump_yaml(str(tmp_path / "dvc.lock"), LOCK)
    before = (tmp_path / "dvc.lock").read_bytes()
    written = change(tmp_path, ours)
    (tmp_path / "dvc.lock").write_bytes(before)
    assert written == change(tmp_path, modify_yaml) != before


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_lock_that_a_person_or_another_version_has_written(text: str, ours: Any, tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text(text, encoding="utf-8")
    written = change(tmp_path, ours)
    (tmp_path / "dvc.lock").write_text(text, encoding="utf-8")
    assert written == change(tmp_path, modify_yaml)


def test_comments_of_other_files_are_kept(ours: Any, tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text("schema: '2.0'\nstages:\n  train:\n    cmd: x # why\n  a: {} # b\n", "utf-8")
    assert b"  a: {} # b\n" in change(tmp_path, ours, "dvc.yaml")
