"""RMIA and its signals: against the recorded figures, and the properties of its scores."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from amun.audit import rmia
from amun.audit.rmia import compute_ratios, score_membership
from amun.audit.roc import compute_auc
from amun.audit.signals import compute_signals
from amun.core.params import AuditParams
from tests.amun.shipped import PARAMS, load_oracle

RECORDED_AUC = {"softmax": 0.7518, "taylor_soft_margin": 0.6758}
SIGNALS = list(RECORDED_AUC)
NUM_MEMBERS = 150


def with_signal(signal: str) -> AuditParams:
    recorded = {"signal": signal, "soft_margin": 0.6, "taylor_order": 4, "temperature": 2.0, "gamma": 2.0}
    params: AuditParams = PARAMS.audit.model_copy(update=recorded)
    return params


def score_recorded(signal: str, chosen: Tensor | slice = slice(None)) -> Tensor:
    """Returns the scores of all recorded samples against the chosen ones."""
    recorded, params = load_oracle("rmia_online"), with_signal(signal)
    references = recorded["reference_logits"].transpose(0, 1)
    ratios = compute_ratios(recorded["target_logits"], references, recorded["labels"], params)
    return score_membership(ratios, ratios[chosen], params.gamma)


def score_by_pairs(ratios: Tensor, population: Tensor, gamma: float) -> Tensor:
    """Returns the scores by the plain formula: every pair is looked at."""
    quotients = ratios[:, None] / population
    return ((quotients > gamma).double() + (quotients == gamma).double() / 2).mean(1)


@pytest.mark.parametrize("signal", SIGNALS)
def test_signals_are_the_recorded_ones(signal: str) -> None:
    recorded = load_oracle("rmia_online")
    found = compute_signals(recorded["target_logits"], recorded["labels"], with_signal(signal))
    torch.testing.assert_close(found.float(), recorded[f"signal_{signal}"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("signal", SIGNALS)
def test_scores_are_the_recorded_ones(signal: str) -> None:
    recorded = load_oracle("rmia_online")
    # recorded against all other samples: a sample does not beat itself, and is not counted
    scores = score_recorded(signal) * 300 / 299
    torch.testing.assert_close(scores, recorded[f"scores_{signal}"])
    auc = compute_auc(scores[:NUM_MEMBERS], scores[NUM_MEMBERS:])
    assert auc == pytest.approx(RECORDED_AUC[signal], abs=1e-4)


@pytest.mark.parametrize("signal", SIGNALS)
def test_the_order_of_the_population_does_not_matter(signal: str) -> None:
    chosen = torch.arange(0, 300, 3)
    assert torch.equal(score_recorded(signal, chosen), score_recorded(signal, chosen.flip(0)))


# few values, so that pairs tie at every gamma below; what taylor_soft_margin gives may lie on either side of zero
COARSE = st.sampled_from(
    [0.0, -0.0, 0.25, 0.5, 1.0, 2.0, 4.0, -0.5, -1.0, 1e-320, 1e308, math.inf, -math.inf, math.nan]
)
# neighbours, whose quotients lie a bit apart or none
CLOSE = st.integers(-4, 4).map(lambda steps: 0.3 + steps * 2.0**-54)
RATIOS = st.lists(COARSE | CLOSE | st.floats(-10, 10), max_size=40)


@given(RATIOS, RATIOS.filter(len), st.sampled_from([0.5, 1.0, 1.0 + 2**-52, 2.0]) | st.floats(0.1, 4))
@settings(max_examples=300, deadline=None)
def test_sorting_and_searching_counts_what_looking_at_every_pair_counts(
    some: list[float], others: list[float], gamma: float
) -> None:
    ratios, population = (torch.tensor(values, dtype=torch.float64) for values in (some, others))
    assert torch.equal(score_membership(ratios, population, gamma), score_by_pairs(ratios, population, gamma))
    assert torch.equal(score_membership(population, population, gamma), score_by_pairs(population, population, gamma))


def test_samples_of_the_population_and_others_like_them_are_told_apart_by_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    aucs = []
    for _ in range(2000):
        population, others = torch.rand(2, 4, dtype=torch.float64, generator=generator)
        aucs.append(compute_auc(*(score_membership(each, population, 1.0) for each in (others, population))))
    # five standard errors; were a sample that meets itself to count nothing, it would be 0.625
    assert sum(aucs) / len(aucs) == pytest.approx(0.5, abs=0.02)


def test_at_a_gamma_of_one_scores_are_in_the_order_of_the_ratios() -> None:
    generator = torch.Generator().manual_seed(1)
    population, others = torch.rand(2, 50, dtype=torch.float64, generator=generator)
    others[:10] = population[:10]
    scores = [score_membership(each, population, 1.0) for each in (others, population)]
    assert compute_auc(*scores) == compute_auc(others, population)


@pytest.mark.parametrize("signal", SIGNALS)
def test_ratios_come_the_same_in_parts_of_any_size(signal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = score_recorded(signal)
    monkeypatch.setattr(rmia, "PART_VALUES", 1)
    assert torch.equal(score_recorded(signal), whole)


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_surer_model_gives_a_higher_signal(signal: str) -> None:
    logits = torch.tensor([[0.0, 1.0, 0.0], [1.0, 1.0, 0.0], [2.0, 1.0, 0.0], [4.0, 1.0, 0.0]])
    signals = compute_signals(logits, torch.zeros(4, dtype=torch.int64), with_signal(signal))
    assert (signals.diff() > 0).all()


def test_softmax_of_a_uniform_model_is_one_over_the_classes() -> None:
    signals = compute_signals(torch.zeros(2, 3, 5), torch.tensor([[0], [4]]), with_signal("softmax"))
    torch.testing.assert_close(signals, torch.full((2, 3), 0.2, dtype=torch.float64))
