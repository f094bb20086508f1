"""What the number of images does to exactly retrained models: how they scatter, how often they are right."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from amun.audit.memory import measure_memory
from amun.audit.night import MAX_ALARMED, NightPower, choose_yardstick, foresee_night
from amun.audit.sizes import ERROR_POWER, ExpectedAccuracy, Sizes, expect_accuracy, extend_accuracy
from amun.store.samples import Samples
from tests.amun.audit.test_memory import World

SAME = Sizes(base=900, reference=900, left=900)


@pytest.mark.parametrize(("left", "growth"), [(900, 1), (1200, 1), (600, 1.5), (450, 2), (1, 900), (0, 900)])
def test_the_variance_grows_as_images_leave_and_is_never_taken_for_smaller(left: int, growth: float) -> None:
    assert replace(SAME, left=left).growth == growth


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        (SAME, 0.9),
        (replace(SAME, left=450), 1 - 0.1 * 2**ERROR_POWER),
        (replace(SAME, left=0), 1 - 0.1 * 900**ERROR_POWER),
        # a base of more images than a reference: between both, by the logarithm
        (Sizes(base=1600, reference=400, left=1600), 0.96),
        (Sizes(base=1600, reference=400, left=800), 0.93),
        (Sizes(base=1600, reference=400, left=400), 0.9),
        (Sizes(base=1600, reference=400, left=200), 1 - 0.1 * 2**ERROR_POWER),
        # a base of fewer: the references' accuracy is its own
        (Sizes(base=600, reference=900, left=600), 0.9),
        (Sizes(base=600, reference=900, left=300), 1 - 0.1 * 2**ERROR_POWER),
    ],
)
def test_accuracy_is_that_of_the_references_carried_to_the_images_left(sizes: Sizes, expected: float) -> None:
    assert extend_accuracy(0.9, sizes, yardstick=0.96) == pytest.approx(max(0.0, expected))


@given(base=st.integers(1, 5000), reference=st.integers(1, 5000), data=st.data())
def test_fewer_images_are_never_expected_to_do_better(base: int, reference: int, data: st.DataObject) -> None:
    more = data.draw(st.integers(0, base))
    fewer = data.draw(st.integers(0, more))
    first, second = (extend_accuracy(0.8, Sizes(base, reference, left), 0.9) for left in (fewer, more))
    assert 0 <= first <= second + 1e-12 <= 0.9 + 2e-12


def make_store(payloads: torch.Tensor, labels: torch.Tensor) -> Samples:
    """Returns samples of a person each."""
    names = np.array([f"id{number:03}" for number in range(len(labels))])
    return Samples(names, names, labels, payloads)


def test_references_tell_of_what_they_never_had_alone() -> None:
    labels = torch.zeros(40, dtype=torch.int64)
    is_seen = torch.zeros(40, 4, dtype=torch.uint8)
    is_seen[::2, :2], is_seen[1::2, 2:] = 1, 1
    # whoever has seen a sample is right; of those who have not, the first and the third are right of three in four
    is_right = is_seen.bool()
    is_right[torch.arange(40) % 8 < 6, 0::2] = True
    logits = torch.stack([is_right.float(), 1 - is_right.float()], dim=2)
    held_out = make_store(torch.zeros(40, 1, 8, 8), labels)
    references, inclusion = make_store(logits, labels), make_store(is_seen, labels)
    told = expect_accuracy(held_out, references, inclusion, SAME, 0.9)
    assert told is not None
    assert told.mean == 0.38, "of 0.375: to two places"
    # each lies 0.375 from the mean of both; half of the samples, so the deviation over all is less by the root of 2
    assert told.deviation == pytest.approx(0.375 / 2**0.5)
    assert expect_accuracy(held_out, references, inclusion, SAME, None) is None
    assert expect_accuracy(held_out, references.slice(0, 0), inclusion, SAME, 0.9) is None
    assert expect_accuracy(held_out.slice(0, 19), references, inclusion, SAME, 0.9) is None


def test_a_chance_is_that_of_a_normal_accuracy() -> None:
    expected = ExpectedAccuracy(0.95, 0.01)
    assert [expected.find_chance(bound) for bound in (0.93, 0.95, 0.97)] == pytest.approx([0.977, 0.5, 0.023], abs=1e-3)
    assert [ExpectedAccuracy(0.95, 0.0).find_chance(bound) for bound in (0.95, 0.951)] == [1, 0]


@pytest.mark.parametrize("growth", [1.6, 2.5])
def test_power_of_fewer_images_is_the_share_of_such_models_that_are_shown(growth: float) -> None:
    """The same people asked of models that scatter more, of which the references know nothing."""
    margin, said, blind, shown = 0.5, list[float](), list[float](), list[bool]()
    for seed in range(100):
        world = World(seed)
        base = world.ask(1.0 * world.is_forget)
        exact = world.unseen + growth**0.5 * (world.ask(0.0) - world.unseen)
        grown, plain = (measure_memory(world.evidence, base, exact, factor) for factor in (growth, 1.0))
        assert grown is not None
        assert plain is not None
        bounds = grown.bound(0.05)
        shown.append(bounds is not None and -margin <= bounds[0] and bounds[1] <= margin)
        said.append(grown.compute_power(margin, 0.05))
        blind.append(plain.compute_power(margin, 0.05))
        assert grown.spread == pytest.approx(plain.spread / growth)
        assert grown.null.max_spread == pytest.approx(plain.null.max_spread)
    assert np.mean(said) == pytest.approx(np.mean(shown), abs=0.12)
    assert np.mean(blind) > np.mean(shown) + 0.05


def foresee(accuracy: ExpectedAccuracy | None, yardstick: float | None) -> NightPower:
    """Returns what a night of the simulated people could show."""
    world = World(0, 60)
    memory = world.measure(1.0)
    people = make_store(torch.zeros(60, 1), torch.zeros(60, dtype=torch.int64))
    bounds = {"margin": 0.5, "max_accuracy_drop": 0.02, "alpha": 0.05}
    return foresee_night(people, people, memory, 16, accuracy, yardstick=yardstick, **bounds)


def test_a_night_is_judged_by_all_of_the_gate() -> None:
    alone = World(0, 60).measure(1.0).compute_power(0.5, 0.05)
    assert foresee(None, None).power == math.floor(100 * alone * (1 - MAX_ALARMED)) / 100, "to two places, not more"
    # the attempt may lose as much as exact retraining is expected to, and two points more: two deviations here
    steady = foresee(ExpectedAccuracy(0.95, 0.01), 0.97)
    assert steady.power == pytest.approx(alone * (1 - MAX_ALARMED) * 0.977 - 0.005, abs=6e-3)
    assert steady.expected_accuracy == 0.95
    # the last exactly trained version was less accurate than is expected: it is the yardstick, and nearer the bound
    unlucky = foresee(ExpectedAccuracy(0.95, 0.01), 0.93)
    assert unlucky.power == pytest.approx(alone * (1 - MAX_ALARMED) - 0.005, abs=6e-3)


def test_no_attempt_is_held_to_more_than_exact_retraining_is_expected_to_have() -> None:
    assert choose_yardstick(0.97, 0.95) == 0.95
    assert choose_yardstick(0.93, 0.95) == 0.93
    assert choose_yardstick(0.97, None) == 0.97
