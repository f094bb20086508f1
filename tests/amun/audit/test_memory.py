"""Memory left: simulated truths come back, intervals by person cover, and what says nothing says so."""

from dataclasses import replace
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amun.audit.memory import Instrument, Memory, compare_totals, measure_memory
from amun.audit.observations import Evidence
from amun.audit.overlooked import weigh_overlooked
from amun.evidence.wave import MIN_PEOPLE
from amun.model.references import draw_halves

Floats = npt.NDArray[np.float64]
NUM_REFERENCES = 16
LIKENESS = 0.6  # of one person's samples: the share of a model's variance that they have in common


class World:
    """People with samples of which all is known: how sure models are that had them, and that had not."""

    def __init__(
        self,
        seed: int,
        num_forget: int = 60,
        num_held_out: int = 120,
        *,
        style: float = 0.0,
        gap: float = 1.0,
        largest: int | None = None,
    ):
        self.seed, self.random = seed, np.random.default_rng(seed)
        sizes = self.random.integers(1, 6, size=num_forget + num_held_out)
        sizes[0] = sizes[0] if largest is None else largest
        self.codes = np.repeat(np.arange(len(sizes)), sizes)
        self.is_forget = self.codes < num_forget
        difficulty = self.random.normal(size=len(self.codes))
        # hard samples are those that are learned by heart
        self.unseen = -difficulty
        self.gap = gap + np.maximum(difficulty, 0)
        self.style = style * self.is_forget
        subjects = np.array([f"person-{code:03}" for code in self.codes])
        inclusion = draw_halves(subjects, NUM_REFERENCES, seed)
        signals = np.stack([self.ask(inclusion[:, k].astype(np.float64)) for k in range(NUM_REFERENCES)], axis=1)
        self.evidence = Evidence(signals, inclusion, subjects, self.is_forget)

    def ask(self, memory: npt.ArrayLike, random: np.random.Generator | None = None) -> Floats:
        """Returns the signals of a newly trained model that has this share of the memory of each sample."""
        random = random or self.random
        alike = random.normal(size=self.codes.max() + 1)[self.codes]
        noise = np.sqrt(LIKENESS) * alike + np.sqrt(1 - LIKENESS) * random.normal(size=len(self.codes))
        # all of one style move together, another way in each training; and every model is surer or less sure of all
        shift = self.style * random.normal() + random.normal()
        signals: Floats = self.unseen + np.asarray(memory) * self.gap + noise + shift
        return signals

    @cached_property
    def instrument(self) -> Instrument:
        """What the references say, whatever model is asked: it takes nearly all of the time of a measurement."""
        return Instrument(self.evidence)

    def measure(self, share: float) -> Memory:
        """Returns what is measured of a model with this share of the memory, beside a base that has all of it."""
        random = np.random.default_rng((self.seed, 1))  # the same answer, whoever has asked before
        base, unlearned = (self.ask(part * self.is_forget, random) for part in (1.0, share))
        return compare_totals(self.instrument, base, unlearned)


@cache
def find_world(seed: int, num_forget: int = 60) -> World:
    """Returns a world that several tests look at."""
    return World(seed, num_forget)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_known_share_comes_back_and_its_interval_covers(share: float) -> None:
    measured = [find_world(seed).measure(share) for seed in range(200)]
    assert np.median([memory.left for memory in measured]) == pytest.approx(share, abs=0.04)
    bounds = [memory.bound(0.05) for memory in measured]
    missed_above = np.mean([bound is not None and bound[1] < share for bound in bounds])
    missed_below = np.mean([bound is not None and bound[0] > share for bound in bounds])
    # three standard errors of 200 draws above 5 %
    assert missed_above < 0.1
    assert missed_below < 0.1


def test_people_of_one_style_move_together_and_the_references_show_it() -> None:
    """Nobody remembers them, but in each training they all look surer, or less sure, than other people."""
    measured = [World(seed, style=0.5).measure(0.0) for seed in range(120)]
    outside = np.mean([bound is not None and not bound[0] <= 0 <= bound[1] for bound in map(_bound, measured)])
    blind = [replace(memory, null=replace(memory.null, between=0.0)) for memory in measured]
    outside_blind = np.mean([bound is not None and not bound[0] <= 0 <= bound[1] for bound in map(_bound, blind)])
    assert outside < 0.16 < outside_blind


@pytest.mark.long
@pytest.mark.parametrize(
    ("share", "people"),
    [(0.0, {}), (0.5, {}), (0.0, {"style": 0.5})],
    ids=["forgotten", "half remembered", "of one style"],
)
def test_intervals_of_95_percent_cover_over_400_seeds(share: float, people: dict[str, Any]) -> None:
    """The shares stand in docs/audit.md; one standard error of 400 draws is 1.1 %."""
    bounds = _draw_bounds(share, **people)
    assert len(bounds) > 380
    assert 0.925 <= np.mean([lower <= share <= upper for lower, upper in bounds]) <= 0.975


