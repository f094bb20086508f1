"""A clock that many processes share, and that goes to any moment at once: they are started with `clock.c`."""

import os
import shutil
import struct
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

SOURCE = Path(__file__).with_name("clock.c")
NANOSECONDS = 10**9


class Clock:
    """The time of whoever is started with its variables; this process keeps the machine's.

    Attributes:
        variables: with which a process has this clock, and all that it starts.
    """

    def __init__(self, folder: Path):
        """Compiles the clock into a folder; until it is set it tells the machine's time.

        Raises:
            SystemExit: there is no compiler.
        """
        compiler = shutil.which("cc")
        if compiler is None:
            raise SystemExit("month: the clock takes a C compiler: apt-get install gcc libc6-dev")
        library, self._path = folder / "clock.so", folder / "clock"
        subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, SOURCE, "-ldl"], check=True)
        self._write(timedelta())
        self.variables = {"LD_PRELOAD": str(library), "MONTH_CLOCK": str(self._path)}

    @property
    def now(self) -> datetime:
        """The time that it tells."""
        return datetime.now(UTC) + self._ahead

    def set(self, moment: datetime) -> None:
        """Goes to a moment, forward or back; time goes on from there."""
        self._write(moment - datetime.now(UTC))

    def jump(self, by: timedelta) -> None:
        """Goes so much forward, or back."""
        self._write(self._ahead + by)

    def _write(self, ahead: timedelta) -> None:
        self._ahead = ahead
        seconds = ahead.days * 86_400 + ahead.seconds
        # in place, for processes have the file mapped; eight bytes that are aligned are written at once
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.write(file, struct.pack("=q", seconds * NANOSECONDS + ahead.microseconds * 1000))
        finally:
            os.close(file)
