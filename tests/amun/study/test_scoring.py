"""What a model shows, on logits of which everything is known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from amun.evidence.wave import MIN_REPORTED
from amun.study import scoring
from amun.study.records import Figures
from amun.study.scoring import NUM_DRAWS, Attacker, Judge, Judged, attack, measure_trace
from amun.study.study import Study
from tests.amun.shipped import PARAMS

PLAIN = PARAMS.audit.model_copy(update={"signal": "softmax", "gamma": 1.0})
JUDGE = Judge(Study(Path(), PARAMS.model_copy(update={"audit": PLAIN}), by_subject=False), torch.device("cpu"))


def judge(*groups: tuple[int, float]) -> Judged:
    """Returns samples of label 0 of two classes, so many with each logit; two references that have no opinion."""
    logits = torch.cat([torch.full((number,), logit) for number, logit in groups])
    labels = torch.zeros(len(logits), dtype=torch.int64)
    return Judged(torch.stack([logits, torch.zeros_like(logits)], 1), torch.zeros(len(logits), 2, 2), labels)


def measure() -> Figures:
    """Returns the figures of 20 forget samples, 15 of them right, 40 remaining ones, and a half of 20, 12 right."""
    train, half = judge((15, 1.0), (5, -1.0), (40, 0.7)), judge((12, 0.5), (8, -2.0))
    is_forget = np.arange(60) < 20
    return JUDGE.measure(train, half, is_forget, ~is_forget, trace=0.25)


def test_accuracies_are_of_the_sets_they_name() -> None:
    figures = measure()
    assert (figures.unlearn_accuracy, figures.remain_accuracy, figures.held_out_accuracy) == (0.75, 1.0, 0.6)
    assert figures.trace == 0.25


def test_attacks_compare_the_sets_they_name() -> None:
    """By hand: a sample's score is the share of the half it is surer of, a tie counting one half.

    Three quarters of the forget set have 1, the rest 8 / 20; the remain set has 1; of the half 12 have 14 / 20, 8 have
    4 / 20.
    """
    figures = measure()
    assert figures.ft.auc == pytest.approx(0.75 + 0.25 * 8 / 20)
    assert figures.fr.auc == pytest.approx(0.75 / 2 + 0.25)
    assert figures.rt.auc == 1.0
    assert (figures.ft.tpr_at_1, figures.ft.tpr_at_0_1) == (0.75, 0.75)
    assert (figures.fr.tpr_at_1, figures.rt.tpr_at_1) == (0.0, 1.0)


def test_svc_calls_the_unsure_never_seen() -> None:
    assert measure().svc_confidence == 0.25


def test_sets_are_drawn_to_equal_size(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[Tensor, Tensor]] = []

    def note(members: Tensor, others: Tensor) -> float:
        drawn.append((members, others))
        return float(len(drawn))

    monkeypatch.setattr(scoring, "compute_auc", note)
    assert attack(torch.arange(30.0), torch.arange(10.0)).auc == np.mean([1, 2, 3])
    assert [(len(members), len(others)) for members, others in drawn] == [(10, 10)] * NUM_DRAWS
    assert len({tuple(members.tolist()) for members, _ in drawn}) == NUM_DRAWS


def test_trace_compares_drawn_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store may lie in the order of its classes: the first rows would be of other ones than all."""
    compared: list[tuple[Tensor, Tensor]] = []

    def note(_base: nn.Module, _unlearned: nn.Module, *parts: tuple[Tensor, Tensor]) -> float:
        compared.extend(parts)
        return 0.5

    monkeypatch.setattr(scoring, "compute_trace", note)
    forget, others = ((torch.arange(size)[:, None], torch.arange(size)) for size in (100, 20))
    model = nn.Identity()
    assert measure_trace(Attacker(model, forget, others), model) == 0.5
    (images, labels), (other_images, other_labels) = compared
    assert len(labels) == len(other_labels) == len(other_images) == 20
    assert torch.equal(images[:, 0], labels)
    assert labels.max() > 50
    for size in (0, MIN_REPORTED - 1):
        few = others[0][:size], others[1][:size]
        assert measure_trace(Attacker(model, forget, few), model) is None
        assert measure_trace(Attacker(model, few, others), model) is None