@pytest.mark.long
def test_of_one_person_with_most_of_the_images_nothing_wrong_is_said() -> None:
    bounds = _draw_bounds(0.0, largest=300)
    assert len(bounds) > 50
    assert np.mean([lower <= 0 <= upper for lower, upper in bounds]) >= 0.925


def _draw_bounds(share: float, **people: Any) -> list[tuple[float, float]]:
    """Returns the bounds of 95 % of 400 worlds, where there are any."""
    bounds = [World(1000 + seed, **people).measure(share).bound(0.025) for seed in range(400)]
    return [bound for bound in bounds if bound is not None]


def _bound(memory: Memory) -> tuple[float, float] | None:
    return memory.bound(0.05)


@pytest.mark.parametrize("num_forget", [25, 60])
def test_power_is_the_share_of_exact_models_that_are_shown_to_be_so(num_forget: int) -> None:
    margin = 0.4
    measured = [find_world(seed, num_forget).measure(0.0) for seed in range(150)]
    shown = [bound is not None and -margin <= bound[0] and bound[1] <= margin for bound in map(_bound, measured)]
    power = [memory.compute_power(margin, 0.05) for memory in measured]
    assert np.mean(power) == pytest.approx(np.mean(shown), abs=0.12)
    assert 0.02 < np.mean(shown) < 0.98, "neither certain nor hopeless, or it shows nothing"


@pytest.mark.parametrize(("num_forget", "margin"), [(60, 0.6), (120, 0.4)])
def test_a_share_that_is_said_to_be_noticed_is_refused_as_often(num_forget: int, margin: float) -> None:
    refused, shares = list[bool](), list[float]()
    for seed in range(150):
        world = find_world(seed, num_forget)
        share = world.measure(0.0).find_noticed(margin, 0.05, 0.8)
        if share is None:
            continue
        overlooked = np.isin(world.codes, world.random.permutation(num_forget)[: round(share * num_forget)])
        memory = compare_totals(world.instrument, world.ask(1.0 * world.is_forget), world.ask(1.0 * overlooked))
        bounds = _bound(memory)
        refused.append(bounds is None or bounds[0] < -margin or bounds[1] > margin)
        shares.append(share)
    assert len(refused) > 50
    assert np.mean(refused) == pytest.approx(0.8, abs=0.1)
    assert 0.1 < np.mean(shares) < margin + 0.1, "all of them would be noticed in any night"


def test_where_exact_retraining_is_refused_too_often_nothing_is_said_to_be_noticed() -> None:
    memory = World(0, 25).measure(0.0)
    assert memory.compute_power(0.1, 0.05) < 0.8
    assert memory.find_noticed(0.1, 0.05, 0.8) is None


def test_people_kept_and_people_pushed_below_strangers_cancel_in_the_total_and_not_in_the_spread() -> None:
    for seed in range(10):
        world = World(seed, 150)
        kept = np.where(world.codes % 2 == 0, 1.0, -1.0) * world.is_forget
        evidence, base = world.evidence, world.ask(1.0 * world.is_forget)
        mixed, exact = (measure_memory(evidence, base, world.ask(share)) for share in (kept, 0.0))
        assert mixed is not None
        assert exact is not None
        assert abs(mixed.left) < 0.5, "the total alone would take it for forgotten"
        assert mixed.spread > mixed.null.max_spread
        assert exact.spread <= exact.null.max_spread


def test_one_of_six_people_who_is_overlooked_hardly_moves_the_total_and_is_seen_all_the_same() -> None:
    seen: list[bool] = []
    false_alarms: list[bool] = []
    for seed in range(25):
        world = World(seed, 120, gap=2.0)
        evidence, base = world.evidence, world.ask(1.0 * world.is_forget)
        some = world.codes % 6 == 0
        for found, kept in ((seen, some), (false_alarms, np.zeros_like(some))):
            memory = measure_memory(evidence, base, world.ask(1.0 * (kept & world.is_forget)))
            assert memory is not None
            assert memory.left < 0.4
            found.append(memory.overlooked > memory.null.max_overlooked)
    assert np.mean(seen) > 0.8
    assert np.mean(false_alarms) < 0.2


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_signals_that_are_no_numbers_give_no_figure(value: float) -> None:
    world = World(5)
    base = world.ask(1.0 * world.is_forget)
    broken = world.evidence.signals.copy()
    broken[3, 2] = value
    assert measure_memory(replace(world.evidence, signals=broken), base, base) is None
    spoilt = np.where(np.arange(len(base)) == 3, value, base)
    assert measure_memory(world.evidence, spoilt, base) is None
    assert measure_memory(world.evidence, base, spoilt) is None


