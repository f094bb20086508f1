"""Leaves the fixtures, and PyTorch with them, to the processes that run tests: who hands the tests out needs none."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Brings the fixtures into every process but the one that others run the tests for."""
    if not config.getoption("numprocesses", None):
        config.pluginmanager.import_plugin("tests.fixtures")
