"""Git, by its command: the wave's commit and tag, and questions about the work tree."""

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from amun.core.errors import AmunError, InputError
from amun.core.network import read_whole_timeout

EMAIL = "amun@localhost"

# The pipeline's commits are its own, whoever runs it; no hook, signature or editor may stop a night.
IDENTITY = {
    "GIT_AUTHOR_NAME": "amun",
    "GIT_AUTHOR_EMAIL": EMAIL,
    "GIT_COMMITTER_NAME": "amun",
    "GIT_COMMITTER_EMAIL": EMAIL,
    "GIT_TERMINAL_PROMPT": "0",
    # its lines are read below, and are in the user's language elsewhere
    "LC_ALL": "C",
}
OPTIONS = (
    "-c",
    "commit.gpgsign=false",
    "-c",
    "tag.gpgsign=false",
    "-c",
    "core.quotepath=false",
    "-c",
    "gc.auto=0",
    "-c",
    "core.hooksPath=/dev/null",
)

# no question may stop a night: a remote that asks for a password refuses instead
UNASKING = {
    "GIT_ASKPASS": "",
    "SSH_ASKPASS": "",
    "SSH_ASKPASS_REQUIRE": "never",
    "GCM_INTERACTIVE": "never",
}

STALE_LOCK_SECONDS = 600.0
MAX_LOOSE_KIB = 16 * 1024


def run_git(root: Path, *arguments: str, date: str | None = None) -> str:
    """Returns what a git command prints, less its last newline.

    Args:
        root: where it runs.
        arguments: the command and its own.
        date: the time that a new object bears; None is the present.

    Raises:
        AmunError: git failed; the line holds its own first one.
    """
    finished = _start(root, arguments, date)
    if finished.returncode:
        raise _describe_failure(root, arguments, finished)
    return finished.stdout.rstrip("\n")


def _ask(root: Path, *arguments: str) -> bool:
    """Returns what a git command answers by its exit code: 0 is yes, 1 is no.

    Raises:
        AmunError: it ended otherwise: git could not tell, which is neither.
    """
    finished = _start(root, arguments)
    if finished.returncode not in (0, 1):
        raise _describe_failure(root, arguments, finished)
    return finished.returncode == 0


def bound_silence() -> tuple[str, ...]:
    """Returns git's options by which a server that keeps silent over HTTP counts as gone."""
    # less than a byte a second is silence
    return "-c", "http.lowSpeedLimit=1", "-c", f"http.lowSpeedTime={read_whole_timeout()}"


def _start(root: Path, arguments: Sequence[str], date: str | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            # a clone made with a filter fetches what it lacks in the middle of any command
            ["git", *OPTIONS, *bound_silence(), *arguments],
            cwd=root,
            env=os.environ | IDENTITY | UNASKING | ({"GIT_COMMITTER_DATE": date} if date else {}),
            capture_output=True,
            # git's own; a name that is none stays what it is, byte by byte
            encoding="utf-8",
            errors="surrogateescape",
            check=False,
        )
    except OSError as error:
        # Python says the same of a program that is missing and of a folder that is
        missing = "git is not installed" if root.is_dir() else f"{root} is no folder"
        raise AmunError(f"git {arguments[0]} cannot be run: {missing} ({error.strerror})") from None


def _describe_failure(root: Path, arguments: Sequence[str], finished: subprocess.CompletedProcess[str]) -> AmunError:
    if "dubious ownership" in finished.stderr:
        return InputError(
            f"{root} belongs to {name_owner(root)}, and git opens a work tree for its owner alone: type this as that "
            f"user, or `git config --global --add safe.directory {quote(str(root))}` where you trust what is in it"
        )
    if finished.returncode < 0:
        reason = f"it was killed by signal {-finished.returncode}; run this again"
    else:
        reason = pick_line(finished.stdout, finished.stderr)
    return AmunError(f"git {arguments[0]} failed in {root}: {reason}")


def name_owner(path: Path) -> str:
    """Returns whose a file is: a user's name, or the number of one that has none here."""
    try:
        return path.owner()
    except KeyError:
        return f"user {path.stat().st_uid}"


def pick_line(printed: str, said: str) -> str:
    """Returns the line that says why git failed: of a push which branch or tag was refused."""
    lines = (said or printed).strip().splitlines() or ["no message"]
    refused = [line[2:].replace("\t", " ") for line in printed.splitlines() if line.startswith("!\t")]
    return (refused or [line for line in lines if line.startswith(("fatal:", "error:"))] or lines)[0]


