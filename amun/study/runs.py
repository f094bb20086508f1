"""The runs of one table: each beside the exactly retrained model of the same forget set and seed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from amun.methods.catalogue import METHODS
from amun.study.records import BASE, RETRAIN, Figures, Kind, Record, Setting, Trial
from amun.study.statistics import Gaps, measure_gaps

Draw = tuple[float, int, int]


@dataclass(frozen=True)
class Run:
    """A record that has figures.

    Attributes:
        record: what was kept of it.
        figures: on the test half.
        gaps: to exact retraining; None where that is missing.
    """

    record: Record
    figures: Figures
    gaps: Gaps | None


def name_draw(trial: Trial) -> Draw:
    """Returns what pairs a run with others: share, forget set and seed."""
    return trial.share, trial.forget_set, trial.seed


def list_shares(records: Iterable[Record], kind: Kind = "table") -> list[float]:
    """Returns the shares that were forgotten, the smallest first."""
    return sorted({record.trial.share for record in records if record.trial.kind == kind})


def choose_records(records: Iterable[Record], setting: Setting, share: float, kind: Kind = "table") -> list[Record]:
    """Returns the records of one table.

    Base and exact retraining are the same with and without the remain set: they may have been run in one setting alone.
    """
    shared = [record for record in records if record.trial.kind == kind and record.trial.share == share]
    chosen = [record for record in shared if record.trial.setting == setting]
    present = {record.trial.method for record in chosen}
    lent = {BASE, RETRAIN} - present
    return [*chosen, *(record for record in shared if record.trial.method in lent)] if chosen else []


def find_retrained(records: Iterable[Record]) -> dict[Draw, Figures]:
    """Returns the figures of the exactly retrained models by their draw."""
    return {
        name_draw(record.trial): record.test
        for record in records
        if record.trial.method == RETRAIN and record.test is not None
    }


def pair_runs(records: Sequence[Record]) -> list[Run]:
    """Returns every record with figures beside its exactly retrained model."""
    retrained = find_retrained(records)
    return [
        Run(record, record.test, _measure(record.test, retrained.get(name_draw(record.trial))))
        for record in records
        if record.test is not None
    ]


def _measure(figures: Figures, retrained: Figures | None) -> Gaps | None:
    return None if retrained is None else measure_gaps(figures, retrained)


def list_methods(records: Iterable[Record]) -> list[str]:
    """Returns the methods in the order of every table: target, base, the registry's, a user's own, ablations."""
    methods = {record.trial.method for record in records}
    ablations = [name for name, method in METHODS.items() if method.is_ablation]
    known = [RETRAIN, BASE, *(name for name in METHODS if name not in (RETRAIN, *ablations))]
    own = sorted(methods - {*known, *ablations})
    return [name for name in [*known, *own, *ablations] if name in methods]
