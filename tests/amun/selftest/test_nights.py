"""Redrawn nights: what is computed from kept logits is what the stages compute, and the counts are of what was said."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from amun.audit import expected
from amun.audit.decision import Decision
from amun.audit.night import foresee_night, read_night
from amun.core.paths import CALIBRATION, HELD_OUT_ADVERSARIAL, TRAIN, UNLEARNED, WAVE_BASE
from amun.evidence.figures import AuditFigures, read_figures
from amun.evidence.wave import RetrainedFigures
from amun.model.building import load_for
from amun.selftest.alike import give_styles, merge_people
from amun.selftest.full import (
    AS_THEY_ARE,
    EXACT,
    STYLED,
    UNTOUCHED,
    BaseNights,
    Nights,
    add_up,
    count_nights,
    list_sizes,
)
from amun.selftest.ground import draw_people, freeze_night, keep_retrained, open_ground
from amun.selftest.nights import Field, Judgement
from amun.selftest.planted import PLANTED
from amun.selftest.quick import make_planted
from amun.stages.adversarial import build_adversarial_set
from amun.stages.audit import audit
from amun.stages.power import measure_power
from amun.store.samples import Samples, read_samples, write_samples
from amun.store.store import read_shape
from tasks.workspace.workspace import Workspace

CPU = torch.device("cpu")


@pytest.mark.parametrize("num_shared", [0, 20])
def test_figures_from_kept_logits_are_those_of_the_stages(workspace: Workspace, num_shared: int) -> None:
    """Also where held-out samples are of people who are trained on, too: they are no strangers."""
    gate = workspace.params.gate.model_copy(update={"max_trace": 0.6})
    params = workspace.params.model_copy(update={"gate": gate})
    with open_ground(workspace.root):
        half, known = read_samples(CALIBRATION), draw_people(1)[-1]
        names = np.where(np.arange(len(half)) < num_shared, known, half.subject_ids)
        write_samples(CALIBRATION, Samples(half.sample_ids, names, half.labels, half.payloads), seal=None)
        people = draw_people(1)[:40]
        traces = [0.6, 0.5, 0.7, 0.6]
        keep_retrained(
            RetrainedFigures(
                num_asked=4,
                num_people=20,
                num_strangers=20,
                trace_by_person=traces,
                weights_by_person=traces,
                trace=traces,
                trace_standard_error=0.05,
            )
        )
        wave = freeze_night(params.model.name, people)
        measure_power(params, CPU)
        build_adversarial_set(params, CPU)
        make_planted(params, CPU, wave, next(planted for planted in PLANTED if planted.name == "amun"))
        audit(params, CPU)
        field = Field(params, CPU)
        base, model = (load_for(params, read_shape(TRAIN), CPU, path) for path in (WAVE_BASE, UNLEARNED))
        candidates = field.search(base)
        of_base, of_model = (field.ask(base, each, candidates) for each in (base, model))
        night = field.foresee(people, of_base)
        assert field.measure(people, of_base, of_model, night).model_dump() == pytest.approx(
            read_figures(AuditFigures).model_dump()
        )
        assert read_figures(AuditFigures).trace_standard_error is not None
        assert read_figures(AuditFigures).max_trace is not None
        assert read_figures(AuditFigures).max_trace_by_person is not None
        assert read_figures(AuditFigures).max_weights_by_person is not None
        assert night == read_night()
        assert known not in read_samples(HELD_OUT_ADVERSARIAL).subject_ids
        assert (read_night().expected_accuracy is None) is bool(num_shared)


def test_two_nights_that_differ_by_a_person_do_not_tell_of_that_person(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    # coarse as they are told, and carried to other sizes, one person seldom moves them
    monkeypatch.setattr(expected, "NUM_PLACES", 12)
    monkeypatch.setattr(expected, "extend_accuracy", lambda of_references, *_: of_references)
    with open_ground(workspace.root):
        trained, half = read_samples(TRAIN), read_samples(CALIBRATION)
        stranger = next(name for name in half.subject_ids.tolist() if name not in trained.subject_ids)
        nights = []
        for people in (draw_people(1)[:40], [*draw_people(1)[:40], stranger]):
            freeze_night(workspace.params.model.name, people)
            measure_power(workspace.params, CPU)
            nights.append(read_night())
    assert nights[0].num_held_out_people == nights[1].num_held_out_people + 1
    assert nights[0].expected_accuracy == nights[1].expected_accuracy is not None


def test_the_untouched_base_never_serves_and_exact_weights_do(workspace: Workspace) -> None:
    with open_ground(workspace.root):
        nights = BaseNights(workspace.params, CPU, seed=0)
        untouched = count_nights(UNTOUCHED, AS_THEY_ARE, 25, nights.draw_untouched(25, 2))
        exact = count_nights(EXACT, AS_THEY_ARE, 25, nights.draw_exact(25, 1, is_always=False))
        small = count_nights(EXACT, AS_THEY_ARE, 3, nights.draw_exact(3, 2, is_always=False))
    assert (untouched.num_sufficient, untouched.num_promoted, untouched.num_refused) == (2, 0, 2)
    assert untouched.grounds["memory left"] == 2
    assert (exact.num_sufficient, exact.num_promoted, exact.num_refused) == (1, 1, 0)
    assert (small.num_sufficient, small.num_promoted, small.num_refused, small.grounds) == (0, 0, 0, {})
    assert not any(night.is_miss for night in (untouched, exact, small))


def test_a_refusal_is_told_by_its_figures(workspace: Workspace) -> None:
    reason = "accuracy 0.9 is 0.1 below 1, more than 0; |FT AUC 0.7 - 0.5| - 0.0 = 0.2; max(trace 0.7, 1 - trace) = 0.7"
    people = read_samples(workspace.root / TRAIN)
    night = foresee_night(people, people, None, 8, None, yardstick=None, margin=0.5, max_accuracy_drop=0.02, alpha=0.05)
    said = Judgement(night, Decision(False, ""), Decision(False, f"{reason}; memory left -0.1 [-0.9, 0.8]"), True)
    assert said.list_grounds() == ["accuracy", "FT AUC", "trace", "memory left", "test half"]


@pytest.mark.parametrize(
    ("changes", "is_miss"),
    [
        ({"planted": UNTOUCHED, "num_promoted": 1}, False),
        ({"planted": UNTOUCHED, "num_promoted": 2}, True),
        ({"num_sufficient": 50, "num_promoted": 40}, False),
        ({"num_sufficient": 50, "num_promoted": 39}, True),
        ({"num_refused": 90}, False),
        ({"people": STYLED, "num_refused": 10}, False),
        ({"people": STYLED, "num_refused": 11}, True),
    ],
)
def test_what_is_a_miss(changes: dict[str, object], is_miss: bool) -> None:
    nights = Nights(EXACT, AS_THEY_ARE, 75, 100, 0, 0, 0, {})
    assert replace(nights, **changes).is_miss is is_miss  # type: ignore[arg-type]


def test_bases_are_added_up_by_model_people_and_size() -> None:
    first = Nights(EXACT, AS_THEY_ARE, 75, 10, 5, 4, 1, {"memory": 1})
    other = replace(first, num_people=150)
    assert add_up([first, other, first]) == [Nights(EXACT, AS_THEY_ARE, 75, 20, 10, 8, 2, {"memory": 2}), other]


def test_at_most_half_of_the_people_ask() -> None:
    assert list_sizes(150) == [1, 3, 12, 30, 75]
    assert list_sizes(149) == [1, 3, 12, 30]


def test_alike_people_have_a_pattern_or_many_images_in_common(workspace: Workspace) -> None:
    train = read_samples(workspace.root / TRAIN)
    styled = give_styles(train, np.random.default_rng(0))
    added = styled.images - 0.7 * train.images
    first, second = (np.flatnonzero(train.subject_ids == person) for person in np.unique(train.subject_ids)[:2])
    torch.testing.assert_close(added[first[0]], added[first[1]], rtol=0, atol=0.01)
    assert (added[first[0]] - added[second[0]]).abs().max() > 0.1
    assert np.array_equal(styled.sample_ids, train.sample_ids)

    merged = merge_people(train, np.random.default_rng(0))
    sizes = np.unique(merged.subject_ids, return_counts=True)[1]
    assert sorted(set(sizes.tolist())) == [2, 54], "a third of 160 images, in people of two"
    assert torch.equal(merged.payloads, train.payloads)
