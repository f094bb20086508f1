"""Figure 2: wave after wave on the model that the last one left, against exact retraining after each wave."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from amun.study.figures.drawing import (
    BLACK,
    BLUE,
    GREY,
    VERMILLION,
    Drawing,
    clean,
    count_on_x,
    draw_deviations,
    list_spread,
    open_figure,
)
from amun.study.records import BASE, RETRAIN, SETTINGS, Figures, Record, Setting
from amun.study.runs import choose_records, list_methods, list_shares, name_draw
from amun.study.statistics import Spread, summarise_places
from amun.study.summary import describe_failures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Scope = Literal["last", "all"]
Attack = Literal["ft", "fr"]
ATTACKS: tuple[Attack, Attack] = ("ft", "fr")
SCOPES: dict[Scope, tuple[str, Literal["-", "--"]]] = {
    "last": ("what the wave forgot", "-"),
    "all": ("all forgotten so far", "--"),
}
COLORS: dict[Setting, tuple[str, str]] = {"use": (BLUE, "o"), "none": (VERMILLION, "s")}
TITLES = (
    "FT AUC (%)\ngrey is the target",
    "FR AUC (%)\ngrey is the target",
    "FT AUC gap to retrain\n(points, lower is better)",
    "FR AUC gap to retrain\n(points, lower is better)",
)
CAPTION = (
    "A row for each method: after each wave the membership attack tells forget from test samples (FT) and remain from "
    "forget samples (FR), as measured on the left; on the right how far that is from exact retraining after the same "
    "wave. Solid: the samples of this wave; dashed: all forgotten so far. Grey: exact retraining, the target. The base "
    "(black) is the same with and without the remain set. Means over the runs; at the right their standard deviations "
    "after the last wave."
)


@dataclass(frozen=True)
class Line:
    """One method in one setting, scored in one way: by wave what an attack gives, and its gap to exact retraining."""

    method: str
    setting: Setting
    scope: Scope
    attack: Attack
    values: list[Spread]
    gaps: list[Spread]


def draw_figure2(records: Sequence[Record]) -> Drawing | None:
    """Returns the waves, a row of panels for each method; None where none was run."""
    lines = list(_list_lines(records))
    methods = [method for method in list_methods(_choose(records)) if any(line.method == method for line in lines)]
    rows = [method for method in methods if method != RETRAIN]
    if not rows:
        return None
    figure = open_figure(11, 1.0 + 1.25 * len(rows))
    grid = figure.subplots(len(rows), 4, sharex=True, sharey="col", squeeze=False)
    for method, panels in zip(rows, grid, strict=True):
        _draw_row(panels, method, lines)
    for axes, title in zip(grid[0], TITLES, strict=True):
        axes.set_title(title, fontsize=10)
    for axes in grid[-1]:
        axes.set_xlabel("wave")
    for axes in grid[0][2:]:
        axes.set_ylim(bottom=0)
    handles = _make_handles()
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False, handlelength=3)
    title = "Figure 2: one wave after the other"
    return Drawing(
        "figure2", title, _write_caption(records), figure, [row for line in lines for row in _list_rows(line)]
    )


def _write_caption(records: Sequence[Record]) -> str:
    """Returns how to read the figure, and which runs came to nothing: they have no line, or none beside the others."""
    run = [record for record in records if record.trial.kind == "waves"]
    rows = {(record.trial.method, record.trial.setting) for record in run if record.failure is not None}
    failures = [
        f"{method} {SETTINGS[setting]} "
        + describe_failures(
            [record for record in run if (record.trial.method, record.trial.setting) == (method, setting)]
        )
        for method, setting in sorted(rows)
    ]
    return f"{CAPTION} Runs that came to nothing: {'. '.join(failures)}." if failures else CAPTION


def _choose(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record.trial.kind == "waves" and record.waves]


def _list_lines(records: Sequence[Record]) -> Iterator[Line]:
    for share in list_shares(records, "waves")[:1]:
        for setting in SETTINGS:
            chosen = [record for record in choose_records(records, setting, share, "waves") if record.waves]
            for method in list_methods(chosen):
                own = [record for record in chosen if record.trial.method == method]
                for scope in SCOPES:
                    for attack in ATTACKS:
                        yield _make_line(own, chosen, method, setting, scope, attack)


def _make_line(
    own: Sequence[Record], chosen: Sequence[Record], method: str, setting: Setting, scope: Scope, attack: Attack
) -> Line:
    retrained = {
        name_draw(record.trial): _read(record, scope, attack) for record in chosen if record.trial.method == RETRAIN
    }
    values = [_read(record, scope, attack) for record in own]
    gaps = [
        [abs(ours - theirs) for ours, theirs in zip(_read(record, scope, attack), exact, strict=False)]
        for record in own
        if (exact := retrained.get(name_draw(record.trial))) is not None
    ]
    return Line(method, setting, scope, attack, summarise_places(values), summarise_places(gaps))


def _read(record: Record, scope: Scope, attack: Attack) -> list[float]:
    figures: list[Figures] = record.waves if scope == "last" else record.waves_all
    return [100 * getattr(wave, attack).auc for wave in figures]


def _draw_row(panels: "Sequence[Axes]", method: str, lines: Sequence[Line]) -> None:
    for axes, attack in zip(panels[:2], ATTACKS, strict=True):
        for line in lines:
            if line.attack == attack and line.method == RETRAIN:
                _plot(axes, line.values, GREY, SCOPES[line.scope][1], "", width=2.6)
    own = [line for line in lines if line.method == method]
    if method == BASE:  # the same in every setting
        own = [line for line in own if line.setting == own[0].setting]
    for line in own:
        color, marker = _style(line)
        place = ATTACKS.index(line.attack)
        _plot(panels[place], line.values, color, SCOPES[line.scope][1], marker)
        _plot(panels[place + 2], line.gaps, color, SCOPES[line.scope][1], marker)
    last = max(len(line.values) for line in own)
    for place, attack in enumerate(ATTACKS):
        ended = [line for line in own if line.attack == attack]
        draw_deviations(panels[place], [(line.values[-1], _style(line)[0]) for line in ended], last)
        draw_deviations(panels[place + 2], [(line.gaps[-1], _style(line)[0]) for line in ended if line.gaps], last)
    for axes in panels:
        count_on_x(axes, last)
        clean(axes)
    panels[0].set_ylabel(method, rotation=0, ha="right", va="center", fontsize=9)


def _style(line: Line) -> tuple[str, str]:
    """Returns colour and marker."""
    return (BLACK, "") if line.method == BASE else COLORS[line.setting]


def _plot(axes: "Axes", values: Sequence[Spread], color: str, line: str, marker: str, width: float = 1.4) -> None:
    means = [spread.mean for spread in values]
    axes.plot(
        range(1, len(means) + 1), means, color=color, linestyle=line, marker=marker, markersize=3.5, linewidth=width
    )


def _make_handles() -> list[object]:
    from matplotlib.lines import Line2D

    settings = [
        Line2D([], [], color=color, marker=marker, label=SETTINGS[setting])
        for setting, (color, marker) in COLORS.items()
    ]
    scopes = [Line2D([], [], color="black", linestyle=line, label=name) for name, line in SCOPES.values()]
    return [*settings, *scopes, Line2D([], [], color=GREY, linewidth=2.6, label="exact retraining")]


def _list_rows(line: Line) -> Iterator[dict[str, str | int | float | None]]:
    for number, value in enumerate(line.values):
        gap = line.gaps[number] if number < len(line.gaps) else None
        yield {
            "method": line.method,
            "setting": line.setting,
            "scored_on": SCOPES[line.scope][0],
            "attack": f"{line.attack.upper()} AUC",
            "wave": number + 1,
            **list_spread("auc_percent", value),
            **list_spread("gap_to_retrain_points", gap),
        }
