"""Earlier waves looked at again: everybody's turn comes, whoever cannot tell is left out, and remembering is seen."""

from dataclasses import replace
from math import ceil, floor

import numpy as np
import pytest

from amun.audit.earlier import Earlier, choose_earlier, expect_base_memory, judge_earlier
from amun.audit.memory import Instrument, compare_totals
from amun.audit.night import ALPHA, NightPower
from amun.evidence.earlier import EarlierFigures
from amun.evidence.wave import ForgottenWave, Wave
from amun.store.samples import StoredOwners
from tests.amun.audit.test_memory import Floats, World

SECRET = bytes(32)
LIMIT = 20
MARGIN = 0.5
# what whoever is never further from the next turn than the largest gap has seen after so many turns (three gaps)
TURNS_A_ROUND = 2.7


def make_wave(number: int, *forgotten: ForgottenWave) -> Wave:
    tonight = ForgottenWave(number=number, subject_keys=[], forget_ids=["tonight"], held_out_ids=[])
    return Wave(
        number=number,
        model="digits",
        kind="deletion",
        secret_fingerprint="",
        base_version=1,
        base_digest="",
        yardstick=None,
        forgetting=tonight,
        forgotten=list(forgotten),
    )


def make_forgotten(number: int, sample_ids: list[str], **more: list[str]) -> ForgottenWave:
    return ForgottenWave(number=number, subject_keys=[], forget_ids=sample_ids, held_out_ids=[], **more)


def own(num_people: int, is_erased: bool = False) -> StoredOwners:
    """Returns the owners of two samples for each of so many people."""
    people = np.repeat([f"person-{number}" for number in range(num_people)], 2)
    ids = np.array([f"sample-{number}" for number in range(2 * num_people)])
    return StoredOwners(ids, people, np.full(len(ids), is_erased))


