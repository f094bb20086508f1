"""What Prefect logs of a run is told without passwords, and a call of its own that is wrong ends no run."""

import logging

import pytest

from tasks.tools import story


@pytest.mark.parametrize(
    ("message", "arguments", "told"),
    [
        ("at %s", ("postgresql://ann:swordfish@db/x",), "at postgresql://ann:***@db/x"),
        ("%d at %s", ("postgresql://ann:swordfish@db/x",), "%d at %s ('postgresql://ann:***@db/x',)"),
        ("%(number)d", ({"other": 1},), "%(number)d {'other': 1}"),
    ],
)
def test_line_of_a_run_is_masked_whether_its_arguments_fit_or_not(
    message: str, arguments: tuple[object, ...], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    # the module has put its filter on it
    assert story.__name__
    logger = logging.getLogger("prefect.flow_runs")
    logger.addHandler(caplog.handler)
    try:
        logger.error(message, *arguments)
    finally:
        logger.removeHandler(caplog.handler)
    assert caplog.messages[-1] == told
