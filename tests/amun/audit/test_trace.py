"""The trace is one half where nothing was learned, near 1 where D_A was, and follows from each sample alone."""

from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from amun.audit.roc import auc_standard_error
from amun.audit.trace import Rises, compare_rises, compute_trace, find_candidates, measure_rise, search_others
from amun.core.paths import CALIBRATION
from amun.evidence.wave import MIN_PEOPLE
from amun.model.training import compute_logits, fit
from amun.search.catalogue import find_adversarial
from amun.stages import adversarial
from amun.store.samples import Samples
from tests.amun.search.models import draw_linear
from tests.amun.shipped import PARAMS, change_optimisation

NUM_EACH = 40
SEARCH = PARAMS.adversarial.model_copy(update={"search": "adaptive_boundary"})


class Shifted(nn.Module):
    """A model whose logits of some images are those of another, with something added at one class."""

    def __init__(self, model: nn.Module, images: Tensor, labels: Tensor, added: float) -> None:
        super().__init__()
        self.model, self.images, self.labels, self.added = model, images, labels, added

    def forward(self, images: Tensor) -> Tensor:
        """Returns the logits."""
        is_known = (images[:, None] == self.images[None]).flatten(2).all(2)
        logits: Tensor = self.model(images)
        at_label = nn.functional.one_hot(self.labels, logits.shape[1]).float()
        return logits + self.added * is_known.float() @ at_label


