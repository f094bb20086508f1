"""What the runs of a study share, a job each: references, bases, adversarial sets.

A job returns the files that are to be written, in their order: it may run where there is no disk to write to.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from amun.core.paths import TRAIN
from amun.evidence.wave import write_json
from amun.model.trainer import train_model
from amun.model.training import compute_logits
from amun.model.weights import copy_weights
from amun.search.catalogue import search_together
from amun.search.geometry import compute_norms
from amun.stages.prepare import fill_store
from amun.store.drawing import draw_rows
from amun.store.samples import Samples
from amun.study.cost import Meter, measuring
from amun.study.draws import bound_forget_set, draw_forget_set
from amun.study.records import Costs, Kept
from amun.study.study import FIRST_SEEDS, Study, list_forgotten

Content = Samples | Kept | bytes
Written = Mapping[Path, Content]


class AdversarialFacts(Kept):
    """Of an adversarial set: what the search took, how many samples it found none for, and the mean L2 distance."""

    costs: Costs
    num_missing: int
    mean_delta_norm: float


def prepare_store(study: Study, _device: torch.device) -> None:
    """Fills the study's sample store from the source, without those whom the workspace has forgotten."""
    write_json(study.store / "facts.json", fill_store(study.params, study.store, list_forgotten()))


def train_reference(study: Study, group: str, number: int, device: torch.device) -> Written:
    """Trains one reference on its half; returns its logits of every sample, and last a target one's weights, too."""
    samples = study.read_everything()
    seed = FIRST_SEEDS[group] + study.params.references.seed * 1000 + number
    included = samples.select(study.draw_halves(group)[:, number])
    model = train(study, included, seed, device, Meter())
    logits = compute_logits(model, samples.images.to(device))
    rows = Samples(samples.sample_ids, samples.subject_ids, samples.labels, logits)
    weights = {study.locate_weights(group, number): pack_weights(model)} if group == "target" else {}
    return {study.locate_logits(group, number): rows, **weights}


def train_base(study: Study, seed: int, device: torch.device) -> Written:
    """Trains a base on all training samples; returns its costs, and its weights, beside which they lie."""
    path, meter = study.locate_base(seed), Meter()
    with measuring(meter, device) as costs:
        model = train(study, study.read_splits()[0], seed, device, meter)
    return {path.with_suffix(".json"): costs[0], path: pack_weights(model)}


def build_adversarial_set(study: Study, share: float, forget_set: int, seed: int, device: torch.device) -> Written:
    """Returns D_A of a forget set on a base, and its facts, which lie beside it."""
    train_samples = study.read_splits()[0]
    forget = train_samples.select(draw_forget_set(train_samples.subject_ids, share, forget_set))
    path = study.locate_adversarial(share, forget_set, seed)
    return find_adversarial(study, study.locate_base(seed), forget, path, device)


def build_candidates(study: Study, share: float, seed: int, device: torch.device) -> Written:
    """Returns adversarial examples of as many test samples as are forgotten, for the attacker who holds the base."""
    train, _, test = study.read_splits()
    others = test.take(draw_rows(len(test), bound_forget_set(train.subject_ids, share)))
    return find_adversarial(study, study.locate_base(seed), others, study.locate_candidates(share, seed), device)


def pack_weights(model: nn.Module) -> bytes:
    """Returns the model's weights as safetensors."""
    return save(copy_weights(model))


def train(study: Study, samples: Samples, seed: int, device: torch.device, meter: Meter) -> nn.Module:
    """Returns a model trained from its first weights on the samples, in evaluation mode."""
    model = meter.attach(study.build(seed, device))
    train_model(
        model,
        samples.images.to(device),
        samples.labels.to(device),
        params=study.params.training.model_copy(update={"seed": seed}),
        precision=study.params.runtime.precision,
        on_epoch=lambda _: None,
    )
    return model.eval()


def find_adversarial(study: Study, base: Path, samples: Samples, path: Path, device: torch.device) -> Written:
    """Returns the samples' adversarial examples on the base of these weights, and their facts."""
    meter = Meter()
    model = meter.attach(study.load(base, device))
    with measuring(meter, device) as costs:
        examples, norms = search(study, model, samples, device)
    num_missing = len(samples) - len(examples)
    facts = AdversarialFacts(costs=costs[0], num_missing=num_missing, mean_delta_norm=float(norms.mean()))
    return {path.with_suffix(".json"): facts, path: examples}


def search(study: Study, model: nn.Module, samples: Samples, device: torch.device) -> tuple[Samples, torch.Tensor]:
    """Returns the adversarial examples found, with the model's wrong labels, and their L2 distances."""
    names = samples.sample_ids
    images, labels = samples.images.to(device), samples.labels.to(device)
    found = search_together(model, images, labels, study.params.adversarial, lambda position: str(names[position]))
    kept = samples.select(found.is_found.cpu().numpy())
    examples = Samples(
        kept.sample_ids, kept.subject_ids, found.labels[found.is_found].cpu(), found.images[found.is_found].cpu()
    )
    return examples, compute_norms(examples.images - kept.images)


def read_facts(study: Study, path: Path) -> AdversarialFacts:
    """Returns the facts that lie beside an adversarial set."""
    return AdversarialFacts.model_validate_json(study.read_bytes(path.with_suffix(".json")))


def read_costs(study: Study, path: Path) -> Costs:
    """Returns the costs that lie beside a model's weights."""
    return Costs.model_validate_json(study.read_bytes(path.with_suffix(".json")))


def load_target(study: Study, device: torch.device) -> Callable[[int], nn.Module]:
    """Returns the function that loads a target reference by its number."""
    return lambda number: study.load(study.locate_weights("target", number), device)


def is_prepared(study: Study) -> bool:
    """Returns whether the sample store is filled."""
    return (study.store / TRAIN).exists() and (study.store / "facts.json").exists()