def find_root(path: Path) -> Path:
    """Returns the root of the git work tree around `path`.

    Raises:
        InputError: there is none.
        AmunError: there is one, and git does not open it.
    """
    try:
        return Path(run_git(path, "rev-parse", "--show-toplevel"))
    except AmunError:
        folder = path.resolve()
        if folder.is_dir() and any((parent / ".git").exists() for parent in (folder, *folder.parents)):
            raise
        raise InputError(f"{path} is no git repository: run this in a clone of the project") from None


def name_tag(number: int) -> str:
    """Returns a wave's tag: `wave/0007`."""
    return f"wave/{number:04d}"


def has_tag(root: Path, tag: str) -> bool:
    """Tells whether the tag exists."""
    return bool(run_git(root, "tag", "--list", tag))


def find_tagged(root: Path, tag: str) -> str | None:
    """Returns the commit that a tag stands on; None where there is no such tag."""
    return run_git(root, "rev-list", "-n", "1", tag) if has_tag(root, tag) else None


def list_wave_tags(root: Path) -> list[str]:
    """Returns the tags of all waves, by number."""
    return run_git(root, "tag", "--list", "wave/*").split()


def require_branch(root: Path) -> str:
    """Returns the checked-out branch.

    Raises:
        InputError: HEAD is detached: a commit made there would be lost.
    """
    if branch := run_git(root, "branch", "--show-current"):
        return branch
    raise InputError(f"{root}: HEAD is detached; check out a branch (`git switch main`), waves are committed there")


def read_committed(root: Path, path: Path, revision: str = "HEAD") -> str | None:
    """Returns a file's content at a revision; None where that revision has no such file.

    Raises:
        AmunError: the revision is not in this clone, or git could not read it or the file.
    """
    try:
        listed = run_git(root, "ls-tree", "--full-tree", "-z", revision, "--", str(path))
        if not listed:
            return None
        _, _, blob = listed.partition("\t")[0].split()
        return run_git(root, "cat-file", "blob", blob)
    except AmunError as error:
        raise AmunError(f"{path} at {revision} cannot be read: {error}; `git fsck` says what is damaged") from None


