"""The git remote of the waves' branch and tags, where there is one: fetched before a wave, pushed to after it.

It only ever moves forward. `workspace.json` says that there is one, so that a new clone knows. The clone's own git
configuration may say which of its remotes it is.
"""

import json
from pathlib import Path

from amun.core.commands import tell_command
from amun.core.errors import AmunError, InputError
from amun.core.paths import RECEIPT_CHAIN, WAVE, WORKSPACE
from amun.evidence.wave import write_json
from tasks.tools import dvc
from tasks.tools.git import (
    EMAIL,
    commit_paths,
    list_own_commits,
    read_committed,
    require_branch,
    restore_paths,
    run_git,
)
from tasks.tools.git_remote import run_remote_git
from tasks.workspace.recorded import find_record
from tasks.workspace.wave_paths import list_wave_paths
from tasks.workspace.workspace import Workspace, open_ledger

_KEY = "amun.remote"
_TAGS = "refs/tags/wave/*"


def find_git_remote(root: Path) -> str | None:
    """Returns the git remote that this clone pushes its waves to, if any.

    The clone's own configuration names it; else the workspace does; else it is the only remote of the clone.

    Raises:
        InputError: the workspace's waves are pushed, and it is not known where to.
    """
    if told := run_git(root, "config", "--default", "", "--get", _KEY):
        return told
    committed = read_committed(root, WORKSPACE)
    if committed is None:
        return None
    known, named = run_git(root, "remote").split(), str(json.loads(committed)["git_remote"])
    if named not in known and len(known) != 1:
        raise InputError(f"{root}: the workspace's waves are pushed; `git config {_KEY} NAME` says to which remote")
    return named if named in known else known[0]


def require_git_remote(root: Path, name: str, *, is_new: bool = False) -> None:
    """Refuses a git remote that does not answer or does not take this branch as it is.

    Args:
        root: of the clone.
        name: of the remote.
        is_new: it is to take the waves of a new workspace: one that has waves already is refused.

    Raises:
        InputError: what it said.
    """
    known = run_git(root, "remote").split()
    if name not in known:
        raise InputError(
            f"--git-remote {name}: this clone has {', '.join(known) or 'no remote'}; `git remote add` adds one"
        )
    branch = require_branch(root)
    try:
        if is_new:
            _require_no_waves(root, name)
        run_remote_git(root, "push", "--dry-run", "--porcelain", name, f"HEAD:refs/heads/{branch}")
    except InputError:
        raise
    except AmunError as error:
        raise InputError(f"--git-remote {name}: it does not take the branch {branch}: {error}") from None


def _require_no_waves(root: Path, name: str) -> None:
    """Refuses a git remote that has waves already: those of a new workspace would be tagged alike.

    Raises:
        InputError: it has.
    """
    if found := run_remote_git(root, "ls-remote", name, _TAGS).split():
        raise InputError(
            f"the git remote {name} has waves already (tag {found[1].removeprefix('refs/tags/')}); to join their "
            "workspace check out its branch; a new workspace needs another repository"
        )


def set_git_remote(root: Path, name: str) -> None:
    """Makes this clone push its waves to a remote, and commits that they are pushed."""
    run_git(root, "config", _KEY, name)
    write_json(root / WORKSPACE, {"git_remote": name})
    commit_paths(root, [str(WORKSPACE)], f"The waves go to {name}")


def push_all(root: Path, name: str) -> None:
    """Sends the branch with the tags of all its waves."""
    _push(root, name, f"{_TAGS}:{_TAGS}")


def join_git_remote(root: Path, name: str | None) -> None:
    """Makes a clone that joins push to this remote; None: to where the workspace's waves are pushed, if they are.

    Raises:
        InputError: it is not known which one, or it does not answer.
    """
    if (meant := name or find_git_remote(root)) is not None:
        require_git_remote(root, meant)
        run_git(root, "config", _KEY, meant)
        _fetch_tags(root, meant)


def push(root: Path, tag: str | None = None) -> bool:
    """Sends the branch, and a wave's tag, to the git remote; returns whether there is one.

    Raises:
        AmunError: it does not take them.
    """
    name = find_git_remote(root)
    if name is None:
        return False
    _push(root, name, *([f"refs/tags/{tag}"] if tag else []))
    return True


