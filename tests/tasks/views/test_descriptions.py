"""What a version's description says of the bound on the trace by person."""

import pytest

from tasks.views.descriptions import tell_bound


@pytest.mark.parametrize(
    ("most", "words"),
    [
        (None, "the gate does not judge that"),
        (0.806, "the gate allows 0.806, by what exact retraining was seen to leave"),
        (1.042, "the gate refuses nothing by that: of so few people exact retraining may show anything (1.042)"),
    ],
)
def test_a_bound_that_refuses_nothing_is_told_as_none(most: float | None, words: str) -> None:
    assert tell_bound(most) == words
