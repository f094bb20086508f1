"""What a clone's history records of the waves, and what it lacks: tags are not always fetched, nor all commits.

What is committed tells whether a clone belongs to a workspace, and which commit records a wave. A tag is only a name.
"""

import json
import sys
from pathlib import Path

from amun.core.errors import AmunError, InputError
from amun.core.paths import FORGOTTEN, PREPARE_METRICS, WAVE
from amun.evidence.figures import NamedBy, PrepareFigures
from amun.evidence.wave import ForgottenWave, parse_forgotten, parse_record
from tasks.tools.git import find_tagged, has_commit, is_ancestor, name_tag, read_committed, run_git
from tasks.workspace.workspace import Workspace, open_ledger


def find_recorded_wave(root: Path, revision: str = "HEAD") -> int | None:
    """Returns the number of the wave that a revision records; None before wave 0."""
    committed = read_committed(root, WAVE, revision)
    return None if committed is None else int(json.loads(committed)["number"])


def find_wave_before(root: Path, commit: str) -> int | None:
    """Returns the number of the wave that was recorded before the one of this commit; None before wave 0.

    A commit of somebody's own that has taken the wave's files with it, while it ran, counts for nothing.
    """
    number = own = find_recorded_wave(root, commit)
    while number == own:
        # two at a time: a line of many waves is walked wave by wave
        changed = run_git(root, "log", "-2", "--first-parent", "--format=%H", commit, "--", str(WAVE)).split()
        if len(changed) < 2:
            return None
        commit = changed[1]
        number = find_recorded_wave(root, commit)
    return number


def require_history(root: Path) -> None:
    """Refuses a shallow clone that lacks commits of the waves: it would take its oldest commit for one of them.

    Raises:
        InputError: what to fetch.
    """
    if is_cut(root):
        raise InputError(
            f"{root} is a shallow clone and lacks commits of earlier waves; `git fetch --unshallow --tags` brings them"
        )


def require_commit(root: Path, commit: str, what: str) -> None:
    """Refuses to go on without a commit.

    Raises:
        InputError: it is not in this clone; the line begins with `what` it records.
    """
    if not has_commit(root, commit):
        raise InputError(f"{what}: its commit {commit[:12]} is not in {root}; {tell_how_to_fetch(root)} brings it")


def tell_how_to_fetch(root: Path) -> str:
    """Returns the command that brings the commits which other clones have recorded."""
    return "`git fetch --unshallow --tags`" if is_cut(root) else "`git pull`"


def read_forgotten_at(root: Path, commit: str) -> list[ForgottenWave] | None:
    """Returns whom the line of a wave's commit has forgotten, oldest wave first; None where it is not in this clone.

    Raises:
        AmunError: the commit cannot be read, or does not say it.
    """
    if not has_commit(root, commit):
        return None
    committed = read_committed(root, FORGOTTEN, commit)
    if committed is None:
        raise AmunError(f"{root}: {FORGOTTEN} is not in commit {commit[:12]}, which is said to record a wave")
    return parse_forgotten(committed, f"{FORGOTTEN} at {commit[:12]}")


def find_naming_at(root: Path, commit: str) -> NamedBy | None:
    """Returns whose key has named the samples of a wave's base; None where its commit is not in this clone.

    Raises:
        AmunError: the commit cannot be read.
    """
    text = read_committed(root, PREPARE_METRICS, commit) if has_commit(root, commit) else None
    where = f"{PREPARE_METRICS} at {commit[:12]}"
    return None if text is None else parse_record(PrepareFigures, text, where).samples_named_by


def find_wave_commit(workspace: Workspace, number: int) -> str:
    """Returns the commit that records a wave: the ledger's, or its tag's where the ledger does not say.

    A tag is only a name: it may have been moved, or be another workspace's.

    Raises:
        InputError: neither is here.
        AmunError: the ledger does not answer, and there is no tag.
    """
    root, tag = workspace.root, name_tag(number)
    commit: str | None = None
    silence: AmunError | None = None
    try:
        with open_ledger() as ledger:
            commit = ledger.get_wave(workspace.model, number).commit
    except InputError:  # a joined clone whose ledger is elsewhere, or one that never had such a wave
        pass
    except AmunError as error:
        silence = error
    if commit is None and (tagged := find_tagged(root, tag)) is not None:
        if silence is not None:
            print(f"amun: {silence}; wave {number} is taken from the tag {tag}", file=sys.stderr, flush=True)
        return tagged
    if silence is not None:
        raise silence
    if commit is None:
        require_history(root)
        raise InputError(
            f"wave {number} has no tag {tag} in {root}, and the ledger has no commit of it; `git fetch --tags` brings "
            "the tags of recorded waves, `amun wave list` shows the waves"
        )
    require_commit(root, commit, f"wave {number}")
    return commit


def is_cut(root: Path) -> bool:
    """Tells whether the oldest commit that this clone has of the branch is one that already records a wave."""
    shallow = root / run_git(root, "rev-parse", "--git-path", "shallow")
    if not shallow.exists():
        return False
    oldest = shallow.read_text(encoding="ascii").split()
    return any(is_ancestor(root, commit) and find_recorded_wave(root, commit) is not None for commit in oldest)
