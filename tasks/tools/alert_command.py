"""Tells a message to a program of the user's, which gets it as JSON on its standard input."""

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from amun.core.errors import AmunError, InputError
from tasks.tools.message import Message, read_bound

# it gets what it needs on its input; where keys and servers are is none of its business
_OURS = ("AMUN_", "AWS_", "MLFLOW_", "PG", "PREFECT_")


@dataclass(frozen=True)
class CommandChannel:
    """A program and its arguments, started without a shell."""

    words: Sequence[str]
    name: str = "command"

    def describe(self) -> str:
        """Returns which program it is."""
        return f"{self.name} {self.words[0]}"

    def check(self) -> None:
        """Refuses a program that is not there; nothing is started.

        Raises:
            InputError: there is none.
        """
        if shutil.which(self.words[0]) is None:
            raise InputError(
                f"params.yaml: alerts.command: there is no program {self.words[0]} here, or it may not be started; "
                "write its whole path"
            )

    def send(self, message: Message) -> str:
        """Starts the program, gives it the message, and returns how it ended.

        Raises:
            AmunError: it cannot be started, ends with another code than 0, or not in time: then it is killed, with
                all that it has started.
        """
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        try:
            program = subprocess.Popen(
                list(self.words),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise AmunError(f"{self.words[0]} cannot be started: {error.strerror}") from None
        try:
            program.communicate(message.to_json() + b"\n", timeout=read_bound())
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()
            raise AmunError(f"{self.words[0]} had not ended after {read_bound():g} s, and was killed") from None
        if program.returncode:
            raise AmunError(f"{self.words[0]} ended with exit code {program.returncode}")
        return f"{self.words[0]} ended with exit code 0"
