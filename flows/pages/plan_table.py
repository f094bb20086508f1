"""What tonight is expected to take, as people read it."""

from collections.abc import Iterator

from amun.core.counts import describe_seconds, tell_count
from amun.costs.choosing import AttemptCost, list_machines
from amun.costs.measured import Measure
from flows.pages.table import Column, Table, print_table
from flows.planning import NightEstimate, Sums

UNKNOWN = "not measured yet"
SHARED = {
    "power": "power",
    "search": "adversarial examples",
    "report": "report",
    "fixed": "servers, git, DVC and starting programs",
}
COLUMNS = (
    Column("attempt"),
    Column("training"),
    Column("audit"),
    Column("passed", 1),
    Column("chance", 2),
    Column("by", 3, title="foreseen by"),
)


def print_estimate(estimate: NightEstimate) -> None:
    """Prints whom a night would forget, what each attempt and all together would take, and the break-even."""
    print(estimate.told)
    sums = estimate.sums
    if sums is None:
        print(f"nothing is foreseen: {estimate.missing}")
        return
    for line in _tell_night(estimate, sums):
        print(line)
    print()
    table = Table(*COLUMNS)
    for attempt in sums.attempts:
        table.add_row(*_describe_row(attempt))
    print_table(table)
    print()
    for line in [*_tell_shared(sums), *_tell_sums(estimate, sums), *_tell_break_even(sums), *_tell_machines(sums)]:
        print(line)


def _tell_night(estimate: NightEstimate, sums: Sums) -> Iterator[str]:
    if not estimate.is_opened:
        yield "what a night would take, the search for adversarial examples of whoever it forgets left out:"
        return
    if estimate.wait_reason:
        yield f"not yet: {estimate.wait_reason}"
        return
    if sums.tonight.num_forget:
        yield estimate.insufficient or "whether they suffice to show that they are forgotten, its first stage will say"
    if estimate.planned:
        methods = {attempt.number: attempt.method for attempt in sums.attempts}
        yield f"attempts in turn: {', '.join(f'{number} {methods[number]}' for number in estimate.planned)}"
    if estimate.decision and estimate.decision != estimate.insufficient:
        yield estimate.decision


def _describe_row(attempt: AttemptCost) -> list[str]:
    if attempt.train_seconds is None:
        by = ""
    elif attempt.num_runs:
        by = f"{tell_count(attempt.num_runs, 'run')}"
    else:
        by = "training of the base"
    return [
        f"{attempt.number} {attempt.method}",
        _tell(attempt.train_seconds),
        _tell(attempt.audit_seconds),
        "" if attempt.is_exact else f"{attempt.num_passed} of {attempt.num_made}",
        "" if attempt.is_exact else f"{attempt.chance:.2f}",
        by,
    ]


def _tell(seconds: float | None) -> str:
    return UNKNOWN if seconds is None else describe_seconds(seconds)


def _tell_shared(sums: Sums) -> Iterator[str]:
    shared = [f"{SHARED[name]} {describe_seconds(s)}" for name, s in sums.shared.items() if s]
    if shared:
        yield f"whatever it ends with: {', '.join(shared)}"
    if missing := [SHARED[name] for name, seconds in sums.shared.items() if seconds is None]:
        yield f"{UNKNOWN}, and not in the sums: {', '.join(missing)}"


def _tell_sums(estimate: NightEstimate, sums: Sums) -> Iterator[str]:
    told = [("tonight", sums.tonight_seconds)]
    # a night that waits, or that can show nothing and is retrained, has no choice
    if not estimate.wait_reason and (len(estimate.planned) > 1 or not estimate.insufficient):
        told.append(("the night in the order of params.yaml", sums.in_order_seconds))
        told.append(("the night with exact retraining at once", sums.at_once_seconds))
    for what, seconds in told:
        if seconds is not None:
            yield f"{what}: {describe_seconds(seconds)} expected"
    yield f"unlearning.policy: {estimate.policy}"


def _tell_break_even(sums: Sums) -> Iterator[str]:
    if not sums.is_weighable:
        return
    whose = f"{tell_count(sums.tonight.num_forget, 'sample')} to forget, by the chances above"
    if sums.break_even is None:
        yield f"break-even: at no size do the attempts in order take less than exact retraining at once ({whose})"
    else:
        least = f"from about {sums.break_even:,} images on"
        held = f"{sums.tonight.num_train:,} are held"
        yield f"break-even: the attempts in order take less than exact retraining at once {least} ({whose}); {held}"


def _tell_machines(sums: Sums) -> Iterator[str]:
    measured = sums.measured
    known: list[Measure | None] = [measured.train, *measured.tune.values(), measured.search, measured.audit]
    if machines := sorted({measure.machine for measure in known if measure is not None and measure.machine}):
        several = "; what they take is not weighed against each other" if len(list_machines(sums.attempts)) > 1 else ""
        yield f"measured on {'; '.join(machines)}{several}"
    else:
        yield f"{UNKNOWN}: a wave, or a new base, keeps from now on what its stages take"
