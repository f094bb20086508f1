"""What the demo says at its end, where it was seen what exact retraining leaves."""

from dataclasses import replace

import pytest

from amun.evidence.attempts import Summary
from amun.evidence.figures import ReportFigures
from flows.demo import tell_traces
from tests.flows.pages.test_wave_tables import make_wave


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        (
            {"trace_by_person": 0.6, "max_trace_by_person": 0.806},
            ["wave 3: trace by person 0.60; exact retraining hardly ever leaves more than 0.81"],
        ),
        (
            {"trace_by_person": 0.6, "max_trace_by_person": 1.042},
            [
                "wave 3: trace by person 0.60; nothing is refused by it: of so few people exact retraining may show "
                "anything (bound 1.04)"
            ],
        ),
        ({"trace_by_person": 0.6}, []),
        ({"max_trace_by_person": 0.8}, []),
        ({}, []),
    ],
)
def test_the_bound_stands_beside_the_trace(figures: dict[str, float], said: list[str]) -> None:
    summary = Summary(test=ReportFigures.model_validate(figures))
    assert tell_traces([make_wave(0), replace(make_wave(3), summary=summary)]) == said
