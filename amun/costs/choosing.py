"""What tonight's attempts are expected to take, one after the other or exact retraining at once."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from amun.core.counts import describe_seconds
from amun.core.params import EXACT_METHOD, AttemptParams, Params, Policy
from amun.costs.measured import Measure, Measured, Past, count_outcomes
from amun.costs.night import Load, count_searches, train_seconds, tune_seconds
from amun.evidence.costs import PlannedNight

MAX_IMAGES = 10**10  # up to which the break-even is looked for


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

    def resize(self, num_train: int) -> "Tonight":
        """Returns the same night where so many training samples are held, and of either half in proportion."""
        share = num_train / self.num_train
        halves = round(self.num_calibration * share), round(self.num_test * share)
        return replace(self, num_train=num_train, num_calibration=halves[0], num_test=halves[1])


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
        machines: on which that was measured.
        seconds: what it takes until the gate has judged it; None where that cannot be foreseen.
        chance: how likely it passes, 0 to 1: the share of those that have passed, were there one more of either kind.
            That is Laplace's rule of succession: an attempt never made passes in one night of two.
    """

    number: int
    method: str
    train_seconds: float | None
    audit_seconds: float | None
    num_runs: int
    num_made: int
    num_passed: int
    machines: tuple[str, ...] = ()
    seconds: float | None = field(init=False)
    chance: float = field(init=False)

    def __post_init__(self) -> None:
        """Derives what programs read as well (`--json`)."""
        trained, audited = self.train_seconds, self.audit_seconds
        object.__setattr__(self, "seconds", None if trained is None or audited is None else trained + audited)
        chance = 1.0 if self.is_exact else (self.num_passed + 1) / (self.num_made + 2)
        object.__setattr__(self, "chance", chance)

    @property
    def is_exact(self) -> bool:
        """Whether it is exact retraining, which always passes."""
        return self.method == EXACT_METHOD


def foresee_attempts(params: Params, measured: Measured, line: Sequence[Past], tonight: Tonight) -> list[AttemptCost]:
    """Returns what each of `unlearning.attempts` would take tonight."""
    audit = measured.audit
    audit_seconds = None if audit is None else audit.seconds * tonight.count_looks(tonight.num_calibration)
    costs = []
    for number, attempt in enumerate(params.unlearning.attempts, start=1):
        own, unit = _find_training(params, measured, attempt)
        seconds = None if unit is None else _foresee_training(params, attempt, unit, tonight.load)
        num_runs = 0 if own is None else own.num_runs
        machines = tuple(sorted({one.machine for one in (unit, audit) if one is not None}))
        outcomes = count_outcomes(line, attempt)
        costs.append(AttemptCost(number, attempt.method, seconds, audit_seconds, num_runs, *outcomes, machines))
    return costs


def _find_training(params: Params, measured: Measured, attempt: AttemptParams) -> tuple[Measure | None, Measure | None]:
    """Returns what the method's own runs have measured, and what it is foreseen by."""
    own = measured.train if attempt.is_exact else measured.tune.get(attempt.method)
    return own, own or _find_like(params, measured)


def _foresee_training(params: Params, attempt: AttemptParams, unit: Measure, load: Load) -> float:
    if attempt.is_exact:
        return train_seconds(unit.seconds, params, load)
    return tune_seconds(unit.seconds, params, load)


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

    Nothing is weighed with `in_order`, where there are not both approximate attempts and exact retraining, and where
    they were measured on different machines.

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
    if len(machines := list_machines(made)) > 1:
        measured = f"what its attempts take was measured on different machines ({'; '.join(machines)})"
        return planned.model_copy(update={"reason": f"unlearning.policy is cheapest, but {measured}"})
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


def list_machines(costs: Sequence[AttemptCost]) -> list[str]:
    """Returns the machines on which was measured what these attempts take."""
    return sorted({machine or "an unknown one" for cost in costs for machine in cost.machines})


def is_weighable(costs: Sequence[AttemptCost], tonight: Tonight) -> bool:
    """Whether the attempts in order can be set against exact retraining at once: both measured, on one machine."""
    exact = [cost for cost in costs if cost.is_exact]
    if not exact or costs[0].is_exact or not tonight.is_remain_at_hand or not tonight.num_forget:
        return False
    return None not in (expect_seconds(exact), expect_seconds(costs)) and len(list_machines(costs)) == 1


def find_break_even(params: Params, measured: Measured, line: Sequence[Past], tonight: Tonight) -> int | None:
    """Returns from how many training samples on the attempts in order are expected to take less than exact retraining.

    By the very sums that `plan_by_cost` weighs; what is paid whichever attempt a night ends with is on both sides.

    Args:
        params: how is trained, and with which attempts.
        measured: in the line; all that they need (`is_weighable`).
        line: by whose outcomes the chances are told.
        tonight: how many are to be forgotten, and which share of the held-out is looked at.

    Returns:
        None where the attempts never take less.
    """

    def is_cheaper(num_train: int) -> bool:
        costs = foresee_attempts(params, measured, line, tonight.resize(num_train))
        in_order, at_once = expect_seconds(costs), expect_seconds([cost for cost in costs if cost.is_exact])
        return in_order is not None and at_once is not None and in_order < at_once

    # both sums grow in proportion to the samples, and with none left to retrain on it takes nothing
    sizes = range(tonight.num_forget, MAX_IMAGES)
    place = bisect_left(sizes, True, key=is_cheaper)
    return sizes[place] if place < len(sizes) else None
