"""A Prefect server of somebody else's that goes, or hangs, while a command runs ends it in one line."""

import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import cycle
from pathlib import Path
from threading import Event, Thread

import pytest

from amun.core.errors import AmunError
from amun.core.network import TIMEOUT_VARIABLE
from flows.serving import listen, watch
from tasks.tools.environment import API_VARIABLE
from tasks.tools.prefect_server import provide_prefect
from tasks.tools.programs import start_program, stop_program
from tasks.tools.silence import wait_for_silence
from tests.processes import wait_until

COMMAND = """
from pathlib import Path
from time import sleep
def fail():
    sleep(0.5)
    raise ConnectionError
from tasks.tools.prefect_server import provide_prefect
server = provide_prefect(Path("{root}"))
server.wait()
print("at work", flush=True)
{work}
"""


class Theirs:
    """A server of somebody else's.

    Attributes:
        url: its address.
        num_asked: how often it was asked.
        statuses: what it answers, in turn.
    """

    def __init__(self) -> None:
        """Starts it."""
        self.num_asked, self.statuses = 0, cycle((200,))
        theirs = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                theirs.num_asked += 1
                self.send_response(next(theirs.statuses))
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/api"
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def hang(self) -> None:
        """Goes on listening, and answers nobody."""
        self._server.shutdown()

    def die(self) -> None:
        """Is gone."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """An environment of the test's own, in which servers have little time."""
    own = {"PATH": os.environ["PATH"], "PREFECT_HOME": str(tmp_path), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    own[TIMEOUT_VARIABLE] = "0.3"
    monkeypatch.setattr(os, "environ", own)
    return own


@pytest.fixture
def theirs(environment: dict[str, str]) -> Iterator[Theirs]:
    """A server that the environment names."""
    server = Theirs()
    environment[API_VARIABLE] = server.url
    yield server
    server.die()


@pytest.mark.parametrize("ending", ["hang", "die"])
@pytest.mark.parametrize("work", ["server.run(lambda: sleep(600))", "server.run(fail)", "server.run(dict); sleep(2)"])
def test_command_ends_in_one_line_when_it_goes(ending: str, work: str, theirs: Theirs, tmp_path: Path) -> None:
    script = COMMAND.format(root=tmp_path, work=work)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        getattr(theirs, ending)()
        _, said = process.communicate()
    if "dict" in work:
        assert (process.returncode, said) == (0, "")
        return
    assert process.returncode == 1
    # of an error that the script does not catch Python tells more before
    assert (
        f"PREFECT_API_URL: the server at {theirs.url} no longer answers; the wave stays open" in said.splitlines()[-1]
    )
    assert said.count("no longer answers") == 1


def test_it_is_named_where_it_is_not_there_at_first(theirs: Theirs, tmp_path: Path) -> None:
    theirs.hang()
    with pytest.raises(AmunError, match=f"^PREFECT_API_URL: no server answers at {theirs.url}; "):
        provide_prefect(tmp_path)


def test_service_ends_when_it_goes(theirs: Theirs) -> None:
    nightly = start_program("http.server", "0", variables={"PYTHONPATH": os.pathsep.join(sys.path)})
    stopped = Event()
    is_gone = listen(theirs.url, stopped)
    theirs.hang()
    with pytest.raises(
        AmunError, match=f"^PREFECT_API_URL: the server at {theirs.url} no longer answers; .*amun serve"
    ):
        watch([], nightly, stopped, is_gone)
    stop_program(nightly)


def test_stage_that_computes_needs_none(theirs: Theirs) -> None:
    heard: list[bool] = []
    # as DVC starts a stage
    stage = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "amun.stages.train"])
    listener = Thread(target=lambda: heard.append(wait_for_silence(theirs.url, Event())))
    theirs.statuses = cycle((503,))
    listener.start()
    wait_until(lambda: theirs.num_asked > 5, "the questions")
    assert heard == []
    stage.kill()
    stage.wait()
    listener.join()
    assert heard == [True]


def test_one_question_that_gets_lost_is_no_silence(theirs: Theirs) -> None:
    theirs.statuses = cycle((503, 200))
    is_over = Event()
    heard: list[bool] = []
    listener = Thread(target=lambda: heard.append(wait_for_silence(theirs.url, is_over)))
    listener.start()
    wait_until(lambda: theirs.num_asked > 8, "the questions")
    is_over.set()
    listener.join()
    assert heard == [False]