def has_commit(root: Path, commit: str) -> bool:
    """Tells whether the commit is in this clone.

    Raises:
        AmunError: it is, damaged.
    """
    return _ask(root, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")


def list_commits(root: Path, start: str, end: str, paths: Sequence[str]) -> list[str]:
    """Returns the commits after `start` up to `end` that changed any of these paths, newest first, one line each."""
    return run_git(root, "log", "--format=%h %s", f"{start}..{end}", "--", *paths).splitlines()


def is_kept(root: Path, path: Path) -> bool:
    """Tells whether git would keep a file of this name: it lies in the work tree and is not ignored."""
    if not path.resolve().is_relative_to(root):
        return False
    return not _ask(root, "check-ignore", "--quiet", str(path.resolve()))


def list_changes(root: Path) -> list[str]:
    """Returns the paths that differ from HEAD or are untracked and not ignored."""
    return [path for _, path in _list_states(root)]


def _list_states(root: Path) -> list[tuple[str, str]]:
    """Returns git's two letters for each path that differs from HEAD or is untracked (`??`), and the path."""
    listed = run_git(root, "status", "--porcelain", "--no-renames", "--untracked-files=all", "-z")
    return [(entry[:2], entry[3:]) for entry in listed.split("\0") if entry]


def list_files(root: Path, path: str) -> list[str]:
    """Returns the files at or below a path that git has, or would take: those that are not ignored."""
    listed = run_git(root, "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", path)
    return [entry for entry in listed.split("\0") if entry]


def require_clean(root: Path, allowed: Sequence[str], watched: Sequence[str] = ()) -> None:
    """Refuses uncommitted changes: of files that git has, and new files that a wave would read.

    Args:
        root: of the clone.
        allowed: what the paths begin with that a wave itself writes.
        watched: files and folders that a wave reads; a new file elsewhere is nobody's business.

    Raises:
        InputError: names the changed paths.
    """
    foreign = [
        path
        for state, path in _list_states(root)
        if not path.startswith(tuple(allowed)) and (state != "??" or _is_at_or_below(path, watched))
    ]
    if foreign:
        shown = ", ".join(foreign[:5]) + (f" and {len(foreign) - 5} more" if len(foreign) > 5 else "")
        raise InputError(f"{root}: uncommitted changes in {shown}; commit or restore them first")


def _is_at_or_below(path: str, places: Sequence[str]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in places)


def commit_paths(root: Path, paths: Sequence[str], message: str) -> str:
    """Commits exactly these paths, deleted ones too, on the checked-out branch; returns the commit.

    None is made without a change.
    """
    require_branch(root)
    _remove_stale_lock(root)
    tracked = run_git(root, "ls-files", "--", *paths).splitlines()
    present = [path for path in paths if path in tracked or (root / path).exists()]
    run_git(root, "add", "--", *present)
    # what a killed run has deleted may be out of the index already
    deleted = [path for path in paths if path not in present and _is_committed(root, path)]
    if deleted:
        run_git(root, "rm", "--quiet", "--cached", "--ignore-unmatch", "--", *deleted)
    changed = [*present, *deleted]
    if run_git(root, "status", "--porcelain", "--untracked-files=no", "--", *changed):
        run_git(root, "commit", "--quiet", "--no-verify", "--message", message, "--", *changed)
    return run_git(root, "rev-parse", "HEAD")


def _is_committed(root: Path, path: str) -> bool:
    return bool(run_git(root, "ls-tree", "-r", "--name-only", "HEAD", "--", path))


def _remove_stale_lock(root: Path) -> None:
    """Removes the index lock that a power cut left; a git at work holds it for seconds."""
    lock = root / run_git(root, "rev-parse", "--git-path", "index.lock")
    if lock.exists() and time.time() - lock.stat().st_mtime > STALE_LOCK_SECONDS:
        lock.unlink()


def is_ancestor(root: Path, commit: str) -> bool:
    """Tells whether a commit is in the history of HEAD; one that is not in this clone is not.

    Raises:
        AmunError: that history cannot be read.
    """
    return has_commit(root, commit) and _ask(root, "merge-base", "--is-ancestor", commit, "HEAD")


def list_own_commits(root: Path, upstream: str) -> list[tuple[str, str, list[str]]]:
    """Returns the commits that HEAD has and `upstream` has not: each with its author's address and changed paths."""
    log = run_git(root, "log", "--format=%x00%H%n%ae", "--name-only", "--no-renames", f"{upstream}..HEAD")
    entries = [entry.split("\n") for entry in log.split("\0")[1:]]
    return [(commit, author, [path for path in paths if path]) for commit, author, *paths in entries]


def list_changed(root: Path, commit: str, paths: Sequence[str]) -> list[str]:
    """Returns which files at or below these paths are others at HEAD than at a commit."""
    return run_git(root, "diff", "--name-only", "--no-renames", commit, "HEAD", "--", *paths).splitlines()


def list_tracked(root: Path, paths: Sequence[str]) -> list[str]:
    """Returns the files at or below these paths that HEAD has."""
    return _list_files(root, "HEAD", paths)


def tag_commit(root: Path, tag: str, commit: str, message: str) -> None:
    """Sets an annotated tag, unless it already stands on this commit.

    It bears the commit's time: two clones that tag one commit make the same tag.

    Raises:
        AmunError: it stands on another commit.
    """
    if (tagged := find_tagged(root, tag)) is None:
        date = run_git(root, "show", "--no-patch", "--format=%cI", commit)
        run_git(root, "tag", "--annotate", "--message", message, tag, commit, date=date)
    elif tagged != commit:
        raise AmunError(f"{root}: tag {tag} is on {tagged[:12]}, not on this wave's commit {commit[:12]}")


def pack_objects(root: Path) -> bool:
    """Packs the objects of a repository once those that lie loose take more than 16 MiB; returns whether it did.

    Each wave's files repeat who was forgotten before. As differences, in a pack, that takes next to nothing; loose,
    years of nights take hundreds of times as much, and by git's own rule, which counts objects, they would stay so.

    Raises:
        AmunError: git failed, or another process is packing.
    """
    counted = dict(line.split(": ") for line in run_git(root, "count-objects", "--verbose").splitlines())
    if int(counted["size"]) <= MAX_LOOSE_KIB:
        return False
    run_git(root, "gc", "--quiet")
    return True


def restore_paths(root: Path, paths: Sequence[str]) -> None:
    """Brings these paths back to HEAD: changes undone, untracked files removed."""
    # a killed run may have staged a file that HEAD does not have
    run_git(root, "reset", "--quiet", "--", *paths)
    committed = [path for path in paths if _is_committed(root, path)]
    if committed:
        run_git(root, "checkout", "--quiet", "HEAD", "--", *committed)
    run_git(root, "clean", "--quiet", "--force", "-d", "--", *paths)


def restore_from(root: Path, commit: str, paths: Sequence[str]) -> None:
    """Brings these paths in the work tree to what a commit has: files that it lacks are removed."""
    known = {path for revision in (commit, "HEAD") for path in _list_files(root, revision, paths)}
    run_git(root, "restore", f"--source={commit}", "--worktree", "--", *sorted(known))


def remove_paths(root: Path, paths: Sequence[str]) -> None:
    """Removes files from the work tree and from what the next commit takes."""
    run_git(root, "rm", "--quiet", "--force", "--ignore-unmatch", "--", *paths)


def _list_files(root: Path, revision: str, paths: Sequence[str]) -> list[str]:
    return run_git(root, "ls-tree", "-r", "--name-only", revision, "--", *paths).splitlines()
