"""Secrets and addresses that the environment names: `file:/PATH`, for the user's eyes alone."""

import os
from pathlib import Path

from amun.core.errors import InputError
from amun.core.files import require_mode

_SCHEME = "file:"
_MODE = 0o600


def read_secret(variable: str) -> str:
    """Returns what lies in the file that a variable names, without the blanks around it.

    Raises:
        InputError: the variable names no file, or the file is missing, empty, or readable to others.
    """
    named = os.environ.get(variable, "")
    path = Path(named.removeprefix(_SCHEME))
    if not named.startswith(_SCHEME) or not path.is_absolute():
        # what stands there may be the secret itself
        raise InputError(f"{variable}: it names no file; write file:/PATH, the secret alone in that file")
    try:
        require_mode(variable, path, _MODE)
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InputError(f"{variable}: {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{variable}: {path} is not UTF-8 text") from None
    if not secret:
        raise InputError(f"{variable}: {path} is empty")
    return secret


def read_address(variable: str) -> str:
    """Returns the address that a variable gives, or that lies in the file which it names; empty where it is not set.

    Raises:
        InputError: as `read_secret`.
    """
    named = os.environ.get(variable, "")
    return read_secret(variable) if named.startswith(_SCHEME) else named
