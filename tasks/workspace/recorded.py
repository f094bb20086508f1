"""Which commits of the branch are the pipeline's own: those that record a wave, or bring back what one has recorded.

A wave that fails or is killed leaves files changed, and whoever then types `git commit --all` commits them with their
own. Such a commit records nothing. The pipeline's own commits have trailers: the wave, and the git object of the
`dvc.lock` beside it. An amended commit does not count. Earlier releases wrote no trailers: there the pipeline's name or
the wave's tag tells, where that `dvc.lock` was computed from the very `wave.json` beside it.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from amun.core.errors import AmunError
from amun.core.paths import WAVE
from tasks.tools import dvc
from tasks.tools.git import EMAIL, find_tagged, has_tag, name_tag, read_committed, run_git
from tasks.workspace.wave_paths import list_restored_paths

WAVE_TRAILER, RESTORED_TRAILER, LOCK_TRAILER = TRAILERS = ("Amun-Wave", "Amun-Restored", "Amun-Lock")

_FORMAT = "%x09".join(["%H", "%ae", "%ce", *(f"%(trailers:key={key},valueonly,separator=%x2C)" for key in TRAILERS)])


@dataclass(frozen=True)
class Record:
    """A commit in which the pipeline has written the files of a wave.

    Attributes:
        commit: its hash.
        number: the wave whose files it holds.
        is_wave: whether it records that wave; otherwise it brings back what an earlier one has recorded.
    """

    commit: str
    number: int
    is_wave: bool


def read_recorded(root: Path, path: Path) -> str:
    """Returns what HEAD has of a file that every recorded wave has.

    Raises:
        AmunError: no wave is recorded in HEAD.
    """
    text = read_committed(root, path)
    if text is None:
        raise AmunError(f"{path} is not in HEAD of {root}; is another branch checked out than the waves' own?")
    return text


def sign(root: Path, message: str, number: int, *, restored: bool = False) -> str:
    """Returns the message of a commit of the pipeline's own, with its trailers.

    Args:
        root: whose `dvc.lock` is committed with it.
        message: its first line.
        number: the wave whose files it holds.
        restored: whether it brings back what another commit has recorded.
    """
    trailer = RESTORED_TRAILER if restored else WAVE_TRAILER
    return f"{message}\n\n{trailer}: {number}\n{LOCK_TRAILER}: {run_git(root, 'hash-object', '--', dvc.LOCK_FILE)}"


def find_record(root: Path, named: Collection[str] = ()) -> Record | None:
    """Returns the branch's last commit in which the pipeline has written a wave's files; None before the first.

    Args:
        root: of the clone.
        named: commits that the ledger has of waves, which need no other proof.
    """
    return next(_walk_records(root, named), None)


def find_record_of(root: Path, number: int, named: Collection[str] = ()) -> str | None:
    """Returns the commit that records a wave, if that is the last wave which the branch records."""
    last = next((record for record in _walk_records(root, named) if record.is_wave), None)
    return last.commit if last is not None and last.number == number else None


def list_recorded(root: Path, revision: str) -> dict[int, str]:
    """Returns the commit of each wave that a revision's history records, by number, as git alone tells."""
    records = [record for record in _walk_records(root, (), revision, [str(WAVE)]) if record.is_wave]
    # the last commit of a number is the wave's
    return {record.number: record.commit for record in reversed(records)}


def find_untagged(root: Path, revision: str, recorded: Collection[int]) -> tuple[int, str] | None:
    """Returns a wave of an earlier release that a tag alone would tell, and its commit, where the tag is not there.

    Args:
        root: of the clone.
        revision: up to which.
        recorded: the waves that are told. After the last of them such a commit may be somebody's, of a killed wave.
    """
    last = max(recorded, default=None)
    for commit, author, committer, wave, restored, lock in _list_commits(root, revision, [str(WAVE)]):
        is_own = lock and (wave or restored).isdigit()
        if is_own or author == committer == EMAIL or read_committed(root, WAVE, commit) is None:
            continue
        number = _read_number(root, commit)
        is_before = number not in recorded and (last is None or number < last)
        if is_before and not has_tag(root, name_tag(number)) and _fits(root, commit):
            return number, commit
    return None


def _list_commits(root: Path, revision: str, paths: Sequence[str]) -> Iterator[list[str]]:
    """Yields the commits that change these files: hash, author, committer, and the value of each trailer."""
    for line in run_git(root, "log", f"--format={_FORMAT}", revision, "--", *paths).splitlines():
        yield line.split("\t")


def _walk_records(
    root: Path, named: Collection[str], revision: str = "HEAD", paths: Sequence[str] = ()
) -> Iterator[Record]:
    """Yields the pipeline's own commits that change these files, or any of a wave's, up to a revision, newest first."""
    paths = paths or list_restored_paths(root)
    for commit, author, committer, wave, restored, lock in _list_commits(root, revision, paths):
        if lock and (number := wave or restored).isdigit():
            if run_git(root, "rev-parse", f"{commit}:{dvc.LOCK_FILE}") == lock:
                yield Record(commit, int(number), bool(wave))
        elif commit in named or (_is_by_name(root, commit, author, committer) and _fits(root, commit)):
            yield Record(commit, _read_number(root, commit), is_wave=True)


def _is_by_name(root: Path, commit: str, author: str, committer: str) -> bool:
    """Tells whether a commit of an earlier release bears the pipeline's name, or the tag of its wave."""
    if author == committer == EMAIL:
        return read_committed(root, WAVE, commit) is not None
    return read_committed(root, WAVE, commit) is not None and commit == find_tagged(
        root, name_tag(_read_number(root, commit))
    )


def _read_number(root: Path, commit: str) -> int:
    return int(json.loads(str(read_committed(root, WAVE, commit)))["number"])


def _fits(root: Path, commit: str) -> bool:
    """Tells whether every stage that a commit's `dvc.lock` names was computed from the `wave.json` beside it."""
    digests = {
        dependency["md5"]
        for stage in dvc.read_lock_at(root, commit).values()
        for dependency in stage.get("deps", [])
        if dependency["path"] == str(WAVE)
    }
    # git's helper has taken the last newline off
    content = f"{read_committed(root, WAVE, commit)}\n".encode()
    return digests == {hashlib.md5(content, usedforsecurity=False).hexdigest()}
