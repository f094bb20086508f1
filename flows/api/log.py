"""The log of calls: a line of JSON for each, which names nobody; and what fails here, for whoever looks after it."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from amun.core.errors import join_lines
from amun.core.log import Level, format_event, is_json
from amun.core.masking import mask_passwords
from amun.ledger import ApiToken

OPEN_PATHS = ("/healthz", "/openapi.json", "/v2/discovery", "/v2/discovery/", "/v2/certificate.pem")  # for whoever asks
METHODS = ("GET", "HEAD", "POST", "DELETE")


@dataclass
class Call:
    """What the log tells of a call.

    Attributes:
        token: who asked; None where nobody is known to have.
        request_id: which request it was about, once that is known to be one.
        outcome: what became of it.
    """

    token: ApiToken | None = None
    request_id: str | None = None
    outcome: str = ""

    @property
    def name(self) -> str:
        """The token's name."""
        return "" if self.token is None else self.token.name

    @property
    def scopes(self) -> tuple[str, ...]:
        """What the token may be used for."""
        return () if self.token is None else self.token.scopes


def describe_call(scope: Mapping[str, Any], call: Call, status: int, seconds: float) -> str:
    """Returns the log's line of a call, which names nobody: the path as its pattern, no query, no body."""
    line = {
        "token": call.name or None,
        "method": scope["method"] if scope["method"] in METHODS else "other",
        "route": getattr(scope.get("route"), "path", None) or _tell_open(scope["path"]),
        "request": call.request_id,
        "status": status,
        "outcome": call.outcome or ("ok" if 0 < status < 400 else "unanswered"),
        "ms": round(seconds * 1000),
    }
    if is_json():
        level: Level = "info" if 0 < status < 500 else "error"
        return format_event(level, "call", **line)
    return json.dumps({"at": datetime.now(UTC).isoformat(timespec="milliseconds")} | line)


def print_line(line: str) -> None:
    """Writes a line of the log."""
    print(line, flush=True)


def tell_fault(line: str) -> None:
    """Tells a fault to whoever looks after the service."""
    print(f"amun: {join_lines(mask_passwords(line))}", file=sys.stderr, flush=True)


def tell_failure(error: Exception) -> None:
    """Tells where a fault of ours is; its message may quote what was sent."""
    tell_fault(f"a call failed: {type(error).__name__}{_locate(error)}")


def _tell_open(path: str) -> str | None:
    return path if path in OPEN_PATHS else None


def _locate(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
