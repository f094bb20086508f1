"""RMIA and its signals: against the recorded figures, and the properties of its scores."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from amun.audit.rmia import score_membership, score_rmia_online
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
    recorded = load_oracle("rmia_online")
    references = recorded["reference_logits"].transpose(0, 1)
    return score_membership(
        target_logits=recorded["target_logits"],
        reference_logits=references,
        labels=recorded["labels"],
        population_target_logits=recorded["target_logits"][chosen],
        population_reference_logits=references[chosen],
        population_labels=recorded["labels"][chosen],
        params=with_signal(signal),
    )


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


@given(seed=st.integers(0, 2**32), gamma=st.floats(1, 4))
@settings(max_examples=30, deadline=None)
def test_a_score_is_the_share_that_is_beaten_gamma_fold(seed: int, gamma: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    target, population = (torch.rand(size, generator=generator, dtype=torch.float64) for size in (300, 50))
    references = torch.rand(300, 4, generator=generator, dtype=torch.float64)
    scores = score_rmia_online(target, references, population, gamma)
    number = int(torch.randint(300, (), generator=generator))
    ratio = target[number] / references[number].mean()
    assert scores[number].item() == sum(bool(ratio / other > gamma) for other in population) / 50


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_surer_model_gives_a_higher_signal(signal: str) -> None:
    logits = torch.tensor([[0.0, 1.0, 0.0], [1.0, 1.0, 0.0], [2.0, 1.0, 0.0], [4.0, 1.0, 0.0]])
    signals = compute_signals(logits, torch.zeros(4, dtype=torch.int64), with_signal(signal))
    assert (signals.diff() > 0).all()


def test_softmax_of_a_uniform_model_is_one_over_the_classes() -> None:
    signals = compute_signals(torch.zeros(2, 3, 5), torch.tensor([[0], [4]]), with_signal("softmax"))
    torch.testing.assert_close(signals, torch.full((2, 3), 0.2, dtype=torch.float64))
