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
    """Tells every address what it has not been told; returns a line where one could not be. Nothing fails by it.

    An address that failed is told again the next night, so many times. Where a place does not answer, nobody else there
    is asked before the next night: that is no try of theirs.
    """
    try:
        with open_ledger() as ledger:
            if not ledger.has_callbacks():
                return []
            if (key := find_processor_key()) is None:
                raise InputError(f"{CERTIFICATE_VARIABLE}: not set where the nights run")
            return _send(ledger, key, read_origins())
    except Exception as error:  # whatever it is, the night has its own outcome to tell
        return [f"warning: privacy suites were told nothing: {join_lines(error) or type(error).__name__}"]


def _send(ledger: Ledger, key: ProcessorKey, origins: Sequence[str]) -> list[str]:
    claimed = ledger.claim_callbacks(datetime.now(UTC))
    failures: dict[str, str] = {}
    silent: set[str] = set()
    lock = Lock()

    def tell(callback: Callback) -> bool | None:
        origin = find_origin(callback.url)
        if origin in silent:
            return None
        try:
            if origin not in origins:
                raise NotTakenError(f"{CALLBACKS_VARIABLE} names it no more")
            body = describe_callback(callback.dsr, callback.url)
            post(callback.url, {"Content-Type": "application/json"} | key.sign(body), body)
        except AmunError as error:
            with lock:
                failures[origin] = str(error)
                if not isinstance(error, NotTakenError):
                    silent.add(origin)
            return False
        return True

    with ThreadPoolExecutor(NUM_THREADS) as threads:
        told = list(threads.map(tell, claimed))
    ledger.settle_callbacks(zip(claimed, told, strict=True))
    if not failures:
        return []
    left = tell_count(len(told) - told.count(True), "callback")
    reasons = "; ".join(f"{origin}: {said}" for origin, said in sorted(failures.items()))
    return [f"warning: {left} not taken: {reasons}; the next night tries again"]
