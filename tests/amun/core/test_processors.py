"""How many processors there are, also where the system binds no process to some of them."""

import os

import pytest

from amun.core.processors import count_processors


def test_processors_are_those_of_this_process_or_else_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 <= count_processors() <= (os.cpu_count() or 1)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert count_processors() == os.cpu_count()
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert count_processors() == 1
