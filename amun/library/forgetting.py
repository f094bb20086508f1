"""Forgetting people with a method of the package, and what is left of them."""

from dataclasses import dataclass

from torch import nn

from amun.audit.evaluation import AuditSets, ModelAudit, audit_model
from amun.audit.gather import compute_model_signals, gather_evidence
from amun.audit.memory import measure_memory
from amun.audit.night import ALPHA
from amun.audit.observations import Floats
from amun.audit.trace import Rises, compare_rises, find_candidates, measure_rise
from amun.core.errors import InputError
from amun.core.params import AttemptParams, Params
from amun.library.learning import Build, References, build_seeded
from amun.methods.catalogue import check_attempt, find_method, load_method
from amun.methods.method import Method
from amun.methods.problem import Targets, UnlearningProblem, gather_targets
from amun.model.training import compute_accuracy
from amun.search import catalogue
from amun.search.catalogue import AdversarialExamples
from amun.store.drawing import find_strangers
from amun.store.samples import Samples


def find_adversarial(model: nn.Module, samples: Samples, params: Params) -> AdversarialExamples:
    """Returns the nearest adversarial example of each sample: its image, the model's wrong label and the L2 distance.

    Args:
        model: classifier, on the device of the images; it is not changed.
        samples: with their true labels.
        params: `adversarial` names the search.

    Raises:
        AttemptError: none was found for some samples.
        AmunError: the model's logits are not finite.

    Examples:
        >>> import torch
        >>> from amun import make_params, make_samples
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
        >>> model[1].weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> samples = make_samples(torch.tensor([[[[0.8, 0.2]]]]), torch.tensor([0]), ["ann"])
        >>> found = find_adversarial(model, samples, make_params())
        >>> found.labels.tolist()  # the nearest other class begins at [0.5, 0.5]
        [1]
        >>> round(found.delta_norm.item(), 2)
        0.42
    """
    images, labels = samples.images, samples.labels
    names = samples.sample_ids.tolist()
    return catalogue.find_adversarial(
        model, images, labels.to(images.device), params=params.adversarial, sample_ids=names
    )


def unlearn(
    method: str,
    base: nn.Module,
    forget: Samples,
    remain: Samples,
    params: Params,
    *,
    build: Build,
    references: References | None = None,
    learning_rate: float | None = None,
    **own: float,
) -> nn.Module:
    """Returns a model that was to forget some samples; the base is not changed.

    Args:
        method: one of `METHODS`, or `package.module:function`.
        base: the model before, on the device of the images.
        forget: what it is to forget.
        remain: what else it was trained on.
        params: `unlearning` and `adversarial`, and `training` for exact retraining.
        build: as for `train`.
        references: some methods take their labels from them.
        learning_rate: of the first step; none for exact retraining.
        own: the parameter of the method, by its name.

    Raises:
        InputError: the method is unknown, or does not take these parameters, or lacks its references.
        AttemptError: it cannot be made: an adversarial example is missing, or the loss is no longer finite.

    Examples:
        >>> import torch
        >>> from amun import make_params, make_samples, train
        >>> images, labels = torch.rand(12, 1, 4, 4), torch.arange(12) % 2
        >>> samples = make_samples(images, labels, ["ann", "ben", "cid"] * 4)
        >>> def build(): return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
        >>> params, asks = make_params(training={"epochs": 5}), samples.subject_ids == "ann"
        >>> base = train(build, samples, params)
        >>> forget, remain = samples.select(asks), samples.select(~asks)
        >>> unlearned = unlearn("amun", base, forget, remain, params, build=build, learning_rate=0.01)
        >>> unlearned(images).shape
        torch.Size([12, 2])
    """
    try:
        attempt = AttemptParams(method=method, learning_rate=learning_rate, **own)
        check_attempt(attempt)
        declared, function = find_method(method), load_method(method)
    except ValueError as error:
        raise InputError(str(error)) from None
    device = forget.images.device
    searched = find_adversarial(base, forget, params) if declared.needs_adversarial else None
    empty = forget.images[:0], forget.labels[:0].to(device)
    adversarial_images, adversarial_labels = empty if searched is None else (searched.images, searched.labels)
    problem = UnlearningProblem(
        base=base,
        forget_images=forget.images,
        forget_labels=forget.labels.to(device),
        adversarial_images=adversarial_images,
        adversarial_labels=adversarial_labels,
        remain_images=remain.images,
        remain_labels=remain.labels.to(device),
        targets=_find_targets(declared, forget, references),
        attempt=attempt,
        params=params,
        build=lambda: build_seeded(build, params.training.seed, device),
        on_epoch=lambda _: None,
    )
    return function(problem).model


def _find_targets(method: Method, forget: Samples, references: References | None) -> Targets | None:
    if method.needs_target_weights:
        raise InputError(f"{method.name} needs the references themselves, of which only what they say is kept")
    if references is None or not len(references.target_logits):
        return None
    return gather_targets(references.target_logits, references.target_inclusion, forget, forget.images.device)


