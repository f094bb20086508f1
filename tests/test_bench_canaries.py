"""The bench of canaries: what is said of models is counted, and splits are added up."""

from dataclasses import replace

import pytest

from amun.audit.decision import Decision
from amun.audit.night import NightPower
from amun.selftest.nights import Judgement
from bench.canaries import CanaryRow, add_up, describe, print_rows

APART = "FT AUC 0.700 - 0.5; those who asked look more remembered than canaries"


def judge(passed: bool, reason: str, num_canaries: int, power_asked: float) -> Judgement:
    night = NightPower(
        num_people=2 + num_canaries,
        num_samples=80,
        num_held_out_people=100,
        num_held_out_samples=200,
        num_references=16,
        base_memory=1.0,
        power=0.85,
        num_canaries=num_canaries,
        power_asked=power_asked,
    )
    decision = Decision(passed, reason)
    return Judgement(night, decision, decision, is_contradicted=False)


def test_a_row_counts_sufficient_nights_and_why_a_model_is_refused() -> None:
    row = describe("amun", 2, 6, [judge(True, "", 30, 0.4), judge(False, APART, 40, 0.6)])
    assert replace(row, power_asked=0.5) == CanaryRow("amun", 2, 6, 2, 1, 35.0, {"FT AUC": 1}, 1, 0.5)
    assert row.power_asked == pytest.approx(0.5)
    nothing = describe("amun", 2, 6, [])
    assert (nothing.num_sufficient, nothing.num_passed, nothing.num_canaries) == (0, 0, 0)


def test_splits_are_added_up_by_model_and_size(capsys: pytest.CaptureFixture[str]) -> None:
    first = describe("amun", 2, 6, [judge(True, "", 30, 0.4)])
    second = describe("amun", 2, 6, [judge(False, APART, 60, 0.7), judge(False, APART, 60, 0.7)])
    other = describe("amun", 5, 6, [])
    added = add_up([first, other, second])
    assert added[0].power_asked == pytest.approx(0.6)
    assert replace(added[0], power_asked=0.6) == CanaryRow("amun", 2, 12, 3, 1, 50.0, {"FT AUC": 2}, 2, 0.6)
    assert added[1:] == [other]
    print_rows(added)
    assert capsys.readouterr().out.count("\n") == 3