def test_everybody_has_a_turn_though_more_join_each_night() -> None:
    train = own(300)
    num_people, last = 100, dict.fromkeys(range(100), 0)
    longest = TURNS_A_ROUND * 260 / LIMIT
    assert longest < 40, "or this shows nothing"
    for number in range(1, 81):
        for person in range(num_people, num_people + 2):
            last[person] = number
        num_people += 2
        forgotten = make_forgotten(1, [f"sample-{place}" for place in range(2 * num_people)])
        earlier = choose_earlier(make_wave(3 * number, forgotten), train, SECRET, LIMIT, number)
        assert (earlier.num_people, earlier.num_held) == (LIMIT, num_people)
        assert len(earlier.sample_ids) == 2 * LIMIT, "people come with all of their samples"
        for sample_id in earlier.sample_ids:
            last[int(sample_id.removeprefix("sample-")) // 2] = number
        assert number - min(last.values()) <= longest


def test_a_turn_has_the_same_people_however_often_it_is_tried() -> None:
    train, forgotten = own(100), make_forgotten(1, [f"sample-{place}" for place in range(200)])
    first, again, next_one = (
        choose_earlier(make_wave(number, forgotten), train, SECRET, LIMIT, turn)
        for number, turn in ((5, 3), (6, 3), (6, 4))
    )
    assert first == again, "a wave that was parked is tried again under another number"
    assert not set(first.sample_ids) & set(next_one.sample_ids)
    other = choose_earlier(make_wave(5, forgotten), train, bytes([1] * 32), LIMIT, 3)
    assert set(first.sample_ids) != set(other.sample_ids), "nobody without the secret knows whom"


def test_canaries_are_not_looked_at_in_the_place_of_those_who_asked() -> None:
    """Requesters are erased in time and canaries never: in the end nobody else would be looked at."""
    train, ids = own(40), [f"sample-{place}" for place in range(80)]
    canaries = {"canary_ids": ids[4:], "canary_keys": ["nobody"]}
    earlier = choose_earlier(make_wave(2, make_forgotten(1, ids, **canaries)), train, SECRET, LIMIT, 1)
    assert (earlier.sample_ids, earlier.num_people, earlier.num_held) == (ids[:4], 2, 2)


def test_whoever_is_erased_or_cannot_tell_is_left_out() -> None:
    train = own(6)
    train = replace(train, is_erased=train.subject_ids == "person-0")
    ids = [f"sample-{place}" for place in range(10)]
    first = make_forgotten(1, ids[:4], twin_ids=["sample-2"])
    second = make_forgotten(2, [*ids[4:], "not in this base"], shared_ids=["sample-4", "sample-5", "sample-7"])
    earlier = choose_earlier(make_wave(3, first, second), train, SECRET, LIMIT, 1)
    assert sorted(earlier.sample_ids) == ["sample-3", "sample-6", "sample-8", "sample-9"]
    assert (earlier.num_people, earlier.num_held) == (3, 3)


@pytest.fixture(scope="module")
def instruments() -> list[tuple[World, Instrument]]:
    """People, and the references that look at them: what takes time, once for all models that are asked."""
    worlds = [World(seed, num_forget=80) for seed in range(3)]
    return [(world, Instrument(world.evidence)) for world in worlds]


def judge(
    asked: tuple[World, Instrument], signals: Floats, base_memory: float = 1.0, margin: float = MARGIN
) -> EarlierFigures:
    return judge_earlier(Earlier([], 80, 300), compare_totals(asked[1], signals, signals), base_memory, margin)


def judge_many(instruments: list[tuple[World, Instrument]], share: float) -> list[EarlierFigures]:
    """Returns what is said of models that remember this share of the people, whom the references had."""
    return [judge(one, one[0].ask(share * one[0].is_forget)) for one in instruments for _ in range(40)]


def test_a_model_that_remembers_again_is_seen_and_one_that_has_forgotten_is_not(
    instruments: list[tuple[World, Instrument]],
) -> None:
    remembering, forgetting = (judge_many(instruments, share) for share in (1.0, 0.0))
    assert np.mean([figures.brings_back for figures in remembering]) > 0.9
    assert not any(figures.brings_back for figures in forgetting)
    for figures, share in ((remembering, 1.0), (forgetting, 0.0)):
        measured = [(one.memory_left_lower, one.memory_left, one.memory_left_upper) for one in figures]
        lower, left, upper = np.array(measured, dtype=np.float64).T
        assert np.median(left) == pytest.approx(share, abs=0.1)
        assert np.mean((lower <= share) & (share <= upper)) > 0.85, "each bound misses 5 %"


def test_a_model_at_the_margin_is_seldom_said_to_bring_people_back(
    instruments: list[tuple[World, Instrument]],
) -> None:
    assert 0 < np.mean([figures.brings_back for figures in judge_many(instruments, MARGIN)]) < 0.15


def test_it_is_told_beside_what_this_base_remembers(instruments: list[tuple[World, Instrument]]) -> None:
    world, _ = asked = instruments[0]
    signals = world.ask(0.4 * world.is_forget)
    of_references, of_half = judge(asked, signals), judge(asked, signals, base_memory=0.5)
    assert of_references.memory_left is not None
    assert of_half.memory_left == pytest.approx(2 * of_references.memory_left, abs=0.02)


def test_only_a_lower_bound_above_the_margin_says_that_people_are_back(
    instruments: list[tuple[World, Instrument]],
) -> None:
    world, instrument = asked = instruments[0]
    signals = world.ask(1.0 * world.is_forget)
    memory = compare_totals(instrument, signals, signals)
    bounds = replace(memory, base_total=memory.scale, base_variance=0.0, covariance=0.0).bound(ALPHA)
    assert bounds is not None
    figures = judge(asked, signals, margin=bounds[0] - 1e-6)
    assert figures.brings_back
    assert not judge(asked, signals, margin=bounds[0] + 1e-6).brings_back
    assert not judge(asked, world.ask(-2.0 * world.is_forget)).brings_back, "below strangers is not back"
    # what is told of people whom two nights share is rounded, the bounds outward
    told = figures.memory_left, figures.memory_left_lower, figures.memory_left_upper
    assert told == (round(memory.total / memory.scale, 2), floor(100 * bounds[0]) / 100, ceil(100 * bounds[1]) / 100)


def make_night(base_memory: float | None, power: float | None) -> NightPower:
    return NightPower(
        num_people=60,
        num_samples=180,
        num_held_out_people=120,
        num_held_out_samples=360,
        num_references=16,
        base_memory=base_memory,
        power=power,
    )


def test_what_bases_remembered_is_told_by_the_nights_that_could_show_it() -> None:
    wave = make_wave(4, *(make_forgotten(number, [f"sample-{number}", f"other-{number}"]) for number in (1, 2, 3)))
    shown, chance = make_night(0.4, 0.9), make_night(0.03, 0.2)

    def expect(*numbers: int, tonight: NightPower) -> float:
        earlier = Earlier([f"sample-{number}" for number in numbers], 12, 12)
        return expect_base_memory(earlier, wave, {1: shown, 2: chance, 3: make_night(2.0, 0.9)}, tonight)

    # whatever tonight's base remembers: those people were in another one
    assert expect(1, tonight=make_night(0.8, 0.9)) == pytest.approx(0.4)
    assert expect(1, 2, tonight=make_night(0.8, 0.9)) == pytest.approx((0.4 + 0.8) / 2)
    assert expect(3, tonight=shown) == expect(2, tonight=make_night(2.0, 0.9)) == 1, "no more than references"
    assert expect(2, tonight=chance) == expect(2, tonight=make_night(None, None)) == 1
    assert expect_base_memory(Earlier(["sample-1"], 12, 12), wave, {}, shown) == pytest.approx(0.4)


def test_where_nothing_is_measured_it_is_said() -> None:
    figures = judge_earlier(Earlier([], 12, 30), None, 1.0, MARGIN)
    assert (figures.memory_left, figures.brings_back) == (None, False)
    assert figures.describe() == (
        "not computed of 12 of 30 people whom earlier waves have forgotten: the references tell nothing of these people"
    )