@dataclass(frozen=True)
class Forgetting:
    """What a model still shows of people whom it was to forget; None where too few could tell.

    Attributes:
        accuracy_forget: 0 to 1, on their images.
        accuracy_held_out: on images of people never trained on.
        ft_auc: by which RMIA tells the two kinds of images apart; 0.5 is not at all.
        memory_left: how much of what the base remembered of them is left, by person: 0 is what exact retraining leaves.
        memory_left_bounds: of it, each missed with 5 %.
        trace_by_person: AUC by which whoever holds the base tells these people from strangers; 0.5 is not at all.
    """

    accuracy_forget: float
    accuracy_held_out: float
    ft_auc: float | None
    memory_left: float | None
    memory_left_bounds: tuple[float, float] | None
    trace_by_person: float | None


def measure_forgetting(
    base: nn.Module, unlearned: nn.Module, forget: Samples, held_out: Samples, references: References, params: Params
) -> Forgetting:
    """Returns what an unlearned model still shows of the people it was to forget, beside people never trained on.

    Of several models `Auditor` asks the base but once.

    Args:
        base: the model before, on the device of the images.
        unlearned: the model after, likewise.
        forget: training samples of the people, whole.
        held_out: samples of others, none of whose was ever trained on.
        references: trained on halves of all of these people.
        params: `audit`, and `adversarial` for the trace.

    Raises:
        InputError: somebody is on both sides.

    Examples:
        >>> import torch
        >>> from amun import make_params, make_samples, train, train_references
        >>> images, labels = torch.rand(40, 1, 4, 4), torch.arange(40) % 2
        >>> samples = make_samples(images, labels, [f"person {number}" for number in range(40)])
        >>> def build(): return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
        >>> training = {"epochs": 5, "fallback_gradient_norm": None}
        >>> params = make_params(training=training, references={"num_audit": 6, "num_target": 0})
        >>> forget, held_out = samples.slice(0, 20), samples.slice(20, 40)
        >>> base = train(build, forget, params)
        >>> references = train_references(build, samples, params)
        >>> measure_forgetting(base, base, forget, held_out, references, params).trace_by_person
        0.5
    """
    return Auditor(base, forget, held_out, references, params).measure(unlearned)


class Auditor:
    """Measures what models still show of the same people: what is the base's own is computed once for all of them.

    Examples:
        >>> import torch
        >>> from amun import make_params, make_samples, train, train_references
        >>> images, labels = torch.rand(40, 1, 4, 4), torch.arange(40) % 2
        >>> samples = make_samples(images, labels, [f"person {number}" for number in range(40)])
        >>> def build(): return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
        >>> training = {"epochs": 5, "fallback_gradient_norm": None}
        >>> params = make_params(training=training, references={"num_audit": 6, "num_target": 0})
        >>> forget, held_out = samples.slice(0, 20), samples.slice(20, 40)
        >>> base = train(build, forget, params)
        >>> auditor = Auditor(base, forget, held_out, train_references(build, samples, params), params)
        >>> [auditor.measure(model).trace_by_person for model in (base, base)]
        [0.5, 0.5]
    """

    def __init__(
        self, base: nn.Module, forget: Samples, held_out: Samples, references: References, params: Params
    ) -> None:
        """Asks the base of all samples, and searches its adversarial examples of them; as for `measure_forgetting`.

        Raises:
            InputError: somebody is on both sides.
        """
        if not find_strangers(held_out, forget).all():
            raise InputError(
                "held_out: some of these people are to be forgotten; only strangers can be compared with them"
            )
        self._base, self._forget, self._held_out, self._params = base, forget, held_out, params
        asked = references.audit_logits
        of_forget, of_held_out = (
            asked.align(samples.sample_ids.tolist()).payloads if len(asked) else None for samples in (forget, held_out)
        )
        self._sets = AuditSets(forget, forget.slice(0, 0), held_out, of_forget, of_held_out)
        self._evidence = gather_evidence(forget, held_out, asked, references.audit_inclusion, params.audit)
        self._signals = self._compute_signals(audit_model(base, self._sets, params.audit))
        self._candidates = [
            find_candidates(base, samples.images, samples.labels.to(samples.images.device), params.adversarial)
            for samples in (forget, held_out)
        ]

    def measure(self, unlearned: nn.Module) -> Forgetting:
        """Returns what a model still shows, which is on the device of the images."""
        audited, memory = audit_model(unlearned, self._sets, self._params.audit), None
        if self._evidence is not None:
            memory = measure_memory(self._evidence, self._signals, self._compute_signals(audited))
        return Forgetting(
            accuracy_forget=compute_accuracy(audited.forget_logits, self._forget.labels),
            accuracy_held_out=compute_accuracy(audited.held_out_logits, self._held_out.labels),
            ft_auc=audited.compute_ft_auc(),
            memory_left=None if memory is None or memory.base_total <= 0 else memory.left,
            memory_left_bounds=None if memory is None else memory.bound(ALPHA),
            trace_by_person=self._measure_trace(unlearned),
        )

    def _compute_signals(self, audited: ModelAudit) -> Floats:
        logits = audited.forget_logits, audited.held_out_logits
        return compute_model_signals(*logits, self._forget, self._held_out, self._params.audit)

    def _measure_trace(self, unlearned: nn.Module) -> float | None:
        rises = [
            Rises(
                measure_rise(self._base, unlearned, *found.examples),
                samples.subject_ids[found.is_found.cpu().numpy()],
            )
            for samples, found in zip((self._forget, self._held_out), self._candidates, strict=True)
        ]
        return compare_rises(*rises).auc_by_person
