"""The report, served by `amun serve` to whoever has the token: `/` is all time, `/wave/7` one wave.

A browser asks for a name and a password, of which the token is the password; a program sends it as a bearer token.
Nothing is served without one, and no token stands in an address.
"""

import base64
import binascii
import hashlib
import hmac
import os
import re
import sys
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from amun.core.errors import AmunError, InputError
from amun.core.masking import mask_passwords
from tasks.tools.secret_files import read_secret
from tasks.workspace.workspace import Workspace

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

TOKEN_VARIABLE = "AMUN_PAGE_TOKEN"  # noqa: S105 - its name
MIN_LETTERS = 20  # of a token: fewer can be guessed
WAIT_SECONDS = 20.0  # for who says nothing
PAGE = re.compile(r"/(?:wave/(\d{1,9}))?")
HEADERS = [
    ("Cache-Control", "no-store"),
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    ),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
]
CHALLENGE = ("WWW-Authenticate", 'Basic realm="amun report: the token is the password", charset="UTF-8"')


def read_token() -> str | None:
    """Returns the token that opens the page; None where there is to be no page.

    Raises:
        InputError: the variable names no file, others may read it, or what lies there is short.
    """
    if not os.environ.get(TOKEN_VARIABLE):
        return None
    token = read_secret(TOKEN_VARIABLE)
    if len(token) < MIN_LETTERS:
        raise InputError(
            f"{TOKEN_VARIABLE}: the token has {len(token)} letters, and {MIN_LETTERS} are the least; draw one with "
            "`openssl rand -base64 32`"
        )
    return token


def make_application(workspace: Workspace, token: str) -> "WSGIApplication":
    """Returns what answers each request, one page after the other."""
    expected, rendering = _digest(token), Lock()

    def answer(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        given = _digest(_read_given(environ.get("HTTP_AUTHORIZATION", "")))
        # always computed, in a time that tells nothing of the token
        if not hmac.compare_digest(given, expected):
            return _send(start, "401 Unauthorized", "text/plain", "The token is missing or wrong.\n", [CHALLENGE])
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _send(start, "405 Method Not Allowed", "text/plain", "Read it with GET.\n", [("Allow", "GET, HEAD")])
        found = PAGE.fullmatch(environ.get("PATH_INFO") or "/")
        if found is None:
            return _send(start, "404 Not Found", "text/plain", "There are / and /wave/NUMBER.\n")
        with rendering:
            return _send_page(workspace, None if found[1] is None else int(found[1]), start)

    return answer


def _send_page(workspace: Workspace, number: int | None, start: "StartResponse") -> Iterable[bytes]:
    from flows.pages.report_page import render_report
    from tasks.views.report_facts import gather_report

    try:
        page = render_report(gather_report(workspace, number))
    except InputError:
        return _send(start, "404 Not Found", "text/plain", "There is no such wave.\n")
    except AmunError as error:
        # what it names is for whoever reads the log
        print(f"amun: the report cannot be served: {mask_passwords(str(error))}", file=sys.stderr, flush=True)
        return _send(start, "503 Service Unavailable", "text/plain", "It cannot be written now; the log says why.\n")
    return _send(start, "200 OK", "text/html", page)


def _send(
    start: "StartResponse", status: str, kind: str, text: str, headers: Iterable[tuple[str, str]] = ()
) -> Iterable[bytes]:
    body = text.encode()
    length = ("Content-Length", str(len(body)))
    start(status, [("Content-Type", f"{kind}; charset=utf-8"), length, *HEADERS, *headers])
    return [body]


def _read_given(header: str) -> str:
    """Returns the token that a request brings; empty where it brings none."""
    scheme, _, given = header.partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(given, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _digest(text: str) -> bytes:
    # texts of any length become as long as each other
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()


class _Server(ThreadingMixIn, WSGIServer):
    """Answers each connection in a thread of its own: one that says nothing keeps nobody waiting."""

    daemon_threads = True


class _Handler(WSGIRequestHandler):
    """Says nothing of who asked."""

    timeout = WAIT_SECONDS

    def log_message(self, *_: Any) -> None:
        """Is called for each request."""


def start_pages(workspace: Workspace, host: str, port: int, token: str) -> Callable[[], None]:
    """Serves the report; returns what stops that.

    Raises:
        OSError: the port cannot be had.
    """
    server = make_server(host, port, make_application(workspace, token), server_class=_Server, handler_class=_Handler)
    thread = Thread(target=server.serve_forever, name="report", daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop
