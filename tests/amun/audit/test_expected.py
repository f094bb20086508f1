"""The accuracy that exact retraining is expected to have: by the references, the images left, and chance."""

from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from amun.audit.expected import (
    MEAN_POWER,
    SLOW_POWER,
    ExpectedAccuracy,
    expect_accuracy,
    extend_accuracy,
    is_retraining_alike,
)
from amun.audit.night import choose_yardstick
from amun.audit.sizes import Sizes
from amun.core.paths import ADOPTED
from amun.evidence.adoption import Adopted
from amun.evidence.wave import write_json
from amun.store.samples import Samples
from tests.amun.shipped import PARAMS

SAME = Sizes(base=900, reference=900, left=900, yardstick=900)


@pytest.mark.parametrize(
    ("sizes", "power", "expected"),
    [
        (SAME, SLOW_POWER, 0.9),
        (replace(SAME, left=450), SLOW_POWER, 0.877),
        (replace(SAME, left=450), MEAN_POWER, 0.863),
        # no worse than to answer the largest class
        (replace(SAME, left=9), SLOW_POWER, 0.602),
        (replace(SAME, left=9), MEAN_POWER, 0.3),
        (replace(SAME, left=0), SLOW_POWER, 0.3),
        # a base of more images than a reference: between both, by the logarithm
        (Sizes(base=1600, reference=400, left=1600, yardstick=1600), SLOW_POWER, 0.96),
        (Sizes(base=1600, reference=400, left=800, yardstick=1600), MEAN_POWER, 0.93),
        (Sizes(base=1600, reference=400, left=400, yardstick=1600), MEAN_POWER, 0.9),
        (Sizes(base=1600, reference=400, left=200, yardstick=1600), SLOW_POWER, 0.877),
        # a later exact model, of fewer images than the base, has its accuracy with those
        (Sizes(base=1600, reference=400, left=800, yardstick=800), MEAN_POWER, 0.96),
        (Sizes(base=1600, reference=400, left=566, yardstick=800), SLOW_POWER, 0.93),
        (Sizes(base=1600, reference=400, left=200, yardstick=800), SLOW_POWER, 0.877),
        # a base of fewer has lost something before anybody leaves
        (Sizes(base=600, reference=900, left=600, yardstick=600), SLOW_POWER, 0.887),
        (Sizes(base=600, reference=900, left=300, yardstick=600), MEAN_POWER, 0.836),
    ],
)
def test_accuracy_is_that_of_the_references_carried_to_the_images_left(
    sizes: Sizes, power: float, expected: float
) -> None:
    assert extend_accuracy(0.9, sizes, 0.96, 0.3, power) == pytest.approx(expected, abs=1e-3)


def test_half_of_the_images_of_cifar_leave_more_than_nothing() -> None:
    """Of 43 % and a quarter of the images nothing was expected: any model would have passed."""
    assert extend_accuracy(0.43, replace(SAME, left=225), 0.43, 0.1, SLOW_POWER) == pytest.approx(0.136, abs=1e-3)
    assert extend_accuracy(0.43, replace(SAME, left=90), 0.43, 0.1, MEAN_POWER) == pytest.approx(0.1)
    assert extend_accuracy(0.08, SAME, 0.43, 0.1, MEAN_POWER) == pytest.approx(0.08), "nor better than references"


@given(
    base=st.integers(1, 5000),
    reference=st.integers(1, 5000),
    yardstick=st.floats(0, 1),
    power=st.sampled_from([SLOW_POWER, MEAN_POWER]),
    data=st.data(),
)
def test_fewer_images_are_never_expected_to_do_better(
    base: int, reference: int, yardstick: float, power: float, data: st.DataObject
) -> None:
    more = data.draw(st.integers(0, base))
    fewer = data.draw(st.integers(0, more))
    first, second = (
        extend_accuracy(0.8, Sizes(base, reference, left, base), yardstick, 0.2, power) for left in (fewer, more)
    )
    assert 0.2 - 1e-12 <= first <= second + 1e-12 <= max(0.8, yardstick) + 2e-12


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
    nobody = held_out.slice(0, 0)
    told = expect_accuracy(held_out, nobody, references, inclusion, SAME, 0.9)
    assert told is not None
    assert (told.mean, told.at_best) == (0.375, 0.38), "what is told is told to two places"
    # each lies 0.375 from the mean of both; half of the samples, so the deviation over all is less by the root of 2
    assert told.deviation == pytest.approx(0.375 / 2**0.5)
    assert expect_accuracy(held_out, nobody, references, inclusion, SAME, None) is None
    assert expect_accuracy(held_out, nobody, references.slice(0, 0), inclusion, SAME, 0.9) is None
    assert expect_accuracy(held_out.slice(0, 19), nobody, references, inclusion, SAME, 0.9) is None
    # whoever is trained on as well is known to exact retraining, and not to the references
    assert expect_accuracy(held_out, held_out.slice(0, 1), references, inclusion, SAME, 0.9) is None
    # from how many images the yardstick learned is asked for only where it is made use of
    unknown = replace(SAME, yardstick=None)
    assert expect_accuracy(held_out, nobody, references, inclusion, unknown, 0.9) == told
    assert expect_accuracy(held_out, nobody, references, inclusion, replace(unknown, reference=450), 0.9) is None
    # fewer images: less is expected than what is forgiven
    varied = make_store(torch.zeros(40, 1, 8, 8), torch.arange(40) % 10)
    fewer = expect_accuracy(varied, nobody, references, inclusion, replace(SAME, left=800), 0.9)
    assert fewer is not None
    assert fewer.mean < fewer.at_best


def test_a_chance_is_that_of_a_normal_accuracy() -> None:
    expected = ExpectedAccuracy(0.95, 0.96, 0.01)
    assert [expected.find_chance(bound) for bound in (0.93, 0.95, 0.97)] == pytest.approx([0.977, 0.5, 0.023], abs=1e-3)
    assert [ExpectedAccuracy(0.95, 0.96, 0.0).find_chance(bound) for bound in (0.95, 0.951)] == [1, 0]


def test_no_attempt_is_held_to_more_than_exact_retraining_is_expected_to_have() -> None:
    assert choose_yardstick(0.97, 0.96, 0.02) == 0.96
    assert choose_yardstick(0.93, 0.95, 0.02) == 0.93
    assert choose_yardstick(0.97, None, 0.02) == 0.97
    # what is forgiven is bounded, whatever is expected
    assert choose_yardstick(0.97, 0.4, 0.02) == pytest.approx(0.95)
    assert choose_yardstick(0.97, 0.96, 0.0) == 0.97


def test_only_what_exact_retraining_follows_is_forgiven(tmp_path: Path) -> None:
    unlearning = PARAMS.unlearning.model_copy(update={"attempts": PARAMS.unlearning.attempts[:1]})
    with chdir(tmp_path):
        assert is_retraining_alike(PARAMS)
        assert not is_retraining_alike(PARAMS.model_copy(update={"unlearning": unlearning})), "nothing is retrained"
        ADOPTED.parent.mkdir()
        write_json(ADOPTED, None)
        assert is_retraining_alike(PARAMS)
        write_json(ADOPTED, Adopted(source="elsewhere", name="theirs", version=1, digest="0" * 64, accuracy=0.9))
        assert not is_retraining_alike(PARAMS), "of another recipe"
