"""The bench of power: the more people, the surer; a model at the margin passes as rarely as it should."""

from dataclasses import replace

import numpy as np
import pytest

from amun.model.references import draw_halves
from bench.power import (
    MARGINS,
    NUM_JUDGES,
    Trained,
    draw_night,
    measure_alarm,
    measure_power,
    print_alarms,
    print_power,
)

NUM_PEOPLE, NUM_REFERENCES = 400, NUM_JUDGES + 4


@pytest.fixture(scope="module")
def trained() -> Trained:
    """References of which all is known: each is surer by 1 of whom it has seen."""
    random = np.random.default_rng(0)
    subjects = np.array([f"person-{number:03}" for number in range(NUM_PEOPLE) for _ in range(2)])
    inclusion = draw_halves(subjects, NUM_REFERENCES, seed=0)
    signals = inclusion + random.normal(size=(len(subjects), 1)) + random.normal(size=inclusion.shape)
    return Trained(signals, inclusion, subjects)


def test_more_people_show_more(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    few, many = (measure_power(trained, count, num_draws=30) for count in (12, 80))
    for small, large in zip(few, many, strict=True):
        assert small.exact <= large.exact
        assert large.untouched == 0
        assert large.at_margin <= 0.2, "5 %, and four standard errors of 30 draws"
    assert [row.margin for row in many] == list(MARGINS)
    assert many[-1].exact > 0.9
    print_power([*few, *many])
    assert capsys.readouterr().out.count("\n") == 1 + 2 + 1


def test_people_are_those_whom_the_base_alone_has_seen(trained: Trained) -> None:
    night = draw_night(trained, 20, np.random.default_rng(1))
    assert night.instrument.evidence.count_people()[0] == 20
    assert night.instrument.evidence.num_references == NUM_JUDGES
    is_forget = night.instrument.evidence.is_forget
    rise = night.base - night.exact
    assert rise[is_forget].mean() == pytest.approx(1, abs=0.6)
    assert rise[~is_forget].mean() == pytest.approx(0, abs=0.4)


def test_one_of_six_people_left_to_the_base_sounds_the_alarm(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    row = measure_alarm(sharpen(trained), 60, num_draws=20)
    assert row.num_people == 60
    assert row.sixth > 0.8
    assert row.exact < 0.25
    print_alarms([row])
    assert capsys.readouterr().out.startswith("60 people, one of six overlooked: alarm ")


def sharpen(trained: Trained) -> Trained:
    """Returns references that are surer by 4 of whom they have seen."""
    return replace(trained, signals=trained.signals + 3 * trained.inclusion)
