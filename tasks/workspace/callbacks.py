"""Tells privacy suites what became of their requests (OpenDSR 2.0, section 8.5), as the last part of a night.

An address gets its sender's own id of the request and a status, nothing else. No other place is asked than those that
the company has named, so that nobody who sends a request chooses what is asked from inside its network.
"""

import json
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Lock

from amun.core.counts import tell_count
from amun.core.errors import AmunError, InputError, join_lines
from amun.ledger import Ledger
from amun.ledger.opendsr import Callback, Dsr
from tasks.tools.processor_key import CERTIFICATE_VARIABLE, ProcessorKey, find_processor_key
from tasks.tools.webhook import NotTakenError, post
from tasks.workspace.workspace import open_ledger

CALLBACKS_VARIABLE = "AMUN_OPENDSR_CALLBACKS"
NUM_THREADS = 8
_ORIGIN = re.compile(r"https://[a-z0-9.-]+(:[0-9]+)?|http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?")


def read_origins() -> tuple[str, ...]:
    """Returns where callbacks may go, as the environment has it.

    Raises:
        InputError: something there is no such place.
    """
    named = os.environ.get(CALLBACKS_VARIABLE, "").lower().split()
    if wrong := next((one for one in named if not _ORIGIN.fullmatch(one)), None):
        raise InputError(f"{CALLBACKS_VARIABLE}: {wrong[:80]!r} is no place; write https://HOST, each behind a blank")
    return tuple(named)


def is_allowed(url: str, origins: Sequence[str]) -> bool:
    """Tells whether an address lies at one of these places."""
    return url.isprintable() and " " not in url and find_origin(url) in origins


def find_origin(url: str) -> str:
    """Returns scheme, host and port of an address."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{re.split('[/?#]', rest, maxsplit=1)[0]}".lower()


def describe_callback(dsr: Dsr, url: str) -> bytes:
    """Returns what an address is told."""
    told = {
        "controller_id": dsr.token,
        "expected_completion_time": dsr.due_at.isoformat(),
        "status_callback_url": url,
        "subject_request_id": dsr.subject_request_id,
        "request_status": dsr.status,
    }
    return json.dumps(told).encode()


def send_callbacks() -> list[str]:
    """Tells every address what it has not been told; returns lines where one could not be. Nothing fails by it.

    An address that failed is told again the next night, so many times. Where a place does not answer, nobody else there
    is asked before the next night: that is no try of theirs. Nor is any made where this environment names no place:
    another workspace of the ledger may name it.
    """
    try:
        with open_ledger() as ledger:
            if not ledger.has_callbacks():
                return []
            if (key := find_processor_key()) is None:
                raise InputError(f"{CERTIFICATE_VARIABLE}: not set where the nights run")
            origins, listed = read_origins(), ledger.list_callbacks(datetime.now(UTC))
            lines = _Sender(ledger, key).tell([one for one in listed if is_allowed(one.url, origins)])
            return lines + _describe_left([one for one in listed if not is_allowed(one.url, origins)])
    except Exception as error:  # whatever it is, the night has its own outcome to tell
        return [f"warning: privacy suites were told nothing: {join_lines(error) or type(error).__name__}"]


def _describe_left(callbacks: Sequence[Callback]) -> list[str]:
    if not callbacks:
        return []
    places = ", ".join(sorted({find_origin(one.url) for one in callbacks}))
    left = tell_count(len(callbacks), "callback")
    return [f"warning: {left} not sent: {CALLBACKS_VARIABLE} does not name {places} here"]


class _Sender:
    """Tells addresses, several at a time, and keeps what failed at each place."""

    def __init__(self, ledger: Ledger, key: ProcessorKey):
        self.ledger, self.key = ledger, key
        self.failures: dict[str, str] = {}
        self.silent: set[str] = set()
        self.lock = Lock()

    def tell(self, callbacks: Sequence[Callback]) -> list[str]:
        """Tells all of them, and returns a line where some are left."""
        with ThreadPoolExecutor(NUM_THREADS) as threads:
            is_done = list(threads.map(self._tell, callbacks))
        if not self.failures:
            return []
        left = tell_count(is_done.count(False), "callback")
        reasons = "; ".join(f"{where}: {said}" for where, said in sorted(self.failures.items()))
        return [f"warning: {left} not taken: {reasons}; the next night tries again"]

    def _tell(self, callback: Callback) -> bool:
        """Tells whether nothing is left to be done about an address."""
        origin = find_origin(callback.url)
        if origin in self.silent:
            return False
        try:
            claimed_at = datetime.now(UTC)
            if not self.ledger.claim_callback(callback, claimed_at):
                return True  # another night is at it
            is_told = self._post(callback, origin)
            self.ledger.settle_callback(callback, claimed_at, is_told=is_told)
        except Exception as error:  # whatever it is, others may still be told
            self._keep("the ledger", error)
            return False
        return is_told

    def _post(self, callback: Callback, origin: str) -> bool:
        body = describe_callback(callback.dsr, callback.url)
        try:
            post(callback.url, {"Content-Type": "application/json"} | self.key.sign(body), body)
        except AmunError as error:
            self._keep(origin, error)
            if not isinstance(error, NotTakenError):
                self.silent.add(origin)
            return False
        return True

    def _keep(self, where: str, error: Exception) -> None:
        with self.lock:
            self.failures[where] = join_lines(error) or type(error).__name__
