"""How long a server may keep silent before it counts as gone."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from amun.core.errors import InputError

TIMEOUT_VARIABLE = "AMUN_TIMEOUT_S"
TIMEOUT_SECONDS = 20.0


def read_timeout() -> float:
    """Returns the seconds that the environment gives a server to answer, or to go on answering.

    Raises:
        InputError: what it says is no such number.
    """
    text = os.environ.get(TIMEOUT_VARIABLE)
    if not text:
        return TIMEOUT_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 24 * 3600:
        raise InputError(f"{TIMEOUT_VARIABLE}: '{text}' is no number of seconds above 0")
    return seconds


def read_whole_timeout() -> int:
    """Returns the same in whole seconds, at least 1, for tools that take no fractions; raises as `read_timeout`."""
    return max(1, round(read_timeout()))


@contextmanager
def bound_sockets() -> Iterator[None]:
    """Lets no new connection of this process be silent for longer, also where a library sets no bound of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(read_timeout())
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
