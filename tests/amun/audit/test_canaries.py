"""Canaries are like those who asked and like the others; who asked is told apart only where treated otherwise."""

import numpy as np
import pytest

from amun.audit.canaries import ALPHA, LEAST_SCORE, MAX_RATIO, NUM_LIKE, Likeness, RunScores, has_enough, match_canaries
from amun.audit.observations import Floats


def like(*people: tuple[float, float]) -> Likeness:
    """Returns people of so many images and such a score each."""
    num_samples, scores = np.array(people).T
    return Likeness(num_samples, scores)


def test_whoever_asked_gets_three_like_them_and_whoever_is_drawn_gets_one() -> None:
    asked, drawn = like((2, 4.0)), like((10, 8.0), (1, 1.0), (1, 1.0))
    pool = like((10, 8.1), (2, 4.4), (2, 3.9), (40, 4.0), (2, 5.0), (1, 1.1), (1, 0.3))
    assert set(match_canaries(asked, drawn, pool, 4).tolist()) == {1, 2, 4, 0}
    assert set(match_canaries(asked, drawn, pool, 6).tolist()) == {1, 2, 4, 0, 5, 6}


def draw(seed: int, size: int, mean: float = 1.0) -> Likeness:
    """Returns people of unlike scores, log-normal around a mean."""
    random = np.random.default_rng(seed)
    return Likeness(random.integers(1, 5, size=size).astype(float), mean * np.exp(random.normal(0, 0.5, size=size)))


def test_each_is_taken_once_and_is_like_somebody() -> None:
    asked, drawn, pool = draw(0, 3), draw(1, 40), draw(2, 300)
    matched = match_canaries(asked, drawn, pool, 40)
    assert len(set(matched.tolist())) == len(matched) >= 38
    for person in range(3):
        own = matched[person : 3 * NUM_LIKE : 3]
        ratios = pool.num_samples[own] / asked.num_samples[person]
        scores = np.maximum(pool.scores[own], LEAST_SCORE) / max(asked.scores[person], LEAST_SCORE)
        assert (np.maximum(ratios, 1 / ratios) <= MAX_RATIO).all()
        assert (np.maximum(scores, 1 / scores) <= MAX_RATIO).all()


def test_a_pool_unlike_the_people_gives_nobody_though_some_are_like_whoever_asked() -> None:
    """Else the night is judged by the others of the pool, and those who asked weigh nothing in it."""
    asked, drawn = like((2, 3.0)), draw(0, 70, mean=3.0)
    alike, others = [(2, 3.0)] * 3, [(2, 30.0)] * 150
    assert match_canaries(asked, drawn, like(*alike, *others), 73).tolist() == []
    # such a pool is none for twelve, either
    assert match_canaries(asked, drawn, like(*alike, *others), 12).tolist() == []
    assert len(match_canaries(asked, like(*[(2, 30.0)] * 70), like(*alike, *others), 73)) >= 70


def test_canaries_weigh_as_the_people_do_and_not_as_the_pool() -> None:
    asked, drawn = draw(0, 1), draw(1, 60)
    pool = draw(2, 400, mean=2.0)
    matched = match_canaries(asked, drawn, pool, 60)
    weight = np.mean(pool.scores[matched[NUM_LIKE:]] ** 2) / np.mean(drawn.scores[: 60 - NUM_LIKE] ** 2)
    assert weight < 1.5
    assert np.mean(pool.scores**2) / np.mean(drawn.scores**2) > 3


def test_there_are_none_where_somebody_who_asked_is_like_too_few() -> None:
    pool, drawn = like(*[(1, 3.0)] * 20), like(*[(1, 3.0)] * 20)
    assert len(match_canaries(like((1, 3.0)), drawn, pool, 12)) == 12
    assert match_canaries(like((1, 3.0), (9, 3.0)), drawn, pool, 12).tolist() == []
    assert match_canaries(like((1, 3.0)), drawn, like((1, 3.0), (1, 3.0), *[(1, 30.0)] * 20), 12).tolist() == []


@pytest.mark.parametrize("order", [(4.0, 8.5), (8.5, 4.0)])
def test_whoever_comes_first_takes_nobody_from_others(order: tuple[float, float]) -> None:
    asked, pool = like(*((1, score) for score in order)), like(*[(1, 5.0)] * 3, *[(1, 2.1)] * 3)
    assert sorted(match_canaries(asked, asked, pool, 6).tolist()) == [0, 1, 2, 3, 4, 5]


def test_many_who_asked_get_fewer_each() -> None:
    asked, pool = like(*[(1, 3.0)] * 10), like(*[(1, 3.0)] * 40)
    assert len(match_canaries(asked, asked, pool, 15)) == 15
    assert match_canaries(like(*[(1, 3.0)] * 16), asked, pool, 15).tolist() == []


