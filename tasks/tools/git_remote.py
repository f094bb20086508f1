"""Git commands that talk to a remote: they ask nobody anything, and do not wait for ever."""

import os
import signal
import subprocess
from pathlib import Path

from amun.core.errors import AmunError
from tasks.tools.git import IDENTITY, OPTIONS, pick_line, run_git

# no question may stop a night: a remote that asks for a password refuses instead
_UNASKING = {
    "GIT_ASKPASS": "",
    "SSH_ASKPASS": "",
    "SSH_ASKPASS_REQUIRE": "never",
    "GCM_INTERACTIVE": "never",
}
REMOTE_SECONDS = 300.0


def run_remote_git(root: Path, *arguments: str) -> str:
    """Returns what a git command that talks to a remote prints, less its last newline.

    It has no terminal to ask on, and is stopped when the remote keeps silent.

    Raises:
        AmunError: git failed, or took too long; the line holds its own first one.
    """
    with subprocess.Popen(
        ["git", *OPTIONS, *arguments],
        cwd=root,
        env=os.environ | IDENTITY | _UNASKING | _choose_ssh(root),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="surrogateescape",
        # its helpers too are to be stopped, and to have no terminal
        start_new_session=True,
    ) as process:
        try:
            printed, said = process.communicate(timeout=REMOTE_SECONDS)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise AmunError(f"git {arguments[0]}: no end after {REMOTE_SECONDS:.0f} seconds") from None
            raise
    if process.returncode:
        raise AmunError(f"git {arguments[0]}: {pick_line(printed, said)}")
    return printed.rstrip("\n")


def _choose_ssh(root: Path) -> dict[str, str]:
    """Returns the variable that makes OpenSSH refuse where it would ask, unless somebody has chosen another ssh."""
    configured = run_git(root, "config", "--default", "", "--get", "core.sshCommand")
    is_chosen = configured or {"GIT_SSH", "GIT_SSH_COMMAND"} & set(os.environ)
    return {} if is_chosen else {"GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=30"}
