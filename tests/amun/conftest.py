"""The library's tests compute on as many threads as a stage does."""

from collections.abc import Iterator

import pytest
import torch

from tests.amun.shipped import PARAMS


@pytest.fixture(autouse=True, scope="session")
def num_threads() -> Iterator[None]:
    """Sets the shipped number of threads: small tensors gain nothing by more, and test processes share the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(PARAMS.runtime.num_threads)
    yield
    torch.set_num_threads(before)
