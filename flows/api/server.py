"""The server of `amun api`: uvicorn, without its log of who asked for what, which waits for nobody who is silent."""

import asyncio
import logging
import math
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from time import monotonic
from typing import get_args

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from amun.core.databases import BUSY_SECONDS
from amun.core.errors import InputError
from amun.core.log import has_begun
from flows.api.application import make_application
from flows.api.guard import CALL, Application
from flows.api.log import Call, tell_failure, tell_fault
from flows.api.opendsr import Processor
from flows.api.opendsr_forms import IdentityType
from tasks.tools.environment import choose_port
from tasks.tools.processor_key import find_processor_key
from tasks.workspace.callbacks import read_origins
from tasks.workspace.workspace import Workspace, open_ledger

HOST, PORT = "127.0.0.1", 9466
MAX_CONNECTIONS = 512
MAX_HEAD = 16 * 1024  # bytes of a call's head
WAIT_SECONDS = 20.0  # for a whole head, of silence between two calls, and until an answer is taken
STOP_SECONDS = BUSY_SECONDS + 10  # for what is under way: a demand may wait for the ledger
REPEAT_SECONDS = 60.0  # between two lines of one kind that anybody can make the server write


class FaultHandler(logging.Handler):
    """Tells what uvicorn has to say as other faults are told: without traces, each kind once in a while."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._told: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a line."""
        now, words = monotonic(), record.msg
        # advice for whoever develops with uvicorn
        if words.startswith("No supported WebSocket library"):
            return
        if words in self._told and now - self._told[words] < REPEAT_SECONDS:
            return
        self._told[words] = now
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, Exception):
            tell_failure(error)
        elif isinstance(error, asyncio.CancelledError):
            tell_fault("a call was ended before it was answered")
        else:
            tell_fault(f"HTTP: {record.getMessage()}")


class TimedProtocol(H11Protocol):
    """Drops a connection whose next call does not come whole in time, or that does not take its answer in time.

    Of more connections than there may be, the oldest one that has shown no token is dropped: who is silent shuts nobody
    out.
    """

    _began = 0.0
    _is_known = False
    _timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for the first head."""
        super().connection_made(transport)
        # writing is paused as long as anything waits for the client, also while the connection is being closed
        transport.set_write_buffer_limits(high=0)
        self._wait()
        self._began = monotonic()
        if len(self.connections) > MAX_CONNECTIONS:
            self._make_room()

    def on_response_complete(self) -> None:
        """Remembers who has shown a token."""
        call = self.scope.get(CALL)
        self._is_known = self._is_known or (isinstance(call, Call) and call.token is not None)
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Begins to wait for whoever does not read."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(WAIT_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Ends that waiting: all is away."""
        self._stop_writing()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Reads what has come, and goes on waiting where that is no whole head."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._timer is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the waiting."""
        self._stop_waiting()
        self._stop_writing()
        super().connection_lost(exc)

    def _make_room(self) -> None:
        strangers = [one for one in self.connections if isinstance(one, TimedProtocol) and not one._is_known]
        dropped = min(strangers, key=lambda one: one._began)
        # it counts no more, also while the loop has not told it yet
        self.connections.discard(dropped)
        dropped.transport.abort()

    def _wait(self) -> None:
        self._timer = self.loop.call_later(WAIT_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_writing(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None


class Server(uvicorn.Server):
    """Ends on SIGTERM as a command that has done its work, where uvicorn would send itself the signal once more."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stops on a signal; only the main thread gets any."""
        if current_thread() is not main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def make_server(application: Application) -> Server:
    """Returns a server that is not started yet."""
    logger = logging.getLogger("uvicorn.error")
    logger.handlers, logger.propagate = [FaultHandler()], False
    config = uvicorn.Config(
        application,
        http=TimedProtocol,
        loop="asyncio",
        ws="none",
        lifespan="on",
        # addresses may name somebody by mistake; the guard writes the log
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=int(WAIT_SECONDS),
        timeout_graceful_shutdown=STOP_SECONDS,
        h11_max_incomplete_event_size=MAX_HEAD,
    )
    return Server(config)


@contextmanager
def listen(host: str, port: int | None) -> Iterator[socket.socket]:
    """Gives a socket that listens for the block.

    Raises:
        InputError: the address cannot be had.
    """
    chosen = port or choose_port(PORT)
    try:
        family, *_, address = socket.getaddrinfo(host, chosen, type=socket.SOCK_STREAM)[0]
        bound = socket.create_server(address[:2], family=family, backlog=MAX_CONNECTIONS)
    except (OSError, UnicodeError) as error:
        options = f"--host {host} --port {chosen}"
        reason = error.strerror if isinstance(error, OSError) else "no machine has such a name"
        raise InputError(f"{options}: it cannot be had on this machine: {reason}; choose another") from None
    with bound:
        yield bound


def _find_processor(identity: str) -> Processor | None:
    """Returns what this service is to privacy suites; None where the environment has no key for them."""
    found = next((known for known in get_args(IdentityType) if known == identity), None)
    if found is None:
        known = ", ".join(get_args(IdentityType))
        raise InputError(f"--identity {identity[:40]}: there is no such identity; there are {known}")
    key = find_processor_key()
    return None if key is None else Processor(key, found, read_origins())


def serve(workspace: Workspace, host: str, port: int | None, rate: float, identity: str) -> None:
    """Serves until SIGTERM or Ctrl-C; what is under way is answered first.

    Raises:
        InputError: the address cannot be had, the rate is no number, the ledger has no model, there is no such
            identity, or the key for privacy suites cannot be used.
    """
    if not math.isfinite(rate):
        raise InputError(f"--rate {rate}: it is no number of calls a second; write one")
    processor = _find_processor(identity)
    with open_ledger() as ledger, listen(host, port) as bound:
        ledger.require_models()
        named, number = bound.getsockname()[:2]
        where = f"http://{f'[{named}]' if ':' in named else named}:{number}"
        # the standard output is the log's alone
        told = f"requests are taken at {where}"
        print(told if has_begun() else f"amun: {told}", file=sys.stderr, flush=True)
        make_server(make_application(workspace, ledger, rate, processor=processor)).run(sockets=[bound])
