"""What tonight is expected to take, by what this workspace's own waves took; nothing is done."""

from collections.abc import Sequence
from dataclasses import dataclass

from amun.core.params import Params, Policy
from amun.costs.choosing import AttemptCost, Tonight, expect_seconds, find_units, foresee_attempts, foresee_shared
from amun.costs.measured import Measured, measure_units
from amun.costs.night import UnitCosts, find_break_even
from amun.evidence.wave import ForgottenWave
from flows.preview import describe_forgetting, describe_present
from tasks.steps.freeze import preview_wave
from tasks.workspace.costs import read_past, size_night
from tasks.workspace.line import read_line
from tasks.workspace.workspace import Workspace


@dataclass(frozen=True)
class NightEstimate:
    """What tonight would be about, and what it is expected to take in seconds. None: not measured yet.

    Attributes:
        told: whom it would forget, or why no wave would be opened, in words.
        tonight: how many samples it has to do with.
        is_opened: a new wave would be opened; where not, nobody is to be forgotten.
        insufficient: why its people are certainly too few to show that they are forgotten; empty if they may suffice.
        wait_reason: why it would wait; empty if it would not.
        decision: why it would be retrained at once, or what was weighed by `cheapest`; empty otherwise.
        policy: `unlearning.policy`.
        planned: the numbers of the attempts that it would make.
        attempts: what each attempt would take.
        shared: what is paid whichever attempt it ends with, by what that is.
        in_order_seconds: the whole night with the attempts in the order of `params.yaml`, as far as it was measured.
        at_once_seconds: likewise with exact retraining alone; None, too, where there is no such attempt.
        break_even: from how many training images on a wave like this takes less than exact retraining alone; None where
            that is never so, or is not known.
        is_weighable: it is known: there is an approximate attempt, somebody to forget, and all has been measured.
        measured: the unit costs.
    """

    told: str
    tonight: Tonight
    is_opened: bool
    insufficient: str
    wait_reason: str
    decision: str
    policy: Policy
    planned: tuple[int, ...]
    attempts: list[AttemptCost]
    shared: dict[str, float | None]
    in_order_seconds: float | None
    at_once_seconds: float | None
    break_even: int | None
    is_weighable: bool
    measured: Measured


def estimate_night(workspace: Workspace) -> NightEstimate:
    """Returns what tonight is expected to take; where nobody is to be forgotten, what attempts on all images would."""
    told, insufficient, wait_reason, decision = describe_present(workspace), "", "", ""
    planned: tuple[int, ...] = ()
    if is_opened := not told:
        preview = preview_wave(workspace)
        forgotten = [*preview.forgotten, preview.forgetting]
        told, insufficient, plan = describe_forgetting(preview.forgetting), preview.insufficient, preview.plan
        wait_reason, decision, planned = plan.wait_reason, plan.reason or plan.weighed, plan.attempts
    else:
        forgotten = [*read_line(workspace), ForgottenWave(number=0, subject_keys=[], forget_ids=[], held_out_ids=[])]
    line, tonight = read_past(workspace), size_night(workspace, forgotten)
    measured = measure_units(line)
    attempts = foresee_attempts(workspace.params, measured, line, tonight)
    shared = foresee_shared(measured, tonight)
    exact = [attempt for attempt in attempts if attempt.is_exact]
    units = _find_units(workspace.params, measured, tonight, attempts)
    return NightEstimate(
        told=told,
        tonight=tonight,
        is_opened=is_opened,
        insufficient=insufficient,
        wait_reason=wait_reason,
        decision=decision,
        policy=workspace.params.unlearning.policy,
        planned=planned,
        attempts=attempts,
        shared=shared,
        in_order_seconds=_add(expect_seconds(attempts), shared),
        at_once_seconds=_add(expect_seconds(exact) if exact else None, shared),
        break_even=None if units is None else find_break_even(units, workspace.params, tonight.num_forget),
        is_weighable=units is not None,
        measured=measured,
    )


def _add(attempts: float | None, shared: dict[str, float | None]) -> float | None:
    return None if attempts is None else attempts + sum(seconds or 0.0 for seconds in shared.values())


def _find_units(
    params: Params, measured: Measured, tonight: Tonight, attempts: Sequence[AttemptCost]
) -> UnitCosts | None:
    """Returns the unit costs by the first attempt; None where it is exact, nothing is retrained or nobody forgotten."""
    first = attempts[0]
    if first.is_exact or not tonight.is_remain_at_hand or not tonight.num_forget:
        return None
    return find_units(params, measured, tonight, first.method)
