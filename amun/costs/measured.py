"""What the stages of earlier waves took, as seconds of one sample: the median of the newest runs on one machine."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from amun.core.params import EXACT_METHOD, AttemptParams
from amun.core.stage_names import WAVE_STAGES
from amun.costs.night import count_searches
from amun.evidence.attempts import Judged, Summary
from amun.evidence.costs import StageCost

NUM_RECENT = 5  # runs of which the median is taken


@dataclass(frozen=True)
class Past:
    """A wave of the line that is complete.

    Attributes:
        summary: its figures.
        seconds: from its opening to its end.
    """

    summary: Summary
    seconds: float


@dataclass(frozen=True)
class Measure:
    """What something took.

    Attributes:
        seconds: the median, of a sample where it goes by samples.
        num_runs: of which it is the median.
        machine: that computed them; empty where that was not told.
    """

    seconds: float
    num_runs: int
    machine: str


@dataclass(frozen=True)
class Measured:
    """What a line of waves has measured; None where nothing was.

    Attributes:
        train: seconds of a sample in one epoch of training, of the base or by exact retraining.
        tune: likewise in one epoch of an attempt, by its method.
        search: to find one sample's adversarial example.
        audit: of a sample that the audit of an attempt looks at.
        report: of a sample that the report looks at; the search there is not in it.
        power: of the stage `power`, whoever is to be forgotten.
        fixed: of a night in which nothing is computed.
    """

    train: Measure | None
    tune: dict[str, Measure]
    search: Measure | None
    audit: Measure | None
    report: Measure | None
    power: Measure | None
    fixed: Measure | None


def measure_units(line: Sequence[Past]) -> Measured:
    """Returns what a sample takes by the newest runs of each stage.

    Args:
        line: its waves, newest first.
    """
    costs = [(cost, past.summary) for past in line for cost in past.summary.costs]
    trained: dict[str, list[StageCost]] = {EXACT_METHOD: []}  # by method; training the base is like exact retraining
    for cost, _ in costs:
        if cost.stage in ("train", "unlearn"):
            trained.setdefault(cost.method or EXACT_METHOD, []).append(cost)
    tuned = {method: _take_median(map(_each, runs)) for method, runs in trained.items()}
    search = _take_median(_each(cost) for cost, _ in costs if cost.stage == "adversarial")
    reports = ((cost, summary.num_forget or 0) for cost, summary in costs if cost.stage == "report")
    return Measured(
        train=tuned.pop(EXACT_METHOD),
        tune={method: measure for method, measure in tuned.items() if measure is not None},
        search=search,
        audit=_take_median(_each(cost) for cost, _ in costs if cost.stage == "audit"),
        report=_take_median(_each(_leave_search_out(cost, num_forget, search)) for cost, num_forget in reports),
        power=_take_median((cost.seconds, cost.machine) for cost, _ in costs if cost.stage == "power"),
        fixed=_take_median(_list_fixed(line)),
    )


def count_outcomes(line: Iterable[Past], attempt: AttemptParams) -> tuple[int, int]:
    """Returns how often the gate has judged an attempt, and how often it was left to pass.

    Attempts of the same method with other parameters are other attempts. One that was overruled has not passed.

    Args:
        line: waves.
        attempt: by its method and parameters.
    """
    made = [judged for past in line for judged in _list_judged(past.summary) if _is_same(judged, attempt)]
    return len(made), sum(judged.passed for judged in made)


def _list_judged(summary: Summary) -> tuple[Judged, ...]:
    """Returns the decisions on a wave's attempts; none where nobody was forgotten, and the base was copied."""
    return summary.decisions if summary.num_forget else ()


def _is_same(judged: Judged, attempt: AttemptParams) -> bool:
    return judged.method == attempt.method and judged.parameters == attempt.model_dump(exclude={"method"})


def _each(cost: StageCost) -> tuple[float, str] | None:
    """Returns the seconds of one sample in one epoch, and the machine; None where it goes by no number of samples."""
    return (cost.seconds / (cost.num_samples * cost.epochs), cost.machine) if cost.num_samples else None


def _leave_search_out(cost: StageCost, num_forget: int, search: Measure | None) -> StageCost:
    """Returns what a report took beside its own search for as many samples as were forgotten."""
    is_searched = count_searches(num_forget) > num_forget
    if search is None or not is_searched or search.machine != cost.machine:
        return cost
    return cost.model_copy(update={"seconds": max(0.0, cost.seconds - num_forget * search.seconds)})


def _list_fixed(line: Iterable[Past]) -> Iterator[tuple[float, str]]:
    """Yields what nights took beside their stages, of those that one run went through from the first to the last.

    Of one that another run went on with nobody knows how long it lay.
    """
    for past in line:
        if past.summary.was_resumed:
            continue
        costs = past.summary.costs
        num_attempts = sum(cost.stage == "unlearn" for cost in costs)
        is_whole = {cost.stage for cost in costs} == set(WAVE_STAGES) and num_attempts == len(past.summary.decisions)
        if is_whole:
            yield max(0.0, past.seconds - sum(cost.seconds for cost in costs)), costs[-1].machine


def _take_median(runs: Iterable[tuple[float, str] | None]) -> Measure | None:
    """Returns the median of the newest runs on the machine of the newest; None where there is none.

    Args:
        runs: seconds and machine, newest first.
    """
    measured = [run for run in runs if run is not None]
    if not measured:
        return None
    machine = measured[0][1]
    recent = [seconds for seconds, computed_on in measured if computed_on == machine][:NUM_RECENT]
    return Measure(median(recent), len(recent), machine)
