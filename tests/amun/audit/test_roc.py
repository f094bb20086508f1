"""ROC and AUC: by their definitions, and where scores are turned around."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from amun.audit.roc import (
    People,
    auc_standard_error,
    auc_standard_error_by_person,
    choose_low_rates,
    compute_auc,
    compute_tpr,
    roc_curve_binned,
)
from amun.core.errors import DivergedError

# few values, so that there are ties
SCORES = st.lists(st.integers(0, 5), min_size=1, max_size=30)


def as_scores(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@given(members=SCORES, non_members=SCORES)
@settings(deadline=None)
def test_auc_is_the_share_of_pairs_in_order(members: list[int], non_members: list[int]) -> None:
    pairs = [(member > other) + 0.5 * (member == other) for member in members for other in non_members]
    auc = compute_auc(as_scores(members), as_scores(non_members))
    assert auc == pytest.approx(np.mean(pairs))
    assert compute_auc(-as_scores(members), -as_scores(non_members)) == pytest.approx(1 - auc)


@given(members=SCORES, non_members=SCORES)
@settings(deadline=None)
def test_the_curve_holds_the_best_rate_at_each_point_of_the_grid(members: list[int], non_members: list[int]) -> None:
    # with a low rate that lets one of the longest lists be taken
    grid = np.sort(np.append(np.arange(21) / 20, 0.04))
    rates = roc_curve_binned(as_scores(members), as_scores(non_members), grid)
    thresholds = [*range(6), 6]
    reachable = [
        (np.mean(np.array(non_members) >= threshold), np.mean(np.array(members) >= threshold))
        for threshold in thresholds
    ]
    expected = [max(hit for false, hit in reachable if false <= point + 1e-9) for point in grid]
    np.testing.assert_allclose(rates, expected)


@pytest.mark.parametrize(
    ("num_people", "per_person", "low"),
    [(99, 1, []), (249, 1, []), (250, 1, [0.02]), (5000, 1, [0.001, 0.002, 0.005, 0.01, 0.02]), (250, 20, [0.02])],
)
def test_the_curve_goes_down_to_where_five_people_are_mistaken(
    num_people: int, per_person: int, low: list[float]
) -> None:
    # each person's images look alike
    strangers = np.repeat(np.arange(num_people).astype(str), per_person)
    non_members = torch.arange(num_people).repeat_interleave(per_person)
    nobody = torch.full((30,), -1)
    assert sorted(choose_low_rates(nobody, np.arange(30).astype(str), non_members, strangers)) == low


def test_low_rate_at_which_single_people_are_found_is_none() -> None:
    strangers, non_members = np.arange(1000).astype(str), torch.arange(1000)
    owners = np.repeat(np.arange(10).astype(str), 10)
    members = torch.zeros(100)
    # ten images of one person lie above all of those never seen; then one image of each of five
    members[:10] = 2000
    assert choose_low_rates(members, owners, non_members, strangers) == set()
    members[::10] = 985
    assert choose_low_rates(members, owners, non_members, strangers) == {0.02}


def test_the_standard_error_is_that_of_hanley_and_mcneil_at_one_half() -> None:
    members, others, auc = 150, 450, 0.5
    first, second = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (members - 1) * (first - auc**2) + (others - 1) * (second - auc**2)
    assert auc_standard_error(members, others) == pytest.approx((variance / (members * others)) ** 0.5)


def test_by_person_the_standard_error_is_the_spread_of_people_drawn_whole() -> None:
    random, num_people, sizes = np.random.default_rng(0), 60, np.array([1, 2, 3, 6])

    def draw(shift: float) -> tuple[Tensor, People]:
        people = np.repeat(np.arange(num_people), np.tile(sizes, num_people // len(sizes)))
        own = random.normal(shift, 1, num_people)
        return as_scores((own[people] + random.normal(0, 0.5, len(people))).tolist()), people.astype(np.str_)

    aucs, errors = [], []
    for _ in range(300):
        (scores, people), (others, strangers) = draw(0.4), draw(0.0)
        aucs.append(compute_auc(scores, others))
        errors.append(auc_standard_error_by_person(scores, others, people, strangers))
    assert np.mean(errors) == pytest.approx(np.std(aucs), rel=0.1)
    assert np.mean(errors) > 1.5 * auc_standard_error(len(scores), len(others))


@pytest.mark.parametrize("is_member", [True, False])
def test_what_is_no_number_is_no_score(is_member: bool) -> None:
    spoilt, sound = as_scores([0.5, math.nan, 1.0]), as_scores([0.5, 0.75, -math.inf])
    names = np.array(["a", "b", "c"])
    first, second = (spoilt, sound) if is_member else (sound, spoilt)
    for measure in (
        lambda: compute_auc(first, second),
        lambda: roc_curve_binned(first, second, np.array([0.5])),
        lambda: compute_tpr(first, second, 0.1),
        lambda: auc_standard_error_by_person(first, second, names, names),
    ):
        with pytest.raises(DivergedError, match="no numbers"):
            measure()
    assert compute_auc(sound, sound) == pytest.approx(0.5), "without end is a number"


def test_by_person_the_standard_error_is_no_less_than_by_image() -> None:
    scores, names = as_scores([0.0] * 6), np.array(["a", "b", "c", "d", "e", "f"])
    assert auc_standard_error_by_person(scores, scores, names, names) == auc_standard_error(6, 6), "all are alike"
    one = np.array(["a"] * 6)
    assert auc_standard_error_by_person(as_scores(range(6)), scores, one, names) == auc_standard_error(6, 6)


def test_the_standard_error_is_the_spread_of_meaningless_scores() -> None:
    generator = torch.Generator().manual_seed(0)
    draws = torch.rand(500, 70, generator=generator)
    spread = np.std([compute_auc(draw[:20], draw[20:]) for draw in draws])
    assert spread == pytest.approx(auc_standard_error(20, 50), rel=0.1)
