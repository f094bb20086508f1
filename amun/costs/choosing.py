"""What tonight's attempts are expected to take, one after the other or exact retraining at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from amun.core.counts import describe_seconds
from amun.core.params import EXACT_METHOD, AttemptParams, Params, Policy
from amun.costs.measured import Measure, Measured, Past, count_outcomes
from amun.costs.night import Load, UnitCosts, count_searches, train_seconds, tune_seconds
from amun.evidence.costs import PlannedNight


@dataclass(frozen=True)
class Tonight:
    """How many samples a night has to do with.

    Attributes:
        num_train: training samples held, those to forget among them.
        num_forget: to forget.
        num_calibration: of the calibration half, still held after the night; likewise of the test half.
        is_remain_at_hand: the remaining training samples can be read.
    """

    num_train: int
    num_forget: int
    num_calibration: int
    num_test: int
    is_remain_at_hand: bool

    @property
    def load(self) -> Load:
        """What one model and device are asked for."""
        return Load(self.num_train, self.num_forget)

    def count_looks(self, num_held_out: int) -> int:
        """Returns how many samples are looked at with this many of a held-out half."""
        return (self.num_train if self.is_remain_at_hand else self.num_forget) + num_held_out


@dataclass(frozen=True)
class AttemptCost:
    """What one attempt is expected to take, and how likely it passes.

    Attributes:
        number: in `unlearning.attempts`, from 1.
        method: its name.
        train_seconds: its own training; None where nothing like it was measured.
        audit_seconds: to judge it; None likewise.
        num_runs: of its method, of which the first is the median; 0 where it is foreseen by the training of the base.
        num_made: how often it was judged in this line.
        num_passed: how often it passed.
    """

    number: int
    method: str
    train_seconds: float | None
    audit_seconds: float | None
    num_runs: int
    num_made: int
    num_passed: int

    @property
    def is_exact(self) -> bool:
        """Whether it is exact retraining, which always passes."""
        return self.method == EXACT_METHOD

    @property
    def seconds(self) -> float | None:
        """What it takes until the gate has judged it; None where that cannot be foreseen."""
        trained, audited = self.train_seconds, self.audit_seconds
        return None if trained is None or audited is None else trained + audited

    @property
    def chance(self) -> float:
        """How likely it passes, 0 to 1: the share of those that have passed, were there one more of either kind.

        That is Laplace's rule of succession: an attempt never made passes in one night of two, and one that was
        refused once is not given up for ever.
        """
        return 1.0 if self.is_exact else (self.num_passed + 1) / (self.num_made + 2)


def foresee_attempts(params: Params, measured: Measured, line: Sequence[Past], tonight: Tonight) -> list[AttemptCost]:
    """Returns what each of `unlearning.attempts` would take tonight."""
    audit = measured.audit
    audit_seconds = None if audit is None else audit.seconds * tonight.count_looks(tonight.num_calibration)
    costs = []
    for number, attempt in enumerate(params.unlearning.attempts, start=1):
        seconds, num_runs = _foresee_training(params, measured, attempt, tonight.load)
        num_made, num_passed = count_outcomes(line, attempt)
        costs.append(AttemptCost(number, attempt.method, seconds, audit_seconds, num_runs, num_made, num_passed))
    return costs


def _foresee_training(
    params: Params, measured: Measured, attempt: AttemptParams, load: Load
) -> tuple[float | None, int]:
    own = measured.train if attempt.is_exact else measured.tune.get(attempt.method)
    unit = own or _find_like(params, measured)
    if unit is None:
        return None, 0
    num_runs = 0 if own is None else own.num_runs
    if attempt.is_exact:
        return train_seconds(unit.seconds, params, load), num_runs
    return tune_seconds(unit.seconds, params, load), num_runs


def _find_like(params: Params, measured: Measured) -> Measure | None:
    """Returns what a sample takes in one epoch of training the base; None of a user's trainer, which tells of none."""
    return measured.train if params.training.function is None else None


def foresee_shared(measured: Measured, tonight: Tonight) -> dict[str, float | None]:
    """Returns what tonight takes whichever attempt it ends with, by what that is; None where it was not measured."""
    report, search = measured.report, measured.search
    num_searches = count_searches(tonight.num_forget)
    looks = tonight.count_looks(tonight.num_test)
    return {
        "power": None if measured.power is None else measured.power.seconds,
        "search": 0.0 if not num_searches else None if search is None else search.seconds * num_searches,
        "report": None if report is None else report.seconds * looks,
        "fixed": None if measured.fixed is None else measured.fixed.seconds,
    }


def expect_seconds(attempts: Sequence[AttemptCost]) -> float | None:
    """Returns what attempts in turn are expected to take: one that fails is paid, and the next follows.

    Args:
        attempts: in their order; what follows exact retraining is never reached.

    Returns:
        seconds; None where an attempt that can be reached cannot be foreseen.
    """
    total, reached = 0.0, 1.0
    for attempt in attempts:
        if attempt.seconds is None:
            return None
        total += reached * attempt.seconds
        if attempt.is_exact:
            break
        reached *= 1 - attempt.chance
    return total


def plan_by_cost(policy: Policy, numbers: Sequence[int], costs: Sequence[AttemptCost]) -> PlannedNight:
    """Returns which attempts a night makes: exact retraining at once where it is expected to take no longer.

    Nothing is weighed with `in_order`, and where there are not both approximate attempts and exact retraining.

    Args:
        policy: `unlearning.policy`.
        numbers: of the attempts that the night may make.
        costs: of all attempts.
    """
    made = [cost for cost in costs if cost.number in numbers]
    exact = [cost for cost in made if cost.is_exact]
    planned = PlannedNight(policy=policy, attempts=tuple(numbers))
    if policy == "in_order" or not exact or made[0].is_exact:
        return planned
    at_once, in_order = expect_seconds(exact), expect_seconds(made)
    if at_once is None or in_order is None:
        missing = "training" if any(cost.train_seconds is None for cost in made) else "audit"
        reason = f"unlearning.policy is cheapest, but no {missing} of this line has been measured yet"
        return planned.model_copy(update={"reason": reason})
    reason = (
        f"exact retraining at once is expected to take {describe_seconds(at_once)} with its audit, "
        f"the attempts in order {describe_seconds(in_order)} (unlearning.policy: cheapest)"
    )
    is_cheaper = at_once <= in_order
    return planned.model_copy(
        update={
            "attempts": tuple(cost.number for cost in exact) if is_cheaper else planned.attempts,
            "reason": reason,
            "at_once_seconds": round(at_once, 1),
            "in_order_seconds": round(in_order, 1),
        }
    )


def find_units(params: Params, measured: Measured, tonight: Tonight, method: str) -> UnitCosts | None:
    """Returns the unit costs of waves whose attempt is of this method; None where one of them is not known.

    Args:
        params: how the base is trained.
        measured: in the line.
        tonight: by which the looks at held-out samples are shared among the training images.
        method: its own training, or where it was never made that of the base.
    """
    train, search, audit, report = measured.train, measured.search, measured.audit, measured.report
    tune = measured.tune.get(method) or _find_like(params, measured)
    if train is None or tune is None or search is None or audit is None or report is None or not tonight.num_train:
        return None
    looks = [tonight.count_looks(number) / tonight.num_train for number in (tonight.num_calibration, tonight.num_test)]
    return UnitCosts(
        train=train.seconds,
        tune=tune.seconds,
        search=search.seconds,
        audit=audit.seconds * looks[0],
        report=report.seconds * looks[1],
        fixed=0.0 if measured.fixed is None else measured.fixed.seconds,
    )
