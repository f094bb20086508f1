"""How figures look on the screen, whatever they are about."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from amun.core.counts import tell_count
from amun.ledger import Erasure

TOO_FEW = "too few"
NO_REFERENCES = "no references"
MAX_TOLD = 10  # waves by their numbers; of more the first and the last
Fact = str | float | None  # what a cell shows; None where it is not known
NOT_MEASURED = "not measured"  # too few, or no references


def print_facts(facts: Mapping[str, Fact]) -> None:
    """Prints what is known of a thing, one fact a line; what is unknown is left out."""
    width = max([30, *map(len, facts)])
    for name, value in facts.items():
        if value is not None:
            print(f"  {name:<{width}} {text(value)}")


def percent(value: float | None) -> str:
    """Returns a share, `91.3%`."""
    return "" if value is None else f"{value:.1%}"


def auc(value: float | None, missing: str) -> str:
    """Returns an FT AUC or a trace, or what to say where it is missing."""
    return missing if value is None else f"{value:.3f}"


def day(moment: datetime) -> str:
    """Returns a date, `2026-01-31`."""
    return f"{moment:%Y-%m-%d}"


def moment(at: datetime) -> str:
    """Returns a time, `2026-01-31 09:00 UTC`."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def tell_erasure(erasure: Erasure) -> str:
    """Returns when a person is erased, as a cell shows it."""
    if erasure.erased_at is not None:
        return day(erasure.erased_at)
    return "begun" if erasure.started_at is not None else f"after {day(erasure.erase_after)}"


def text(value: Fact) -> str:
    """Returns a value as a cell shows it; nothing is an empty one."""
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def tell_waves(numbers: Sequence[int]) -> str:
    """Returns `wave 3`, `waves 0, 1 and 4`; of many the first and the last."""
    if len(numbers) == 1:
        return f"wave {numbers[0]}"
    if len(numbers) > MAX_TOLD:
        return f"{tell_count(len(numbers), 'wave')} from {numbers[0]} to {numbers[-1]}"
    return f"waves {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