@pytest.fixture
def base_and_parts() -> tuple[nn.Module, tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """A linear base, and the adversarial examples of so many forget samples and as many others."""
    base, images, labels, _ = draw_linear(0, num_samples=2 * NUM_EACH, num_classes=5)
    parts = [find_candidates(base, images[rows], labels[rows], SEARCH) for rows in torch.arange(len(images)).chunk(2)]
    return base, parts[0].examples, parts[1].examples


def test_an_untouched_base_shows_exactly_nothing(
    base_and_parts: tuple[nn.Module, tuple[Tensor, Tensor], tuple[Tensor, Tensor]],
) -> None:
    base, forget, others = base_and_parts
    assert compute_trace(base, deepcopy(base), forget, others) == 0.5


def test_what_was_raised_shows_and_so_does_what_was_lowered(
    base_and_parts: tuple[nn.Module, tuple[Tensor, Tensor], tuple[Tensor, Tensor]],
) -> None:
    base, forget, others = base_and_parts
    assert compute_trace(base, Shifted(base, *forget, 1.0), forget, others) == 1
    assert compute_trace(base, Shifted(base, *forget, -1.0), forget, others) == 0
    half = forget[0][: NUM_EACH // 2], forget[1][: NUM_EACH // 2]
    assert compute_trace(base, Shifted(base, *half, 1.0), forget, others) == 0.75  # the other half ties


def test_the_rise_is_that_of_the_probability() -> None:
    base, images, labels, _ = draw_linear(1, num_samples=1, num_classes=2)
    (image, label), logits = find_candidates(base, images, labels, SEARCH).examples, torch.zeros(2)
    logits[label] = 2.0
    raised = measure_rise(base, Shifted(base, image, label, 2.0), image, label)
    before = compute_logits(base, image).double()[0]
    expected = (before + logits).softmax(0)[label] - before.softmax(0)[label]
    assert torch.allclose(raised, expected)


def test_a_model_that_learned_the_adversarial_set_is_seen_through(
    base_and_parts: tuple[nn.Module, tuple[Tensor, Tensor], tuple[Tensor, Tensor]],
) -> None:
    base, forget, others = base_and_parts
    learned = deepcopy(base)
    fit(
        learned,
        *forget,
        optimisation=change_optimisation(epochs=300),
        learning_rate=0.1,
        precision="float32",
        on_epoch=lambda _: None,
    )
    trace = compute_trace(base, learned, forget, others)
    assert trace > 0.9
    assert compute_trace(base, learned, others, forget) == pytest.approx(1 - trace)


def test_candidates_are_found_as_the_wave_finds_them_and_those_without_an_example_are_counted() -> None:
    base, images, labels, distances = draw_linear(2, num_samples=12, num_classes=4)
    limit = distances.median().item() * 1.02
    radii = PARAMS.adversarial.get_block("pgd_doubling").model_copy(update={"epsilon": limit, "max_epsilon": limit})
    short = PARAMS.adversarial.model_copy(update={"search": "pgd_doubling", "pgd_doubling": radii})
    found = find_candidates(base, images, labels, short)
    assert 0 < found.num_missing < len(labels)
    assert len(found.examples[1]) == len(labels) - found.num_missing
    names = [str(number) for number in range(len(labels))]
    chosen = found.is_found
    again = find_adversarial(base, images[chosen], labels[chosen], params=short, sample_ids=names)
    assert torch.equal(found.examples[0], again.images)
    assert torch.equal(found.examples[1], again.labels)


def test_of_no_candidates_there_are_no_examples() -> None:
    base, images, labels, _ = draw_linear(3, num_samples=1, num_classes=3)
    found = find_candidates(base, images[:0], labels[:0], SEARCH)
    assert (len(found.examples[0]), found.num_missing) == (0, 0)


def test_people_are_told_by_the_mean_of_all_their_examples() -> None:
    # each person has one example that rises and others that fall: no single one tells what their means do
    people, strangers = np.repeat(np.arange(12), 3), np.repeat(np.arange(100, 120), 2)
    forget = Rises(torch.tensor([0.6, -0.1, -0.2] * 12, dtype=torch.float64), people.astype(np.str_))
    others = Rises(torch.tensor([0.3, -0.3] * 20, dtype=torch.float64), strangers.astype(np.str_))
    trace = compare_rises(forget, others)
    assert trace.auc == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert trace.auc_by_person == 1
    # whoever owns several images of which each lies elsewhere scatters no more than as many people would
    assert trace.standard_error == auc_standard_error(36, 40)
    assert trace.standard_error_by_person == auc_standard_error(12, 20)


def test_the_order_of_examples_is_nothing_to_people() -> None:
    values = torch.arange(40, dtype=torch.float64)
    people, shuffled = np.array([f"p{number % 13}" for number in range(40)]), torch.randperm(40)
    averages = Rises(values, people).average()
    assert torch.equal(Rises(values[shuffled], people[shuffled.numpy()]).average(), averages)
    assert averages[0] == torch.tensor([0.0, 13, 26, 39]).mean()


@pytest.mark.parametrize(
    ("num_samples", "num_people", "is_told", "is_told_by_person"),
    [(20, 12, True, True), (20, 11, True, False), (19, 19, False, False)],
)
def test_a_few_persons_score_is_not_told(
    num_samples: int, num_people: int, is_told: bool, is_told_by_person: bool
) -> None:
    names = [str(number % num_people) for number in range(num_samples)]
    few = Rises(torch.zeros(num_samples, dtype=torch.float64), np.array(names))
    many = Rises(torch.zeros(50, dtype=torch.float64), np.array([str(number) for number in range(50)]))
    for trace in (compare_rises(few, many), compare_rises(many, few)):
        assert (trace.auc is not None, trace.standard_error is not None) == (is_told, is_told)
        assert min(trace.num_people) == (num_people if is_told else 0)
        told = trace.auc_by_person is not None, trace.standard_error_by_person is not None
        assert told == (is_told_by_person, is_told_by_person)


def test_strangers_are_as_many_people_as_a_figure_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where held-out people have many more samples each than those to forget, a few would have as many."""
    base, images, labels, _ = draw_linear(3, num_samples=200, num_classes=3)
    people = np.array([f"p{number // 10:02}" for number in range(200)])
    held_out = Samples(np.array([f"s{number}" for number in range(200)]), people, labels, images)
    monkeypatch.setattr("amun.audit.trace.count_samples", lambda _: 25)
    found = search_others(base, held_out, 25, SEARCH, torch.device("cpu"))
    assert len(np.unique(found.subject_ids)) == MIN_PEOPLE
    monkeypatch.setattr("amun.audit.trace.count_samples", lambda _: 19)
    assert not len(search_others(base, held_out, 19, SEARCH, torch.device("cpu"))), "there will be no figure"
    drawn = SimpleNamespace(forget_ids=["a"] * 25, gone_ids=[])
    monkeypatch.setattr(adversarial, "read_wave", lambda: drawn)
    monkeypatch.setattr(adversarial, "read_owners", lambda path: held_out.slice(0, 200 * (path == CALIBRATION)))
    of_wave = held_out.is_among(adversarial._draw_held_out())
    assert len(np.unique(people[of_wave])) == MIN_PEOPLE
