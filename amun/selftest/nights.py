"""Many nights from few trainings: every figure is computed as the stages compute it, from logits that are kept.

What is redrawn: the people who ask, which held-out people of theirs go with them, and for exact weights the training
itself, once for each night. What is not: the split into training and held-out people, the references and, within one
base, the base; nights on one base have these in common, and are no independent draws.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from amun.audit.decision import Decision, decide
from amun.audit.evaluation import AuditSets, audit_logits, choose_audit_sets
from amun.audit.expected import expect_accuracy, is_retraining_alike
from amun.audit.gate import contradicts_memory
from amun.audit.measuring import WaveAudit, add_memory, keep_shown, measure_wave_memory
from amun.audit.night import NightPower, foresee_night, share_alpha
from amun.audit.sizes import read_sizes
from amun.audit.trace import Candidates, Rises, Trace, compare_rises, find_candidates, measure_rise
from amun.audit.weights import measure_climb
from amun.core.params import Params
from amun.core.paths import AUDIT_INCLUSION, AUDIT_LOGITS, CALIBRATION, TEST, TRAIN
from amun.evidence.figures import AuditFigures, ModelFigures
from amun.evidence.wave import MIN_PEOPLE, Wave, list_gone, read_forgotten
from amun.model.training import compute_logits
from amun.selftest.ground import plan_night, read_retrained
from amun.selftest.verdicts import APPROXIMATE
from amun.stages.audit import describe_audit
from amun.store.drawing import draw_people, find_strangers
from amun.store.samples import Samples, read_samples

# what stands before the first number of each part of a reason: `memory left 0.3 ...; |FT AUC 0.7 - ...`
_FIGURE = re.compile(r"(?:^|; )(?:\||max\()?([A-Za-z][A-Za-z -]*?) -?\d")


@dataclass(frozen=True)
class Answers:
    """What one model says of all samples.

    Attributes:
        logits: (N, C) of the training, the calibration and the test samples.
        rises: (N,) of the training and the calibration samples: how much surer than its base the model is of the base's
            wrong label of their nearest adversarial example; NaN where there is none.
        climbs: (N,) likewise, how far its weights lie up the loss on them; NaN where nobody is judged by that.
    """

    logits: tuple[Tensor, Tensor, Tensor]
    rises: tuple[Tensor, Tensor]
    climbs: tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Judgement:
    """What is said of a model in one night.

    Attributes:
        night: what the night could show.
        decision: the gate's.
        lenient: the decision of a gate that passes with a warning what a night cannot show.
        is_contradicted: the test half shows that it has not forgotten.
    """

    night: NightPower
    decision: Decision
    lenient: Decision
    is_contradicted: bool

    @property
    def is_promoted(self) -> bool:
        """Whether the model would serve."""
        return self.decision.passed and not self.is_contradicted

    @property
    def is_refused(self) -> bool:
        """Whether something speaks against the model, in a sufficient night or any other."""
        return not self.lenient.passed or self.is_contradicted

    def list_grounds(self) -> list[str]:
        """Returns the figures that do not keep their bound, as the gate's reason names them."""
        named = [] if self.lenient.passed else _FIGURE.findall(self.lenient.reason)
        return [*named, *["test half"] * self.is_contradicted]


