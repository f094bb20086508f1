"""What a branch holds of a wave that it does not record, and how it is taken out.

Somebody's own commit has taken the files of a failed or killed wave with it. Read from HEAD they would be taken for the
wave's record, and the next wave for one that exists already.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from amun.ledger import Ledger
from tasks.tools import dvc
from tasks.tools.git import (
    commit_paths,
    find_tagged,
    list_changed,
    list_tracked,
    name_tag,
    remove_paths,
    restore_from,
    restore_paths,
    run_git,
)
from tasks.workspace.recorded import Record, find_record, find_record_of, sign
from tasks.workspace.upstream import delete_tag
from tasks.workspace.wave_paths import BASE_FACTS, list_restored_paths


@dataclass(frozen=True)
class Strays:
    """What only the pipeline may commit or tag, and has not.

    Attributes:
        record: the branch's last commit of the pipeline's own; None before the first.
        paths: files of waves that are others at HEAD than there.
        commits: those that have changed them, in short, newest first.
        tag: of the wave, on a commit that does not record it; None where there is none.
        is_thawed: whether HEAD has the base stages thawed, as a new base that came to nothing leaves them.
    """

    record: Record | None
    paths: list[str]
    commits: list[str]
    tag: str | None
    is_thawed: bool

    def __bool__(self) -> bool:
        return bool(self.paths or self.tag or self.is_thawed)

    def describe(self) -> str:
        """Returns what is wrong, in one line."""
        committed = f"commit {', '.join(self.commits)} has files of a wave that no commit records" if self.paths else ""
        tagged = f"the tag {self.tag} is on a commit that does not record its wave" if self.tag else ""
        thawed = "dvc.yaml has the base stages thawed, as a base that was never recorded needed them"
        return "; ".join(filter(None, (committed, tagged, thawed if self.is_thawed else "")))


def find_strays(root: Path, model: str, ledger: Ledger) -> Strays:
    """Returns what the branch holds of a wave that it does not record.

    Args:
        root: of the clone.
        model: its model.
        ledger: has the waves and their commits.
    """
    dvc.repair_files(root)
    waves = ledger.list_waves(model)
    named = {wave.commit for wave in waves if wave.commit is not None}
    record = find_record(root, named)
    # where it is not known which commits are records, nothing is removed; before the first wave there are none
    is_new = [wave.number for wave in waves if wave.state != "parked"] == [0] and not named
    paths: list[str] = []
    if record is not None:
        paths = list_changed(root, record.commit, list_restored_paths(root))
    elif is_new:
        paths = list_tracked(root, [path for path in list_restored_paths(root) if path not in BASE_FACTS])
    since = [] if record is None else [f"{record.commit}..HEAD"]
    commits = run_git(root, "log", "--format=%h", *since, "--", *paths).split() if paths else []
    tags = [_find_tag(root, wave.number, named) for wave in waves if wave.state != "complete"]
    is_thawed = record is not None and dvc.has_thawed_base(root)
    return Strays(record, paths, commits, next(filter(None, tags), None), is_thawed)


def remove_strays(root: Path, strays: Strays) -> None:
    """Brings HEAD's wave files and their data to the last record, freezes the base stages, and takes the tag off.

    Each by a commit of its own: the branch moves forward only. What the work tree holds of files that are brought back
    is given up.
    """
    paths = list_restored_paths(root)
    if strays.paths:
        restore_paths(root, paths)
    if strays.paths and strays.record is None:
        remove_paths(root, strays.paths)
        commit_paths(root, strays.paths, "The files of a wave that no commit records are out")
    elif strays.paths and strays.record is not None:
        commit, number = strays.record.commit, strays.record.number
        restore_from(root, commit, paths)
        message = f"The files of wave {number} are back as commit {commit[:12]} has them"
        commit_paths(root, paths, sign(root, message, number, restored=True))
        dvc.fetch(root)
    if strays.is_thawed:
        _refreeze_base(root)
    if strays.tag:
        delete_tag(root, strays.tag)


def _refreeze_base(root: Path) -> None:
    """Freezes the base stages at HEAD by a commit; what else the work tree has of `dvc.yaml` stays as it is there."""
    path = root / "dvc.yaml"
    changed = path.read_bytes()
    restore_paths(root, ["dvc.yaml"])
    is_changed = path.read_bytes() != changed
    dvc.refreeze_base(root)
    commit_paths(root, ["dvc.yaml"], "The base stages are frozen again")
    if is_changed:
        path.write_bytes(changed)
        dvc.refreeze_base(root)


def _find_tag(root: Path, number: int, named: Collection[str]) -> str | None:
    tag = name_tag(number)
    tagged = find_tagged(root, tag)
    return tag if tagged is not None and tagged != find_record_of(root, number, named) else None