def _push(root: Path, name: str, *refs: str) -> None:
    branch = require_branch(root)
    try:
        run_remote_git(root, "push", "--atomic", "--porcelain", name, f"HEAD:refs/heads/{branch}", *refs)
    except AmunError as error:
        raise AmunError(
            f"the git remote {name} did not take {branch}: {error}; once it does, run the command again"
        ) from None


def follow(workspace: Workspace, paths: list[str]) -> None:
    """Fast-forwards the branch to the git remote's, and checks out its data.

    This clone may hold commits of the pipeline that the remote does not have. Where they would stop the fast-forward,
    they are dropped: another clone has recorded their wave on the remote, or the wave is made anew.

    Args:
        workspace: the workspace.
        paths: what a killed run may have left changed; given up where the branch moves.

    Raises:
        InputError: the branches have diverged by somebody's own commits.
        AmunError: the remote does not answer, or there are changes in the way.
    """
    root = workspace.root
    name = find_git_remote(root)
    if name is None:
        return
    branch = require_branch(root)
    dvc.repair_files(root)
    if not run_remote_git(root, "ls-remote", name, f"refs/heads/{branch}"):
        return
    upstream = f"refs/remotes/{name}/{branch}"
    run_remote_git(root, "fetch", "--quiet", "--no-tags", name, f"+refs/heads/{branch}:{upstream}")
    own = list_own_commits(root, upstream)
    is_behind = bool(run_git(root, "rev-list", "--max-count=1", f"HEAD..{upstream}"))
    if is_behind or (own and _is_given_up(workspace)):
        _require_droppable(workspace, f"{name}/{branch}", own)
        # the chain of receipts is written anew from the ledger
        restore_paths(root, [*paths, str(RECEIPT_CHAIN)])
        _drop_tags(root, [commit for commit, _, _ in own])
        run_git(root, "reset", "--quiet", "--keep", upstream)
    _fetch_tags(root, name)
    if read_committed(root, WAVE) is not None:
        dvc.fetch(root)


def delete_tag(root: Path, tag: str) -> None:
    """Deletes a wave's tag, in this clone and on the git remote, if there is one.

    Raises:
        AmunError: the remote does not answer or refuses.
    """
    name = find_git_remote(root)
    if name is not None and run_remote_git(root, "ls-remote", name, f"refs/tags/{tag}"):
        run_remote_git(root, "push", "--quiet", name, f":refs/tags/{tag}")
    run_git(root, "tag", "--delete", tag)


def _fetch_tags(root: Path, name: str) -> None:
    """Brings the tags of all waves, whatever the clone fetches by itself."""
    run_remote_git(root, "fetch", "--quiet", "--no-tags", name, f"{_TAGS}:{_TAGS}")


def _is_given_up(workspace: Workspace) -> bool:
    """Tells whether the branch records a wave that another clone has parked since."""
    record = find_record(workspace.root)
    if record is None:
        return False
    with open_ledger() as ledger:
        waves = ledger.list_waves(workspace.model)
    return any(wave.number == record.number and wave.state == "parked" for wave in waves)


def _require_droppable(workspace: Workspace, upstream: str, own: list[tuple[str, str, list[str]]]) -> None:
    """Refuses to give up what is not the pipeline's, or what the ledger names.

    Raises:
        InputError: the first such commit, and what to do.
    """
    with open_ledger() as ledger:
        named = {wave.commit for wave in ledger.list_waves(workspace.model)}
    written = {*list_wave_paths(workspace.root, "base"), str(RECEIPT_CHAIN)}
    for commit, author, paths in own:
        if author != EMAIL or commit in named or not set(paths) <= written:
            raise InputError(
                f"{workspace.root}: the branch and {upstream} have diverged: commit {commit[:12]} is here alone; "
                f"put it on top ({tell_command('git', 'rebase', upstream)}) or on another branch, then run this again"
            )


def _drop_tags(root: Path, commits: list[str]) -> None:
    for commit in commits:
        for tag in run_git(root, "tag", "--points-at", commit, "--list", "wave/*").split():
            run_git(root, "tag", "--delete", tag)
