"""The report, served by `amun serve` to whoever has the token: `/` is all time, `/wave/7` one wave.

Beside it is the list of requests: `/requests`, and its later pages by number.
A browser asks for a name and a password, of which the token is the password; a program sends it as a bearer token.
Nothing is served without one, and no token stands in an address.
"""

import base64
import binascii
import hashlib
import hmac
import io
import os
import re
import socket
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from socketserver import ThreadingMixIn
from threading import BoundedSemaphore, Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from amun.core.errors import AmunError, InputError, join_lines
from amun.core.masking import mask_passwords
from tasks.tools.secret_files import read_secret
from tasks.workspace.workspace import Workspace, open_ledger

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

TOKEN_VARIABLE = "AMUN_PAGE_TOKEN"  # noqa: S105 - its name
MIN_LETTERS = 20  # of a token: fewer can be guessed
WAIT_SECONDS = 20.0  # for a whole request, and to take an answer
MAX_CONNECTIONS = 16  # at once
PAGE = re.compile(r"/(?:wave/(?P<wave>\d{1,9})|(?P<list>requests)(?:/(?P<page>\d{1,9}))?)?")
HEADERS = [
    ("Server", "amun"),
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
        reply = _answer(environ, workspace, expected, rendering)
        body = reply.text.encode()
        kind = ("Content-Type", f"{reply.kind}; charset=utf-8")
        start(reply.status, [kind, ("Content-Length", str(len(body))), *HEADERS, *reply.headers])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    return answer


@dataclass(frozen=True)
class _Reply:
    status: str
    text: str
    kind: str = "text/plain"
    headers: tuple[tuple[str, str], ...] = ()


NO_PAGE = _Reply("503 Service Unavailable", "It cannot be written now; the log says why.\n")


def _answer(environ: "WSGIEnvironment", workspace: Workspace, expected: bytes, rendering: Lock) -> _Reply:
    given = _digest(_read_given(environ.get("HTTP_AUTHORIZATION", "")))
    # always computed, in a time that tells nothing of the token
    if not hmac.compare_digest(given, expected):
        return _Reply("401 Unauthorized", "The token is missing or wrong.\n", headers=(CHALLENGE,))
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return _Reply("405 Method Not Allowed", "Read it with GET.\n", headers=(("Allow", "GET, HEAD"),))
    found = PAGE.fullmatch(environ.get("PATH_INFO") or "/")
    if found is None:
        return _Reply("404 Not Found", "There are /, /wave/NUMBER, /requests and /requests/PAGE.\n")
    try:
        if found["list"]:
            return _render_list(workspace, int(found["page"] or 1))
        with rendering:
            return _render(workspace, None if found["wave"] is None else int(found["wave"]))
    except Exception as error:
        # who asks is told nothing of it: what it names is for whoever reads the log
        page = "the list of requests" if found["list"] else "the report"
        _tell(f"{page} cannot be served: {error if isinstance(error, AmunError) else repr(error)}")
        return NO_PAGE


def _render(workspace: Workspace, number: int | None) -> _Reply:
    from flows.pages.report_page import render_report
    from tasks.views.report_facts import gather_report

    if number is not None:
        with open_ledger() as ledger:
            if number not in {wave.number for wave in ledger.list_waves(workspace.model)}:
                return _Reply("404 Not Found", "There is no such wave.\n")
    return _Reply("200 OK", render_report(gather_report(workspace, number), is_served=True), "text/html")


def _render_list(workspace: Workspace, number: int) -> _Reply:
    from flows.pages.request_list import render_list

    with open_ledger() as ledger:
        page = render_list(ledger, workspace.model, number)
    return _Reply("404 Not Found", "There is no such page.\n") if page is None else _Reply("200 OK", page, "text/html")


def _tell(line: str) -> None:
    print(f"amun: {join_lines(mask_passwords(line))}", file=sys.stderr, flush=True)


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
    """Answers each connection in a thread of its own, so many at once: one that says nothing keeps nobody waiting."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[WSGIRequestHandler]) -> None:
        self._places = BoundedSemaphore(MAX_CONNECTIONS)
        # a name may be of an IPv6 address
        self.address_family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Starts a thread for a connection; one that is too many is closed."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answers one connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - who asked stands nowhere
        """Says in one line what failed; of who went away, or said nothing, there is nothing to say."""
        error = sys.exception()
        if not isinstance(error, OSError):
            _tell(f"the report's server: {error!r}")


class _Timed(io.RawIOBase):
    """What a connection sends until its time is over, however slowly it comes."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection, self._end = connection, monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._end - monotonic()
        if left <= 0:
            raise TimeoutError
        before = self._connection.gettimeout()
        self._connection.settimeout(left)
        try:
            return self._connection.recv_into(buffer)
        finally:
            self._connection.settimeout(before)


class _Handler(WSGIRequestHandler):
    """Says nothing of who asked, and of itself its name alone."""

    server_version, sys_version = "amun", ""
    timeout = WAIT_SECONDS  # to write

    def setup(self) -> None:
        """Gives a request so long in all, from its first byte to the last of its head."""
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(_Timed(self.connection, self.timeout))

    def get_stderr(self) -> io.StringIO:
        """Takes what wsgiref would write of a connection that has broken: the application tells its own errors."""
        return io.StringIO()

    def log_message(self, *_: Any) -> None:
        """Is called for each request."""


def start_pages(workspace: Workspace, host: str, port: int, token: str) -> Callable[[], None]:
    """Serves the report; returns what stops that.

    Raises:
        OSError: the address cannot be had.
    """
    server = make_server(host, port, make_application(workspace, token), server_class=_Server, handler_class=_Handler)
    thread = Thread(target=server.serve_forever, name="report", daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop
