"""Waves of a line, as the ledger keeps them."""

from typing import Any

from amun.costs.measured import Past
from amun.evidence.attempts import Judged, Summary
from amun.evidence.costs import StageCost

HERE = "a processor, 1 thread"


def cost(stage: str, seconds: float, num_samples: int | None = None, **others: Any) -> StageCost:
    return StageCost(stage=stage, seconds=seconds, num_samples=num_samples, **{"machine": HERE, **others})


def judge(method: str, passed: bool, **parameters: float) -> Judged:
    return Judged(attempt=1, method=method, parameters=parameters, passed=passed, reason="said")


def make_past(
    *costs: StageCost,
    seconds: float = 100.0,
    decisions: tuple[Judged, ...] = (),
    num_forget: int = 30,
    was_resumed: bool = False,
) -> Past:
    summary = Summary(costs=costs, decisions=decisions, num_forget=num_forget, was_resumed=was_resumed)
    return Past(summary, seconds)
