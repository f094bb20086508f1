"""Who stands out: seldom anybody where all are forgotten, and whoever is remembered where the base remembers enough."""

import numpy as np
import pytest

from amun.audit.memory import Memory, measure_memory
from amun.audit.standing_out import Excesses, bound_scores, fit_scatter
from tests.amun.audit.test_memory import World

REMEMBERED = 3


def measure(world: World, remembered: int | None) -> Memory:
    """Returns what is measured of a model that remembers one person, or nobody."""
    share = (world.codes == remembered) & world.is_forget
    memory = measure_memory(world.evidence, world.ask(1.0 * world.is_forget), world.ask(1.0 * share))
    assert memory is not None
    return memory


@pytest.mark.parametrize("num_forget", [25, 100])
def test_where_all_are_forgotten_somebody_stands_out_once_in_twenty_times(num_forget: int) -> None:
    # samples of one person are alike in these worlds: the scatter of those who have many is larger
    said = [(measure(World(seed, num_forget), None).num_standing_out or 0) > 0 for seed in range(100)]
    assert 0 < np.mean(said) < 0.13  # four standard errors of 100 worlds above 5 %


def test_whoever_is_remembered_stands_out_and_is_named() -> None:
    measured = [measure(World(seed, 40, gap=5.0), REMEMBERED) for seed in range(20)]
    named = [str(memory.people[int(np.argmax(memory.scores))]) for memory in measured]
    assert named.count(f"person-{REMEMBERED:03}") >= 18
    assert sum(memory.num_standing_out == 1 for memory in measured) >= 15


def test_the_scatter_is_that_of_alike_samples() -> None:
    random = np.random.default_rng(0)
    num_samples = random.integers(1, 6, size=20_000).astype(np.float64)
    # of n samples of which each two correlate by .3 the sum has the variance n (1 + .3 (n - 1))
    values = random.normal(size=20_000) * np.sqrt(num_samples * (1 + 0.3 * (num_samples - 1)))
    people = Excesses(values, num_samples, num_samples)
    scatter = fit_scatter([people])
    assert scatter.of_one == pytest.approx(1.0, abs=0.1)
    assert scatter.of_more == pytest.approx(0.3, abs=0.05)
    assert np.std(scatter.score(people)) == pytest.approx(1, abs=0.03)


def test_person_with_many_samples_does_not_decide_how_others_scatter() -> None:
    random = np.random.default_rng(1)
    num_samples = np.concatenate([np.ones(300), [500.0]])
    values = np.concatenate([random.normal(size=300), [3 * np.sqrt(500 * (1 + 0.3 * 499))]])
    people = Excesses(values, num_samples, num_samples)
    assert fit_scatter([people]).of_one == pytest.approx(1.0, abs=0.2)


def test_without_anybody_to_compare_with_nobody_stands_out() -> None:
    people = Excesses(np.array([2.0]), np.array([4.0]), np.array([1.0]))
    assert not (fit_scatter([]).score(people) > bound_scores(1)).any()


def test_whose_samples_tell_nothing_has_no_score() -> None:
    people = Excesses(np.array([2.0, 0.0]), np.array([4.0, 0.0]), np.array([1.0, 1.0]))
    assert fit_scatter([people]).score(people)[1] == 0


def test_the_more_people_the_larger_a_score_may_be() -> None:
    assert bound_scores(1) == pytest.approx(1.645, abs=0.001)
    assert bound_scores(12) < bound_scores(150) < 3.5