def test_references_that_saw_nearly_everybody_show_nothing_and_fewer_than_six_are_too_few() -> None:
    world = World(6)
    base = world.ask(1.0 * world.is_forget)
    evidence = replace(
        world.evidence, signals=world.evidence.signals[:, :8], inclusion=world.evidence.inclusion[:, :8].copy()
    )
    for kept, shown in ((7, 3), (6, 3), (5, None)):
        # one reference more has had everybody who is to be forgotten, and its twin nobody
        pair = 2 * (7 - kept)
        evidence.inclusion[world.is_forget, pair], evidence.inclusion[world.is_forget, pair + 1] = True, False
        memory = measure_memory(evidence, base, base)
        assert (memory and memory.null.num_pairs) == shown
    with pytest.raises(ValueError, match="fewer than 6 references"):
        compare_totals(Instrument(evidence), base, base)


def test_no_surprise_is_what_lies_within_three_deviations_of_the_references() -> None:
    world = find_world(0)
    squares, overlooked = [], []
    for reference in range(NUM_REFERENCES):
        instrument = Instrument(world.evidence.leave_out(reference))
        people = instrument.weigh(world.evidence.signals[~world.evidence.inclusion[:, reference], reference]).forget
        squares.append(np.mean(np.square(people)))
        overlooked.append(weigh_overlooked(people, instrument.scales))
    null = world.measure(0.0).null
    assert null.max_spread == pytest.approx(1 + 3 * np.std(squares) / np.mean(squares))
    assert null.max_overlooked == pytest.approx(np.mean(overlooked) + 3 * np.std(overlooked))


def test_a_base_is_wholly_itself() -> None:
    world = World(0)
    base = world.ask(1.0 * world.is_forget)
    memory = measure_memory(world.evidence, base, base)
    assert memory is not None
    assert memory.left == 1
    assert memory.base_total == pytest.approx(memory.scale, rel=0.5)


def test_a_base_that_remembers_nothing_bounds_nothing() -> None:
    world = World(1)
    memory = measure_memory(world.evidence, world.ask(0.0), world.ask(0.0))
    assert memory is not None
    assert memory.bound(0.05) is None
    assert memory.compute_power(0.5, 0.05) < 0.5


@pytest.mark.parametrize(
    ("num_forget", "num_held_out", "is_measured"),
    [(MIN_PEOPLE, 40, True), (MIN_PEOPLE - 1, 40, False), (40, MIN_PEOPLE - 1, False), (40, MIN_PEOPLE, True)],
)
def test_a_handful_of_people_has_no_figure(num_forget: int, num_held_out: int, is_measured: bool) -> None:
    world = World(2, num_forget, num_held_out)
    assert (measure_memory(world.evidence, world.ask(0.0), world.ask(0.0)) is not None) is is_measured


@pytest.mark.parametrize(("num_references", "is_measured"), [(4, False), (6, True)])
def test_a_handful_of_references_gives_no_figure(num_references: int, is_measured: bool) -> None:
    world = World(3)
    evidence = replace(
        world.evidence,
        signals=world.evidence.signals[:, :num_references],
        inclusion=world.evidence.inclusion[:, :num_references],
    )
    assert (measure_memory(evidence, world.ask(1.0), world.ask(0.0)) is not None) is is_measured


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), factor=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_order_unit_and_origin_of_the_signals_do_not_matter(seed: int, factor: float, shift: float) -> None:
    world = World(seed)
    base, unlearned = world.ask(1.0 * world.is_forget), world.ask(0.3 * world.is_forget)
    evidence, order = world.evidence, world.random.permutation(len(base))
    other = Evidence(
        evidence.signals[order] * factor + shift,
        evidence.inclusion[order],
        evidence.subjects[order],
        evidence.is_forget[order],
    )
    first = measure_memory(evidence, base, unlearned)
    # a model that is surer of everything by the same amount remembers nobody the more
    second = measure_memory(other, base[order] * factor + shift, unlearned[order] * factor - shift)
    assert first is not None
    assert second is not None
    assert second.left == pytest.approx(first.left)
    assert second.bound(0.05) == pytest.approx(first.bound(0.05))


def test_references_to_which_it_makes_no_difference_give_no_figure() -> None:
    world = World(4)
    flat = replace(world.evidence, signals=np.ones_like(world.evidence.signals))
    assert measure_memory(flat, np.ones(len(world.codes)), np.ones(len(world.codes))) is None


def test_a_handful_of_samples_has_no_figure() -> None:
    world = World(6, 14, 40)
    first = np.unique(world.codes, return_index=True)[1]
    ones = world.evidence
    one_each = Evidence(ones.signals[first], ones.inclusion[first], ones.subjects[first], ones.is_forget[first])
    assert one_each.count_samples() == (14, 40)
    assert measure_memory(one_each, world.ask(1.0)[first], world.ask(0.0)[first]) is None
