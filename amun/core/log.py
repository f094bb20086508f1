"""What a service tells, as lines of JSON where `AMUN_LOG=json` asks for them; as plain lines otherwise.

Everything that this process writes on its two outputs becomes such lines, the warning of a library and a traceback too:
a program that reads the log meets nothing else there. What a line is about stands in the environment, so that programs
that are started for it tell it as well.
"""

import io
import json
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Literal, TextIO

from amun.core.errors import InputError
from amun.core.masking import format_masked, mask_passwords

LOG_VARIABLE = "AMUN_LOG"
ABOUT_VARIABLE = "AMUN_LOG_ABOUT"

Level = Literal["info", "warning", "error"]


def is_json() -> bool:
    """Tells whether the environment asks for JSON.

    Raises:
        InputError: it asks for a form that there is not.
    """
    form = os.environ.get(LOG_VARIABLE) or "text"
    if form not in ("text", "json"):
        raise InputError(f"{LOG_VARIABLE}: {form[:40]!r} is no form of a log; write text or json")
    return form == "json"


def begin_log(*, has_output: bool = True) -> None:
    """Makes this process' outputs lines of JSON from now on, where the environment asks for it; twice is once.

    Args:
        has_output: false where the standard output has a form of its own, and only errors are told as lines.
    """
    if not is_json():
        return
    if has_output and not isinstance(sys.stdout, JsonLines):
        sys.stdout = JsonLines(sys.stdout)
    if not isinstance(sys.stderr, JsonLines):
        sys.stderr = JsonLines(sys.stderr)
        sys.excepthook = lambda _kind, error, _trace: _tell_error(error)
        threading.excepthook = lambda told: _tell_error(told.exc_value)
        warnings.showwarning = _tell_warning
        # where somebody has said what becomes of what libraries log, as Prefect has, it stays so
        if not logging.getLogger().handlers:
            logging.getLogger().addHandler(_LibraryHandler(logging.WARNING))


def has_begun() -> bool:
    """Tells whether what this process tells is read by programs."""
    return isinstance(sys.stderr, JsonLines)


@contextmanager
def tell_about(**ids: str | int) -> Iterator[None]:
    """Has every line say what it is about, for as long as the block runs; also those of programs that it starts."""
    before = os.environ.get(ABOUT_VARIABLE)
    os.environ[ABOUT_VARIABLE] = json.dumps(_read_about() | ids)
    try:
        yield
    finally:
        if before is None:
            del os.environ[ABOUT_VARIABLE]
        else:
            os.environ[ABOUT_VARIABLE] = before


def tell_event(message: str, **ids: str | int) -> None:
    """Tells something that only a program asks for, as of each request of a wave; a plain log goes without it."""
    if has_begun():
        print(format_event("info", message, **ids), file=sys.stdout, flush=True)


def format_event(level: Level, message: str, **fields: object) -> str:
    """Returns a line: when, how bad, what, and what it is about. Passwords in addresses are masked."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    told = {"time": at, "level": level, "message": mask_passwords(message)}
    return json.dumps(told | _read_about() | fields, ensure_ascii=False)


class JsonLines(io.TextIOBase):
    """An output on which each thing that is said becomes one line of JSON, also where it has several lines itself."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._held = stream, threading.local()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream below."""
        return self._stream.encoding

    def writable(self) -> bool:
        """It is made for that."""
        return True

    def fileno(self) -> int:
        """Returns that of the stream below, where the programs write that this one starts."""
        return self._stream.fileno()

    def flush(self) -> None:
        """Writes what is whole."""
        self._stream.flush()

    def write(self, text: str) -> int:
        """Takes text; what ends with the end of a line is one saying. Each thread says its own."""
        said = getattr(self._held, "text", "") + text
        is_whole = said.endswith("\n") and not _is_torn(said)
        self._held.text = "" if is_whole else said
        if is_whole and said.strip():
            self._stream.write(f"{_make_line(said.strip())}\n")
            self._stream.flush()
        return len(text)


class _LibraryHandler(logging.Handler):
    """Tells the warnings and errors that libraries log."""

    def emit(self, record: logging.LogRecord) -> None:
        level: Level = "error" if record.levelno >= logging.ERROR else "warning"
        print(format_event(level, self.format(record)), file=sys.stderr)


def _tell_error(error: BaseException | None) -> None:
    # a thread may end by SystemExit, which is no fault
    if error is not None and not isinstance(error, SystemExit):
        print(format_event("error", format_masked(error).strip()), file=sys.stderr)


def _tell_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    told = warnings.formatwarning(message, category, filename, lineno, line).strip()
    print(format_event("warning", told), file=file or sys.stderr)


def _is_torn(said: str) -> bool:
    """Tells whether a traceback goes on, which Python writes line by line: the line of the error ends it."""
    lines = said.strip().splitlines() or [""]
    return lines[0].startswith("Traceback ") and (len(lines) == 1 or lines[-1].startswith(" "))


def _make_line(said: str) -> str:
    """Returns a saying as JSON; what is JSON already, as programs of ours tell it, stays."""
    if said.startswith('{"time": ') and _is_object(said):
        return said
    for words, level in WORDS.items():
        if said.startswith(words):
            return format_event(level, said.removeprefix("amun: ").removeprefix("warning: "))
    return format_event("info", said)


def _is_object(said: str) -> bool:
    try:
        return isinstance(json.loads(said), dict)
    except ValueError:
        return False


# with which the plain lines begin
WORDS: dict[str, Level] = {"amun: ": "error", "Traceback ": "error", "warning: ": "warning"}


def _read_about() -> dict[str, str | int]:
    about: dict[str, str | int] = json.loads(os.environ.get(ABOUT_VARIABLE) or "{}")
    return about
