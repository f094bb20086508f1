"""What a service tells as lines of JSON: whatever is written is one, and says what it is about."""

import json
import os
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest

from amun.core.errors import InputError
from amun.core.log import ABOUT_VARIABLE, LOG_VARIABLE, JsonLines, begin_log, has_begun, is_json, tell_about, tell_event


def read_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_each_saying_is_a_line() -> None:
    below = StringIO()
    told = JsonLines(below)
    with tell_about(model="digits", wave=7):
        print("  attempt 1 refused", file=told)
        print("warning: http://ann:swordfish@host is slow", file=told)
    print("amun: no ledger", file=told)
    print(file=told)
    try:
        raise ValueError("of a library")
    except ValueError:
        traceback.print_exc(file=told)
    print('{"time": 7}\n{"time": 8}', file=told)
    print('{"time": not json', file=told)
    lines = read_lines(below.getvalue())
    assert [(line["level"], line["message"]) for line in lines] == [
        ("info", "attempt 1 refused"),
        ("warning", "http://ann:***@host is slow"),
        ("error", "no ledger"),
        ("error", lines[3]["message"]),
        ("info", '{"time": 7}\n{"time": 8}'),
        ("info", '{"time": not json'),
    ]
    assert lines[3]["message"].startswith("Traceback (most")
    assert lines[3]["message"].endswith("\nValueError: of a library")
    assert [line.get("wave") for line in lines] == [7, 7, None, None, None, None]
    assert abs((datetime.fromisoformat(lines[0]["time"]) - datetime.now(UTC)).total_seconds()) < 600


def test_threads_do_not_mix_what_they_say() -> None:
    below = StringIO()
    told = JsonLines(below)
    told.write("one ")
    with ThreadPoolExecutor(1) as threads:
        threads.submit(told.write, "another\n").result()
    told.write("thread\n")
    assert [line["message"] for line in read_lines(below.getvalue())] == ["another", "one thread"]


PROGRAM = """
import os, subprocess, sys
from amun.core.log import begin_log, tell_about, tell_event
begin_log(); begin_log()
print("begun")
with tell_about(wave=3):
    tell_event("honoured", request="R-000001")
    subprocess.run([sys.executable, "-c", "from amun.core.log import begin_log; begin_log(); print('a stage')"])
print("amun: it failed", file=sys.stderr)
"""


FAILING = """
import logging, threading, warnings
from amun.core.log import begin_log
begin_log()
def fail(what):
    raise ValueError(f"http://ann:swordfish@host: {what}")
warnings.warn("deprecated")
logging.getLogger("a.library").error("lost the database")
logging.warning("slow")
thread = threading.Thread(target=fail, args=("in a thread",))
thread.start()
thread.join()
try:
    fail("first")
except ValueError:
    fail("at the end")
"""


def test_what_libraries_tell_and_how_a_program_fails_are_lines_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LOG_VARIABLE, "json")
    said = subprocess.run([sys.executable, "-c", FAILING], capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert "swordfish" not in said.stderr
    lines = read_lines(said.stderr)
    assert [line["level"] for line in lines] == ["warning", "error", "warning", "error", "error"]
    for line, words in zip(
        lines, ("deprecated", "lost the database", "slow", "in a thread", "at the end"), strict=True
    ):
        assert words in line["message"]
    assert "During handling" in lines[-1]["message"]


@pytest.mark.parametrize("form", ["json", "text", ""])
def test_form_is_what_the_environment_asks_for(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LOG_VARIABLE, form)
    said = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    if form != "json":
        # what is for programs alone is not told
        assert (said.stdout, said.stderr) == ("begun\na stage\n", "amun: it failed\n")
        return
    assert [(line["message"], line.get("wave"), line.get("request")) for line in read_lines(said.stdout)] == [
        ("begun", None, None),
        ("honoured", 3, "R-000001"),
        ("a stage", 3, None),
    ]
    assert [line["level"] for line in read_lines(said.stderr)] == ["error"]


def test_form_that_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LOG_VARIABLE, "xml")
    with pytest.raises(InputError, match="AMUN_LOG: 'xml' is no form of a log; write text or json"):
        begin_log()
    monkeypatch.delenv(LOG_VARIABLE)
    assert not is_json()
    assert not has_begun()
    with tell_about(wave=1), tell_about(request="R-000001"):
        tell_event("nobody hears it")
    assert ABOUT_VARIABLE not in os.environ
