"""What gate and report say of a model, by the stages of a wave, and what they should say."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.special import bdtr

from amun.audit.decision import decide
from amun.audit.gate import contradicts_memory
from amun.audit.measuring import add_memory, audit_half
from amun.audit.night import MIN_POWER, read_night
from amun.core.params import Params
from amun.core.paths import TEST
from amun.evidence.figures import AuditFigures, ModelFigures, UnlearnFigures, read_figures
from amun.evidence.wave import read_wave
from amun.selftest.planted import Planted
from amun.selftest.truth import TrueLeft
from amun.stages.audit import audit

PASSED, WARNED, REFUSED, INSUFFICIENT = "passed", "passed with a warning", "refused", "insufficient"
SURPRISE = 0.01  # exact weights that pass so seldom by chance, if four in five do, are a miss


# the gate judges every model as an attempt that is not exact
APPROXIMATE = UnlearnFigures(attempt=1, method="any", is_exact=False)


@dataclass(frozen=True)
class Verdict:
    """What is said of one model in one night.

    Attributes:
        gate: passed, passed with a warning, refused, or insufficient: the night shows nothing, whatever the model.
        is_contradicted: the test half, by itself, shows that it has not forgotten: it would not be promoted.
        reason: of the gate.
        memory_left: on the calibration half, with its bounds; None where it could not be measured.
    """

    gate: str
    is_contradicted: bool
    reason: str
    memory_left: tuple[float, float, float] | None


@dataclass(frozen=True)
class Cell:
    """A planted model in nights of one size, and what was said of it, once or for several seeds.

    Attributes:
        planted: its name.
        is_exact: it has forgotten.
        num_people: who ask.
        verdicts: none where there is no such model at that size.
        true_left: what it truly leaves of the base's memory; None where it did not pass, or is to pass.
        unmeasured: why that could not be measured of one that passed; empty where it could.
    """

    planted: str
    is_exact: bool
    num_people: int
    verdicts: tuple[Verdict, ...]
    true_left: TrueLeft | None = None
    unmeasured: str = ""

    @property
    def expected(self) -> str:
        """What the gate is to say."""
        return PASSED if self.is_exact else REFUSED

    @property
    def num_passed(self) -> int:
        """How many of the models the gate lets pass."""
        return sum(verdict.gate == PASSED for verdict in self.verdicts)

    @property
    def is_false_pass(self) -> bool:
        """Whether a fault passed: to be right, that it is light enough has to be shown."""
        return self.num_passed > 0 and not self.is_exact

    @property
    def is_within(self) -> bool:
        """Whether a fault passed that leaves so little that the gate may let it pass."""
        return self.is_false_pass and self.true_left is not None and self.true_left.is_within

    @property
    def is_miss(self) -> bool:
        """Whether the gate was wrong. To say "insufficient" is never wrong, nor to pass what lies within the margin."""
        if not self.is_exact:
            return self.is_false_pass and not self.is_within
        judged = [verdict for verdict in self.verdicts if verdict.gate in (PASSED, REFUSED)]
        return bool(judged) and float(bdtr(self.num_passed, len(judged), MIN_POWER)) < SURPRISE


def judge_model(params: Params, device: torch.device) -> Verdict:
    """Returns what gate and report say of the current folder's unlearned model, as an attempt that is not exact."""
    audit(params, device)
    audited = read_figures(AuditFigures)
    night, gate = read_night(), params.gate
    decision = decide(APPROXIMATE, night, audited, read_wave().yardstick, gate)
    reported = add_memory(ModelFigures(), audit_half(params, device, TEST).memory, params, is_refuting=True)
    if decision.passed:
        said = WARNED if decision.warning else PASSED
    else:
        said = INSUFFICIENT if night.insufficient else REFUSED
    return Verdict(
        gate=said,
        is_contradicted=contradicts_memory(reported.bounds, gate.max_memory_left),
        reason=decision.reason,
        memory_left=_read_left(audited),
    )


def list_misses(cells: Sequence[Cell]) -> list[Cell]:
    """Returns the cells in which the gate did not say what it was to say."""
    return [cell for cell in cells if cell.is_miss]


def list_within(cells: Sequence[Cell]) -> list[Cell]:
    """Returns the cells in which a fault passed that the gate may let pass."""
    return [cell for cell in cells if cell.is_within]


def describe(planted: Planted, num_people: int, verdicts: Sequence[Verdict]) -> Cell:
    """Returns the cell of a planted model."""
    return Cell(planted.name, planted.is_exact, num_people, tuple(verdicts))


def _read_left(figures: ModelFigures) -> tuple[float, float, float] | None:
    """Returns memory left and its bounds; None where it could not be bounded."""
    if figures.memory_left is None or figures.bounds is None:
        return None
    return figures.memory_left, *figures.bounds