class Field:
    """The current ground's samples and references, read once for all nights on them."""

    def __init__(self, params: Params, device: torch.device) -> None:
        self.params = params
        self._device = device
        gone = list_gone(read_forgotten())
        self.train, self.calibration, self.test, self._references, self._inclusion = (
            read_samples(path, without=gone) for path in (TRAIN, CALIBRATION, TEST, AUDIT_LOGITS, AUDIT_INCLUSION)
        )

    def search(self, base: nn.Module) -> list[Candidates]:
        """Returns the nearest adversarial examples of the training and of the calibration samples on a base.

        None are searched where the gate does not judge the trace.
        """
        is_judged = self.params.gate.max_trace is not None or read_retrained() is not None
        found = []
        for samples in (self.train, self.calibration):
            images, labels = samples.images.to(self._device), samples.labels.to(self._device)
            looked_at = len(samples) if is_judged else 0
            candidates = find_candidates(base, images[:looked_at], labels[:looked_at], self.params.adversarial)
            is_found = torch.zeros(len(samples), dtype=torch.bool)
            is_found[:looked_at] = candidates.is_found.cpu()
            found.append(Candidates(candidates.examples, is_found))
        return found

    def ask(self, base: nn.Module, model: nn.Module, candidates: Sequence[Candidates]) -> Answers:
        """Returns what a model says of all samples and of the base's adversarial examples."""
        train, calibration, test = (
            compute_logits(model, samples.images.to(self._device))
            for samples in (self.train, self.calibration, self.test)
        )
        rises = []
        for found in candidates:
            rise = torch.full((len(found.is_found),), torch.nan, dtype=torch.float64)
            rise[found.is_found] = measure_rise(base, model, *found.examples)
            rises.append(rise)
        climbs = [self._climb(base, model, samples) for samples in (self.train, self.calibration)]
        return Answers((train, calibration, test), (rises[0], rises[1]), (climbs[0], climbs[1]))

    def _climb(self, base: nn.Module, model: nn.Module, samples: Samples) -> Tensor:
        retrained = read_retrained()
        if retrained is None or not retrained.weights_by_person:
            return torch.full((len(samples),), torch.nan, dtype=torch.float64)
        return measure_climb(base, model, samples.images.to(self._device), samples.labels.to(self._device))

    def judge(self, people: Sequence[str], base: Answers, model: Answers) -> Judgement:
        """Returns what gate and report say of a model, as an attempt that is not exact.

        Args:
            people: who ask.
            base: of the model before.
            model: of the one that is judged.
        """
        params, wave, night = self.params, self._plan(people), self.foresee(people, base)
        figures = self.measure(people, base, model, night)
        decision, lenient = (
            decide(APPROXIMATE, night, figures, wave.yardstick, gate)
            for gate in (params.gate, params.gate.model_copy(update={"insufficient": "pass_with_warning"}))
        )
        reported = add_memory(ModelFigures(), self._audit(wave, 2, base, model).memory, params, is_refuting=True)
        return Judgement(
            night=night,
            decision=decision,
            lenient=lenient,
            is_contradicted=contradicts_memory(reported.bounds, params.gate.max_memory_left),
        )

    def measure(self, people: Sequence[str], base: Answers, model: Answers, night: NightPower) -> AuditFigures:
        """Returns the figures that the gate is told, as the stage `audit` finds them."""
        wave = self._plan(people)
        is_forget = self.train.is_among(wave.figure_ids)
        is_left = ~self.calibration.is_among(wave.gone_ids) & find_strangers(self.calibration, self.train)
        trace, weights = (
            _compare_rises(
                Rises(of_train[is_forget], self.train.subject_ids[is_forget]),
                Rises(of_calibration[is_left], self.calibration.subject_ids[is_left]),
            )
            for of_train, of_calibration in (model.rises, model.climbs)
        )
        return describe_audit(self._audit(wave, 1, base, model), trace, weights, wave.retrained, night, self.params)

    def _audit(self, wave: Wave, half: int, base: Answers, model: Answers) -> WaveAudit:
        """Returns the audit on the calibration samples (1) or on the test samples (2)."""
        sets = self._choose_sets(wave, half)
        before, after = (
            audit_logits(sets, *self._pick(wave, half, answers), self.params.audit) for answers in (base, model)
        )
        of_base, of_model = ((each.forget_logits, each.held_out_logits) for each in (before, after))
        shown, shown_after = keep_shown(wave, sets, after)
        return WaveAudit(
            sets=shown,
            sets_before=shown,
            before=keep_shown(wave, sets, before)[1],
            after=shown_after,
            memory=measure_wave_memory(sets, self._references, of_base, of_model, self.params, wave),
            num_references=self._num_references,
            not_measured=None,
        )

    def foresee(self, people: Sequence[str], base: Answers) -> NightPower:
        """Returns what a night could show in which these people ask, as the stage `power` finds it."""
        wave = self._plan(people)
        sets = self._choose_sets(wave, 1)
        forget, _, held_out = self._pick(wave, 1, base)
        of_base, expected = (forget, held_out), None
        if is_retraining_alike(self.params):
            samples = self.calibration, self.train, self._references, self._inclusion
            expected = expect_accuracy(*samples, read_sizes(wave), wave.yardstick)
        return foresee_night(
            sets.forget.select(sets.forget.is_among(wave.figure_ids)),
            sets.held_out.select(find_strangers(sets.held_out, self.train)),
            measure_wave_memory(sets, self._references, of_base, of_base, self.params, wave),
            self._num_references,
            expected,
            yardstick=wave.yardstick,
            margin=self.params.gate.max_memory_left,
            max_accuracy_drop=self.params.gate.max_accuracy_drop,
            alpha=share_alpha(self.params.unlearning.attempts),
        )

    def _plan(self, people: Sequence[str]) -> Wave:
        return plan_night(self.params.model.name, people, [self.train, self.calibration, self.test])

    @property
    def _num_references(self) -> int:
        return self._references.payloads.shape[1] if len(self._references) else 0

    def _choose_sets(self, wave: Wave, half: int) -> AuditSets:
        return choose_audit_sets(wave, self.train, (self.calibration, self.test)[half - 1], self._references)

    def _pick(self, wave: Wave, half: int, answers: Answers) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the logits of the samples to forget, of the remaining ones and of those of the half still held."""
        held_out = (self.calibration, self.test)[half - 1]
        is_forget, is_gone = self.train.is_among(wave.forget_ids), self.train.is_among(wave.gone_ids)
        train, of_half = answers.logits[0], answers.logits[half]
        return train[is_forget], train[~is_gone], of_half[~held_out.is_among(wave.gone_ids)]


def _compare_rises(forget: Rises, held_out: Rises) -> Trace:
    """Returns what is seen from the rises of the samples to forget and of as many held-out ones, as a wave draws them.

    Of a sample without an example there is none: its rise is no number, as all are that nobody is judged by.
    """
    rows = draw_people(held_out.subject_ids, len(forget.values), min_people=MIN_PEOPLE)
    drawn = Rises(held_out.values[torch.from_numpy(rows)], held_out.subject_ids[rows])
    found = [
        Rises(rises.values[~rises.values.isnan()], rises.subject_ids[~rises.values.isnan().numpy()])
        for rises in (forget, drawn)
    ]
    return compare_rises(*found)
