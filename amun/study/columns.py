"""The columns of tables 1 and 2: names, units, where each figure should lie, and how far another machine may be off."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Literal

from amun.study.runs import Run

Group = Literal["result", "attack", "cost"]
LOWER = "lower is better"
AS_RETRAINED = "target: retrain's"
BLIND = "target: retrain's, about 50"


@dataclass(frozen=True)
class Column:
    """One figure.

    Attributes:
        key: its name with its unit, in CSV, MLflow and `expected.json`.
        title: its name for people.
        target: its direction or target.
        group: which part of the table it stands in.
        digits: after the point.
        read: the figure of a run; None where it was not measured.
        floor: the least tolerance on another machine; None for a figure that tells of the machine itself.
    """

    key: str
    title: str
    target: str
    group: Group
    digits: int
    read: Callable[[Run], float | None]
    floor: float | None


def _percent(path: str) -> Callable[[Run], float | None]:
    read = attrgetter(f"figures.{path}")

    def read_percent(run: Run) -> float | None:
        value: float | None = read(run)
        return None if value is None else 100 * value

    return read_percent


def _gap(name: str) -> Callable[[Run], float | None]:
    return lambda run: None if run.gaps is None else getattr(run.gaps, name)


def _cost(name: str) -> Callable[[Run], float | None]:
    return lambda run: None if run.record.costs is None else float(getattr(run.record.costs, name))


def _list_rates(prefix: str) -> list[Column]:
    about = {"ft": (", about 0.1", ", about 1")}.get(prefix, ("", ""))
    return [
        Column(
            f"{prefix}_tpr_at_{name}_percent",
            f"{prefix.upper()} TPR at {level} % FPR, %",
            AS_RETRAINED + near,
            "attack",
            1,
            _percent(f"{prefix}.tpr_at_{name}"),
            5,
        )
        for (name, level), near in zip((("0_1", "0.1"), ("1", "1")), about, strict=True)
    ]


def _name_gap(prefix: str) -> Column:
    title = f"{prefix.upper()} AUC gap to retrain, points"
    return Column(f"{prefix}_auc_gap_points", title, LOWER, "attack", 1, _gap(f"{prefix}_auc"), 1.5)


COLUMNS = [
    Column("unlearn_accuracy_percent", "UA, %", AS_RETRAINED, "result", 1, _percent("unlearn_accuracy"), 1.5),
    Column("remain_accuracy_percent", "RA, %", AS_RETRAINED, "result", 1, _percent("remain_accuracy"), 0.5),
    Column("held_out_accuracy_percent", "TA, %", AS_RETRAINED, "result", 1, _percent("held_out_accuracy"), 1),
    Column("ft_auc_percent", "FT AUC, %", BLIND, "result", 1, _percent("ft.auc"), 1.5),
    Column("fr_auc_percent", "FR AUC, %", AS_RETRAINED, "result", 1, _percent("fr.auc"), 1.5),
    Column("rt_auc_percent", "RT AUC, %", AS_RETRAINED, "result", 1, _percent("rt.auc"), 1.5),
    Column(
        "svc_confidence_percent",
        "SVC confidence, %",
        AS_RETRAINED,
        "result",
        1,
        _percent("svc_confidence"),
        3,
    ),
    Column("avg_gap_svc_points", "avg gap with SVC, points", LOWER, "result", 2, _gap("average_svc"), 1),
    Column("avg_gap_rmia_points", "avg gap with RMIA, points", LOWER, "result", 2, _gap("average_rmia"), 1),
    Column("trace_auc_percent", "trace AUC, %", BLIND, "result", 1, _percent("trace"), 3),
    *(column for prefix in ("ft", "fr", "rt") for column in _list_rates(prefix)),
    *(_name_gap(prefix) for prefix in ("ft", "fr", "rt")),
    Column("svc_gap_points", "SVC confidence gap to retrain, points", LOWER, "attack", 1, _gap("svc_confidence"), 3),
    Column("seconds", "seconds", LOWER, "cost", 1, _cost("seconds"), None),
    Column("gradient_evaluations", "gradient evaluations, samples", LOWER, "cost", 0, _cost("num_gradients"), None),
    Column("peak_memory_mib", "peak memory, MiB", LOWER, "cost", 0, _cost("peak_mib"), None),
]
