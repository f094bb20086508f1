"""Prefect's API for the duration of a command: a server of its own, kept alive, or one that the environment names."""

import atexit
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Protocol, TypeVar

from amun.core.errors import AmunError
from amun.core.masking import mask_passwords
from amun.core.network import read_timeout
from tasks.tools.environment import API_VARIABLE, find_free_port
from tasks.tools.programs import stop_program
from tasks.tools.servers import UI_VARIABLE, Server, answers, require_answer, start_prefect, wait_for
from tasks.tools.silence import wait_for_silence

WATCH_SECONDS = 0.5
NUM_RETRIES = "2"  # after 2 and 4 seconds; one of our own, which is started again, is asked longer
EXIT_SECONDS = 5.0
MAX_STARTS = 5  # what kills a server five times in a command kills the sixth as well

Result = TypeVar("Result")


class PrefectServer(Protocol):
    """The server that a command's runs are told to."""

    def wait(self) -> None:
        """Returns when it answers.

        Raises:
            AmunError: it does not.
        """

    def run(self, work: Callable[[], Result]) -> Result:
        """Returns what the work returns, whose runs are told to the server; the work may be begun a second time.

        Raises:
            AmunError: the work's own, or the server has gone.
        """


def provide_prefect(root: Path) -> PrefectServer:
    """Names a Prefect API for this process: the one the environment names, or a server started for as long.

    Import the flows before waiting, for both take seconds.

    Raises:
        AmunError: the named server does not answer.
    """
    url = os.environ.get(API_VARIABLE)
    return NamedServer(url) if url else KeptServer(root)


class NamedServer:
    """A server of somebody else's: its end is told, and mended by them.

    Prefect's client asks each question three times, and a run has dozens. So the process ends as soon as the server is
    known to be gone: a wave can be killed at any moment.
    """

    def __init__(self, url: str):
        """Raises AmunError where nobody answers."""
        self._url = url
        os.environ.setdefault("PREFECT_CLIENT_MAX_RETRIES", NUM_RETRIES)
        require_answer(API_VARIABLE, url)
        self._is_over = Event()
        self._is_told = Event()
        self._listener = Thread(target=self._listen, name="listener to Prefect's server", daemon=True)

    def wait(self) -> None:
        """Does not wait: it answered when the command began. From now on it is listened to."""
        if self._listener.ident is None:
            self._listener.start()

    def run(self, work: Callable[[], Result]) -> Result:
        """Returns what the work returns; nobody listens any more then.

        Raises:
            AmunError: the work's own, or the server has gone.
        """
        try:
            result = work()
        except AmunError:
            raise
        except Exception:
            if answers(self._url, read_timeout()):
                raise
            self._is_told.set()
            raise AmunError(tell_silence(self._url)) from None
        self._is_over.set()
        return result

    def _listen(self) -> None:
        if not wait_for_silence(self._url, self._is_over):
            return
        if self._is_told.is_set():
            # whoever was told is on the way out, where Prefect's own exit handlers still ask the server
            time.sleep(EXIT_SECONDS)
        else:
            with suppress(OSError, ValueError):  # nobody may be reading any more
                print(f"amun: {mask_passwords(tell_silence(self._url))}", file=sys.stderr, flush=True)
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(AmunError.exit_code)


def tell_silence(url: str) -> str:
    """Returns what is said of a server of somebody else's that has gone."""
    return (
        f"{API_VARIABLE}: the server at {url} no longer answers; the wave stays open, and the next run goes on with "
        "it: once the server is back, or with the variable unset"
    )


class KeptServer:
    """A server of this process's own at one address: when it dies, it is started again on the same database."""

    def __init__(self, root: Path):
        """Starts it and names it to Prefect."""
        self._root = root
        # it ends with the command, so nothing links to its pages
        os.environ[UI_VARIABLE] = "false"
        self._port = find_free_port()
        self._num_starts = self._num_waited = 0
        self._server = self._start()
        self._is_over = Event()
        # a daemon: it lives until the process ends, and with it what it has started
        self._keeper = Thread(target=self._keep, name="keeper of Prefect's server", daemon=True)
        os.environ[API_VARIABLE] = self._server.url
        _tell_prefect()
        # to run after Prefect's own exit handlers, which are registered later and still have logs to deliver
        atexit.register(self._stop)

    def wait(self) -> None:
        """Returns when it answers.

        Raises:
            AmunError: it does not start, or has died too often.
        """
        self._num_waited = self._num_starts
        wait_for(self._server)
        if self._keeper.ident is None:
            self._keeper.start()

    def run(self, work: Callable[[], Result]) -> Result:
        """Returns what the work returns; where the server was lost on the way the work is begun a second time.

        Raises:
            AmunError: the work's own, or the server does not start again.
        """
        try:
            return work()
        except AmunError:
            raise
        except Exception:
            if not self._was_away():
                raise
            self.wait()
            return work()

    def _was_away(self) -> bool:
        """Tells whether it has died since it was last waited for."""
        return self._num_starts > self._num_waited or self._server.program.poll() is not None

    def _start(self) -> Server:
        self._num_starts += 1
        return start_prefect(self._root, self._port)

    def _keep(self) -> None:
        while not self._is_over.wait(WATCH_SECONDS):
            if self._server.program.poll() is not None and self._num_starts < MAX_STARTS:
                print("  Prefect's server has died, and is started again", flush=True)
                self._server = self._start()

    def _stop(self) -> None:
        self._is_over.set()
        stop_program(self._server.program)


def _tell_prefect() -> None:
    """Makes Prefect read its variables again, where something has imported it before."""
    if "prefect" in sys.modules:
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()
