"""What a version's description says of the bounds on the traces."""

from types import SimpleNamespace
from typing import cast

import pytest

from amun.evidence.attempts import Judged
from amun.evidence.figures import AuditFigures
from tasks.views.descriptions import _tell_attempts, tell_bound
from tasks.views.facts import WaveFacts
from tests.amun.shipped import PARAMS


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


@pytest.mark.parametrize(
    ("fixed", "seen", "words"),
    [
        (0.62, None, ", and for max(trace, 1 - trace) of at most 0.62, all"),
        (0.62, 0.7204, ", and for max(trace, 1 - trace) of at most 0.720, as exact retraining was seen to leave, all"),
        (0.62, 1.0, "exactly trained version, all"),
        (None, 0.72, "exactly trained version, all"),
    ],
)
def test_the_bound_on_the_trace_by_image_is_the_one_that_judged(
    fixed: float | None, seen: float | None, words: str
) -> None:
    facts = SimpleNamespace(
        gate=PARAMS.gate.model_copy(update={"max_trace": fixed}),
        audited=AuditFigures(max_trace=seen),
        attempts=(Judged(attempt=1, method="amun", passed=True, reason="it passed"),),
    )
    assert words in _tell_attempts(cast(WaveFacts, facts))
