"""By how many seconds other clocks are ahead of this machine's."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from pathlib import Path

from amun.core.network import read_timeout
from tasks.tools.servers import ask_health

Clock = Callable[[], float]


def measure_server(url: str, clock: Clock = time.time) -> float | None:
    """Returns by how many seconds the clock of an HTTP server is ahead, to about a second; None where it does not say.

    Args:
        url: of MLflow, or of Prefect's API; whatever it answers is dated.
        clock: this machine's, in seconds since 1970.
    """
    asked_at = clock()
    try:
        with urllib.request.urlopen(ask_health(url), timeout=read_timeout()) as answer:  # noqa: S310 - the user's own
            told = answer.headers.get("Date")
    except urllib.error.HTTPError as error:
        told = error.headers.get("Date")
    except (urllib.error.URLError, OSError, ValueError, HTTPException):
        return None
    return compare(told, asked_at, clock())


def compare(told: str | None, asked_at: float, answered_at: float) -> float | None:
    """Returns by how many seconds the clock is ahead that an answer's `Date` was taken from; None for no date.

    Args:
        told: as HTTP writes it (RFC 9110, section 5.6.7).
        asked_at: on this machine's clock, in seconds since 1970.
        answered_at: likewise.
    """
    try:
        # it has no fractions of a second
        return parsedate_to_datetime(told or "").timestamp() + 0.5 - (asked_at + answered_at) / 2
    except ValueError:
        return None


def measure_disk(folder: Path, clock: Clock = time.time) -> float | None:
    """Returns by how many seconds the clock is ahead that dates the files in a folder; None where none can be written.

    A share's server dates them by its own.
    """
    probe = folder / "clock.probe"
    try:
        before = clock()
        probe.write_bytes(b"")
        return probe.stat().st_mtime - (before + clock()) / 2
    except OSError:
        return None
    finally:
        probe.unlink(missing_ok=True)
