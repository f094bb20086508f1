"""One row for each method of a table: figures with their spread, comparison with AMUN, parameters, failures."""

from collections.abc import Sequence
from dataclasses import dataclass

from amun.methods.catalogue import METHODS
from amun.study.columns import COLUMNS
from amun.study.records import AMUN, BASE, RETRAIN, Record, Setting, Trial
from amun.study.runs import Run, choose_records, list_methods, name_draw, pair_runs
from amun.study.statistics import ONE_PAIR, Comparison, Spread, compare_pairs, summarise

COMPARED = {"svc": "average_svc", "rmia": "average_rmia"}  # which attack's gap is the fourth term


@dataclass(frozen=True)
class Row:
    """A method in one setting, at one share.

    Attributes:
        method: its name.
        spreads: by the key of the column; without those that were not measured.
        against_amun: by the fourth term of the average gap, where both have been run.
        parameters: what it was run with.
        num_runs: runs with figures.
        failures: how many came to nothing, and why; empty where none did.
    """

    method: str
    spreads: dict[str, Spread]
    against_amun: dict[str, Comparison]
    parameters: str
    num_runs: int
    failures: str

    @property
    def is_ablation(self) -> bool:
        """Tells whether the method shows what does not work."""
        return self.method in METHODS and METHODS[self.method].is_ablation


def summarise_methods(records: Sequence[Record], setting: Setting, share: float) -> list[Row]:
    """Returns the rows of one table; empty where nothing was run for it."""
    chosen = choose_records(records, setting, share)
    runs = pair_runs(chosen)
    shown = [*chosen, *_find_lost(records, chosen, setting)] if chosen else []
    return [_summarise(method, shown, runs) for method in list_methods(shown)]


def _find_lost(records: Sequence[Record], chosen: Sequence[Record], setting: Setting) -> list[Record]:
    """Returns the failed trials of the search of every method that it left without parameters."""
    found = {record.trial.method for record in chosen}
    return [
        record
        for record in records
        if (record.trial.kind, record.trial.setting) == ("search", setting)
        and record.trial.method not in found
        and record.failure is not None
    ]


def _summarise(method: str, records: Sequence[Record], runs: Sequence[Run]) -> Row:
    own = [record for record in records if record.trial.method == method]
    own_runs = [run for run in runs if run.record.trial.method == method]
    amun_runs = [run for run in runs if run.record.trial.method == AMUN]
    return Row(
        method=method,
        spreads=_measure_spreads(own_runs),
        against_amun={} if method in (AMUN, RETRAIN) else _compare(own_runs, amun_runs),
        parameters="; ".join(dict.fromkeys(describe_parameters(record.trial) for record in own if _is_row(record))),
        num_runs=len(own_runs),
        failures=describe_failures(own),
    )


def _measure_spreads(runs: Sequence[Run]) -> dict[str, Spread]:
    measured = {column.key: [column.read(run) for run in runs] for column in COLUMNS}
    spreads = {key: summarise([value for value in values if value is not None]) for key, values in measured.items()}
    return {key: spread for key, spread in spreads.items() if spread is not None}


def _compare(runs: Sequence[Run], amun_runs: Sequence[Run]) -> dict[str, Comparison]:
    by_draw = {name_draw(run.record.trial): run.gaps for run in amun_runs}
    pairs = [
        (run.gaps, gaps_amun, run.record.trial)
        for run in runs
        if run.gaps is not None and (gaps_amun := by_draw.get(name_draw(run.record.trial))) is not None
    ]
    compared = {
        term: compare_pairs(
            [getattr(ours, name) for ours, _, _ in pairs],
            [getattr(theirs, name) for _, theirs, _ in pairs],
            [trial.forget_set for _, _, trial in pairs],
            [trial.seed for _, _, trial in pairs],
        )
        for term, name in COMPARED.items()
    }
    return {term: comparison for term, comparison in compared.items() if comparison is not None}


def _is_row(record: Record) -> bool:
    return record.trial.kind == "table"


def describe_parameters(trial: Trial) -> str:
    """Returns learning rate, schedule and the method's own parameter in words."""
    if trial.attempt is None:
        return "the base, untouched"
    if trial.method == RETRAIN:
        return "trained as the base was"
    given = trial.attempt.model_dump(exclude={"method"})
    return ", ".join([*(f"{name} {value:g}" for name, value in given.items()), trial.schedule])


def describe_failures(records: Sequence[Record]) -> str:
    """Returns how many of the runs came to nothing, and why."""
    reasons = [record.failure for record in records if record.failure is not None]
    return f"{len(reasons)} of {len(records)}: {'; '.join(dict.fromkeys(reasons))}" if reasons else ""


def conclude(rows: Sequence[Row]) -> list[str]:
    """Returns a sentence for each average gap: who comes nearer to exact retraining than AMUN, and who is a tie."""
    sentences = [_conclude(rows, term, name) for term, name in (("svc", "SVC"), ("rmia", "RMIA"))]
    return [sentence for sentence in sentences if sentence]


def _conclude(rows: Sequence[Row], term: str, name: str) -> str:
    compared = [(row.method, row.against_amun[term]) for row in rows if term in row.against_amun and _is_peer(row)]
    if not compared:
        return ""
    if all(comparison.verdict == ONE_PAIR for _, comparison in compared):
        return f"Against AMUN by the average gap with {name}: one pair each, nothing is compared."
    parts = [
        f"{word}: {', '.join(found)}"
        for word in ("ahead", "tie", "behind", "one pair")
        if (found := [method for method, comparison in compared if comparison.verdict.startswith(word)])
    ]
    num_pairs = {comparison.num_pairs for _, comparison in compared}
    pairs = f"{min(num_pairs)}" if len(num_pairs) == 1 else f"{min(num_pairs)} to {max(num_pairs)}"
    return f"Against AMUN by the average gap with {name} ({pairs} pairs): {'; '.join(parts)}."


def _is_peer(row: Row) -> bool:
    return row.method != BASE and not row.is_ablation
