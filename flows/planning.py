"""What tonight is expected to take, by what this workspace's own waves took; nothing is done."""

from collections.abc import Sequence
from dataclasses import dataclass

from amun.core.params import Policy
from amun.costs.choosing import (
    AttemptCost,
    Tonight,
    expect_seconds,
    find_break_even,
    foresee_attempts,
    foresee_shared,
    is_weighable,
)
from amun.costs.measured import Measured, measure_units
from amun.evidence.wave import ForgottenWave
from flows.preview import describe_forgetting, describe_present
from tasks.workspace.costs import read_past, size_night
from tasks.workspace.line import read_line
from tasks.workspace.preview import preview_wave
from tasks.workspace.queue import describe_left
from tasks.workspace.store_files import explain_missing
from tasks.workspace.workspace import Workspace


@dataclass(frozen=True)
class Sums:
    """What a night is expected to take, in seconds. None: not measured yet.

    Attributes:
        tonight: how many samples it has to do with.
        attempts: what each attempt would take.
        shared: what is paid whichever attempt it ends with, by what that is.
        tonight_seconds: the whole night with the attempts that it would make, as far as it was measured; None, too,
            where no wave would be opened, it would wait, or there is nothing to forget.
        in_order_seconds: likewise, with the attempts in the order of `params.yaml`.
        at_once_seconds: likewise, with exact retraining alone; None, too, where there is no such attempt.
        break_even: from how many training images on the attempts in order are expected to take less than exact
            retraining; None where that is never so, or is not known.
        is_weighable: it is known: there is an approximate attempt, somebody to forget, and all has been measured, on
            one machine.
        measured: the unit costs.
    """

    tonight: Tonight
    attempts: list[AttemptCost]
    shared: dict[str, float | None]
    tonight_seconds: float | None
    in_order_seconds: float | None
    at_once_seconds: float | None
    break_even: int | None
    is_weighable: bool
    measured: Measured


@dataclass(frozen=True)
class NightEstimate:
    """What tonight would be about, and what it is expected to take.

    Attributes:
        told: whom it would forget, or why no wave would be opened, in words.
        is_opened: a new wave would be opened; where not, nobody is to be forgotten.
        insufficient: why its people are certainly too few to show that they are forgotten; empty if they may suffice.
        wait_reason: why it would wait; empty if it would not.
        decision: why it would be retrained at once, or what was weighed by `cheapest`; empty otherwise.
        policy: `unlearning.policy`.
        planned: the numbers of the attempts that it would make.
        missing: which file of the base is not at hand, without which nothing is foreseen; empty if all are.
        sums: what it is expected to take; None where such a file is missing.
    """

    told: str
    is_opened: bool
    insufficient: str
    wait_reason: str
    decision: str
    policy: Policy
    planned: tuple[int, ...]
    missing: str
    sums: Sums | None


def estimate_night(workspace: Workspace) -> NightEstimate:
    """Returns what tonight is expected to take; where nobody is to be forgotten, what attempts on all images would.

    Raises:
        InputError: somebody is to be forgotten, and the base's files are not at hand.
    """
    told, insufficient, wait_reason, decision = describe_present(workspace), "", "", ""
    planned: tuple[int, ...] = ()
    missing, sums = "", None
    if is_opened := not told:
        preview = preview_wave(workspace)
        left = describe_left(workspace, is_open=False)
        told = describe_forgetting(preview.forgetting, preview.num_canaries) + (left and f"; {left}")
        insufficient, plan = preview.insufficient, preview.plan
        wait_reason, decision, planned = plan.wait_reason, plan.reason or plan.weighed, plan.attempts
        sums = _sum_up(workspace, [*preview.forgotten, preview.forgetting], planned)
    elif not (missing := explain_missing(workspace.root)):
        nobody = ForgottenWave(number=0, subject_keys=[], forget_ids=[], held_out_ids=[])
        sums = _sum_up(workspace, [*read_line(workspace), nobody], planned)
    return NightEstimate(
        told=told,
        is_opened=is_opened,
        insufficient=insufficient,
        wait_reason=wait_reason,
        decision=decision,
        policy=workspace.params.unlearning.policy,
        planned=planned,
        missing=missing,
        sums=sums,
    )


def _sum_up(workspace: Workspace, forgotten: Sequence[ForgottenWave], planned: Sequence[int]) -> Sums:
    params, line, tonight = workspace.params, read_past(workspace), size_night(workspace, forgotten)
    measured = measure_units(line)
    attempts = foresee_attempts(params, measured, line, tonight)
    shared = foresee_shared(measured, tonight)
    exact = [one for one in attempts if one.is_exact]
    # where there is nothing to forget the base is copied
    made = [one for one in attempts if one.number in planned and tonight.num_forget]
    can_weigh = is_weighable(attempts, tonight)
    return Sums(
        tonight=tonight,
        attempts=attempts,
        shared=shared,
        tonight_seconds=_add(made, shared),
        in_order_seconds=_add(attempts, shared),
        at_once_seconds=_add(exact, shared),
        break_even=find_break_even(params, measured, line, tonight) if can_weigh else None,
        is_weighable=can_weigh,
        measured=measured,
    )


def _add(attempts: Sequence[AttemptCost], shared: dict[str, float | None]) -> float | None:
    expected = expect_seconds(attempts) if attempts else None
    return None if expected is None else expected + sum(seconds or 0.0 for seconds in shared.values())
