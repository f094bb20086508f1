"""A terminal for tests of what is shown on one."""

from collections.abc import Callable

import pytest

from flows.pages import table


@pytest.fixture
def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Returns what makes the output a terminal without colours, so many letters wide."""

    def open_at(width: int) -> None:
        monkeypatch.setattr(table, "is_terminal", lambda: True)
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("NO_COLOR", "1")

    return open_at
