"""Errors a person reads: one line that says what was wrong, where, and what to do."""

from amun.core.masking import mask_passwords


class AmunError(Exception):
    """Something failed that was not the caller's input; the command line exits with code 1.

    Its line ends in logs, on pages and in files, so that no address in it keeps its password.
    """

    exit_code = 1

    def __init__(self, line: str) -> None:
        super().__init__(mask_passwords(line))


class InputError(AmunError):
    """Bad input or a workspace that is not ready; the command line exits with code 2."""

    exit_code = 2


class DamagedError(AmunError):
    """A file is not what was written."""


class AttemptError(AmunError):
    """An attempt came to nothing: the next one may do, and the last one, exact retraining, needs nothing of it."""

    exit_code = 3


class DivergedError(AttemptError):
    """Training ended in a loss that is no number: another learning rate may do."""


def join_lines(error: object) -> str:
    """Returns what an error of a library says, in one line."""
    return " ".join(str(error).split())


def choose_exit_code(error: AmunError) -> int:
    """Returns with which code a command ends: 2 for bad input, 1 for any failure; a stage's own codes stay inside."""
    return InputError.exit_code if isinstance(error, InputError) else AmunError.exit_code


class LeaseLostError(AmunError):
    """Another run has taken over the wave: this one must write nothing more."""
