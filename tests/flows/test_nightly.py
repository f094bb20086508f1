"""The program that runs the nights ends quietly whenever it is told to stop."""

import asyncio
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.runner import Runner

from flows import nightly
from tests.amun.shipped import PARAMS


async def wait(*_: Any) -> None:
    await asyncio.sleep(600)


async def answer(*_: Any) -> None:
    return


@pytest.mark.parametrize("told", ["as it is ready", "later"])
def test_program_that_is_told_to_stop_before_the_runner_has_started_ends_well(
    told: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    async def start(_: Runner) -> None:
        if told == "later":
            stop()
        await wait()

    monkeypatch.setattr(nightly, "open_workspace", lambda _: SimpleNamespace(params=PARAMS))
    monkeypatch.setattr(Runner, "aadd_deployment", answer)
    monkeypatch.setattr(Runner, "start", start)
    for name in ("make_deployment", "_catch_up", "is_paused"):
        monkeypatch.setattr(nightly, name, lambda *_: None)
    monkeypatch.setattr(nightly, "name_deployment", lambda _: "digits-cnn-nightly")
    if told != "later":
        monkeypatch.setattr(nightly, "print", stop, raising=False)
    asyncio.run(asyncio.wait_for(nightly.run_nights(Path(), True), 60))
    assert "Traceback" not in capfd.readouterr().err
