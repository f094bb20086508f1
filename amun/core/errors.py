"""Errors a person reads: one line that says what was wrong, where, and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from amun.core.masking import mask_passwords

# what names files of a source, to whoever sits at the terminal
SAYS_MORE = "`amun init` or `amun base rebuild`, typed, says more"


class AmunError(Exception):
    """Something failed that was not the caller's input; the command line exits with code 1.

    Its line ends in logs, on pages and in files, so that no address in it keeps its password.
    """

    exit_code = 1

    def __init__(self, line: str) -> None:
        super().__init__(mask_passwords(line))

    @property
    def told(self) -> str:
        """What the terminal of whoever typed the command is told."""
        return str(self)

    @property
    def short(self) -> str:
        """The line that may be kept anywhere: it names nobody."""
        return str(self)


class InputError(AmunError):
    """Bad input or a workspace that is not ready; the command line exits with code 2."""

    exit_code = 2


class SourceError(InputError):
    """Files of a source cannot be used: the line names them, and a file's name may be a person's.

    Args:
        line: the whole one.
        short: the same without names.
    """

    def __init__(self, line: str, short: str) -> None:
        super().__init__(line)
        self._short = mask_passwords(short)

    @property
    def short(self) -> str:
        """The line without names, and what to type to see them."""
        return f"{self._short}; {SAYS_MORE}"

    def __reduce__(self) -> tuple[type["SourceError"], tuple[str, str]]:
        """Keeps both lines."""
        return type(self), (str(self), self._short)


class WithheldError(InputError):
    """Stands for a `SourceError` where errors are kept: its line names nobody, the terminal is told all."""

    def __init__(self, short: str, told: str = "") -> None:
        super().__init__(short)
        self._told = mask_passwords(told or short)

    @property
    def told(self) -> str:
        """See `AmunError`."""
        return self._told

    def __reduce__(self) -> tuple[type["WithheldError"], tuple[str]]:
        """Leaves out what is for the terminal alone: Prefect keeps the error of a flow as a file."""
        return type(self), (str(self),)


@contextmanager
def withhold_names() -> Iterator[None]:
    """Turns a `SourceError` into one that may be kept."""
    try:
        yield
    except SourceError as error:
        raise WithheldError(error.short, str(error)) from None


class DamagedError(AmunError):
    """A file is not what was written."""


class AttemptError(AmunError):
    """An attempt came to nothing: the next one may do, and the last one, exact retraining, needs nothing of it."""

    exit_code = 3


class DivergedError(AttemptError):
    """A model's loss, weights or answers are no numbers: another learning rate may do."""


def join_lines(error: object) -> str:
    """Returns what an error of a library says, in one line."""
    return " ".join(str(error).split())


def choose_exit_code(error: AmunError) -> int:
    """Returns with which code a command ends: 2 for bad input, 1 for any failure; a stage's own codes stay inside."""
    return InputError.exit_code if isinstance(error, InputError) else AmunError.exit_code


class LeaseLostError(AmunError):
    """Another run has taken over the wave: this one must write nothing more."""