def test_of_whoever_is_hardly_remembered_that_is_all_there_is_to_match() -> None:
    pool, nobody = like((1, 9.0), (1, 0.9 * LEAST_SCORE), (1, 0.5), (1, 0.0)), like((1, 0.1))
    assert sorted(match_canaries(like((1, 0.1)), nobody, pool, 3).tolist()) == [1, 2, 3]


def simulate(seed: int, asked: Floats, canaries: Floats, share: float, share_asked: float) -> RunScores:
    """Returns scores of people of whom a run leaves such shares; expected ones are those of references."""
    expected = np.concatenate([asked, canaries])
    is_canary = np.arange(len(expected)) >= len(asked)
    left = np.where(is_canary, share, share_asked) * expected
    names = np.arange(len(expected)).astype(np.str_)
    return RunScores(names, left + np.random.default_rng(seed).normal(size=len(left)), expected, is_canary)


def mix(num_asked: int, of_asked: float, of_others: float) -> tuple[Floats, Floats]:
    """Returns the expected scores of those who asked, and of 60 canaries of whom three each are like them."""
    alike = NUM_LIKE * num_asked
    return np.full(num_asked, of_asked), np.concatenate([np.full(alike, of_asked), np.full(60 - alike, of_others)])


@pytest.mark.parametrize("num_asked", [1, 2, 5])
@pytest.mark.parametrize(("of_asked", "of_others"), [(6.0, 1.5), (1.5, 6.0), (3.0, 3.0)])
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_whoever_is_treated_alike_seldom_stands_apart(
    num_asked: int, of_asked: float, of_others: float, share: float
) -> None:
    said = [simulate(seed, *mix(num_asked, of_asked, of_others), share, share).is_apart for seed in range(600)]
    assert np.mean(said) < ALPHA + 0.02


@pytest.mark.parametrize("num_asked", [1, 2, 5])
@pytest.mark.parametrize("of_asked", [1.5, 3.0])
def test_the_chance_to_see_that_none_was_forgotten_comes_true(num_asked: int, of_asked: float) -> None:
    """Where the others are remembered more than those who asked, it is not theirs that is told."""
    people = mix(num_asked, of_asked, 5.0)
    said = [simulate(seed, *people, share=0.0, share_asked=1.0).is_apart for seed in range(400)]
    told = [simulate(seed, *people, share=1.0, share_asked=1.0).find_power() for seed in range(50)]
    # the largest of several is looked at besides, and sees a little more
    assert np.mean(said) - 0.12 < np.mean(told) < np.mean(said) + 0.04


@pytest.mark.parametrize(("num_asked", "least"), [(1, 0.2), (2, 0.25), (5, 0.5)])
def test_whoever_is_overlooked_beside_a_rest_of_those_remembered_more_is_seen(num_asked: int, least: float) -> None:
    people = mix(num_asked, 1.5, 5.0)
    said = [simulate(seed, *people, share=0.3, share_asked=1.0).is_apart for seed in range(400)]
    assert np.mean(said) > least
    assert np.mean([simulate(seed, *mix(num_asked, 6.0, 1.5), 0.3, 1.0).is_apart for seed in range(200)]) > 0.9


def test_one_who_is_overlooked_among_five_is_seen() -> None:
    asked, canaries = mix(5, 4.0, 4.0)
    runs = [simulate(seed, asked, canaries, share=0.0, share_asked=0.0) for seed in range(300)]
    seen = [RunScores(run.people, run.scores + 4.5 * (run.people == "0"), run.expected, run.is_canary) for run in runs]
    assert np.mean([run.is_apart for run in seen]) > 0.85


def test_what_is_no_number_stands_apart() -> None:
    run = simulate(0, *mix(2, 3.0, 3.0), 0.0, 0.0)
    for place in (0, 1, 30):
        scores = run.scores.copy()
        scores[place] = np.nan
        assert RunScores(run.people, scores, run.expected, run.is_canary).is_apart


def test_canaries_that_are_alike_by_chance_make_nobody_suspect() -> None:
    run = simulate(0, *mix(1, 3.0, 3.0), 0.0, 0.0)
    scores = np.where(run.is_canary, 0.2, 0.2 + 1e-9)
    assert not RunScores(run.people, scores, run.expected, run.is_canary).is_apart


def test_of_one_person_the_chance_tells_which_canaries_are_like_them_alone() -> None:
    asked, canaries = mix(1, 3.0, 6.0)
    told = {simulate(3, asked + more, canaries, 1.0, share).find_power() for more in (0.0, 0.1) for share in (0, 1)}
    assert len(told) == 1


@pytest.mark.parametrize(("num_asked", "num_canaries"), [(40, 11), (0, 40)])
def test_nothing_is_said_of_too_few(num_asked: int, num_canaries: int) -> None:
    assert not has_enough(np.arange(num_asked + num_canaries) >= num_asked)
    assert has_enough(np.arange(13) >= 1)
