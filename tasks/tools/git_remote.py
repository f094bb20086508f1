"""Git commands that talk to a remote: they ask nobody anything, and do not wait for ever."""

import os
import signal
import subprocess
from pathlib import Path

from amun.core.errors import AmunError
from amun.core.network import read_timeout, read_whole_timeout
from tasks.tools.git import IDENTITY, OPTIONS, UNASKING, bound_silence, pick_line, run_git

TRANSFER_SECONDS = 300.0
QUESTIONS = ("ls-remote",)  # which move no data


def run_remote_git(root: Path, *arguments: str) -> str:
    """Returns what a git command that talks to a remote prints, less its last newline.

    It has no terminal to ask on, and is stopped when the remote keeps silent: a question after the environment's
    timeout, a transfer that still moves after five minutes.

    Raises:
        AmunError: git failed, or took too long; the line holds its own first one.
    """
    timeout = read_whole_timeout()
    seconds = read_timeout() if arguments[0] in QUESTIONS else TRANSFER_SECONDS
    with subprocess.Popen(
        ["git", *OPTIONS, *bound_silence(), *arguments],
        cwd=root,
        env=os.environ | IDENTITY | UNASKING | _choose_ssh(root, timeout),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="surrogateescape",
        # its helpers too are to be stopped, and to have no terminal
        start_new_session=True,
    ) as process:
        try:
            printed, said = process.communicate(timeout=seconds)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise AmunError(f"git {arguments[0]}: no end after {seconds:g} seconds") from None
            raise
    if process.returncode:
        raise AmunError(f"git {arguments[0]}: {pick_line(printed, said)}")
    return printed.rstrip("\n")


def _choose_ssh(root: Path, timeout: int) -> dict[str, str]:
    """Returns the variable that makes OpenSSH refuse where it would ask, unless somebody has chosen another ssh."""
    configured = run_git(root, "config", "--default", "", "--get", "core.sshCommand")
    is_chosen = configured or {"GIT_SSH", "GIT_SSH_COMMAND"} & set(os.environ)
    options = f"-o BatchMode=yes -o ConnectTimeout={timeout} -o ServerAliveInterval={timeout} -o ServerAliveCountMax=1"
    return {} if is_chosen else {"GIT_SSH_COMMAND": f"ssh {options}"}
