"""Figure 1: test accuracy by epoch when the model is tuned on something else than the nearest adversarial examples."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from amun.study.figures.drawing import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    Drawing,
    clean,
    count_on_x,
    draw_deviations,
    list_spread,
    open_figure,
)
from amun.study.records import BASE, SETTINGS, Record, Setting
from amun.study.runs import choose_records, list_shares
from amun.study.statistics import Spread, summarise, summarise_places

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = {
    "amun": ("D_F and D_A: AMUN", BLACK, "-", "o"),
    "amun_a": ("D_A: adversarial images, adversarial labels", BLUE, "-", "s"),
    "adversarial": ("original images, adversarial labels", VERMILLION, "--", "^"),
    "adversarial_random_label": ("adversarial images, other wrong labels", GREEN, "--", "v"),
    "random_label_images": ("original images, other wrong labels", ORANGE, ":", "D"),
    "random_noise_labels": ("images with noise as long, adversarial labels", PURPLE, "-.", "P"),
    "adversarial_fgsm": ("D_F and a weak attack's examples (FGSM)", SKY, (0, (4, 1, 1, 1, 1, 1)), "X"),
}
CAPTION = (
    "Accuracy on the test half after each epoch of fine-tuning, means over the runs; at the right their standard "
    "deviations after the last epoch, in the legend's order. The grey line is the base before it. The nearest "
    "adversarial examples with the labels that the model itself gives them cost the least accuracy where their lines "
    "lie highest."
)
Curves = dict[str, list[Spread]]  # by method, in percent, for each epoch


def draw_figure1(records: Sequence[Record]) -> Drawing | None:
    """Returns the figure at the first share, a panel for each setting that was run."""
    panels = [panel for setting in SETTINGS if (panel := _find_panel(records, setting)) is not None]
    if not panels:
        return None
    figure = open_figure(4.8 * len(panels), 4.6)
    for axes, (setting, curves, base) in zip(
        figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels, strict=True
    ):
        _draw_panel(axes, curves, base)
        axes.set(title=SETTINGS[setting], xlabel="epoch of fine-tuning")
    figure.axes[0].set_ylabel("test accuracy (%)")
    handles = {
        label: handle for axes in figure.axes for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(), handles, loc="outside lower center", ncols=2, frameon=False, fontsize=8.5, handlelength=3.5
    )
    return Drawing("figure1", "Figure 1: what else one could fine-tune on", CAPTION, figure, _list_rows(panels))


def _find_panel(records: Sequence[Record], setting: Setting) -> tuple[Setting, Curves, Spread | None] | None:
    shares = list_shares(records)
    chosen = choose_records(records, setting, shares[0]) if shares else []
    curves = {method: curve for method in LINES if (curve := _average(chosen, method))}
    before = [record.test for record in chosen if record.trial.method == BASE and record.test is not None]
    base = summarise([100 * figures.held_out_accuracy for figures in before])
    return (setting, curves, base) if curves else None


def _average(records: Sequence[Record], method: str) -> list[Spread]:
    """Returns the spread in percent after each epoch; of the epochs that all runs have."""
    runs = [record.test_accuracies for record in records if record.trial.method == method and record.test_accuracies]
    return summarise_places([[100 * accuracy for accuracy in run] for run in runs])


def _draw_panel(axes: "Axes", curves: Curves, base: Spread | None) -> None:
    for method, curve in curves.items():
        label, color, line, marker = LINES[method]
        axes.plot(
            range(1, len(curve) + 1),
            [spread.mean for spread in curve],
            label=label,
            color=color,
            linestyle=line,
            marker=marker,
            markersize=4.5,
        )
    if base is not None:
        axes.axhline(base.mean, color=GREY, linewidth=2.5, label="the base", zorder=0)
    last = max(map(len, curves.values()))
    ends = [(curve[-1], LINES[method][1]) for method, curve in curves.items()]
    draw_deviations(axes, ends if base is None else [*ends, (base, GREY)], last)
    count_on_x(axes, last)
    clean(axes)


def _list_rows(panels: Sequence[tuple[Setting, Curves, Spread | None]]) -> list[dict[str, str | int | float | None]]:
    rows: list[dict[str, str | int | float | None]] = []
    for setting, curves, base in panels:
        lines = [(method, epoch, spread) for method in curves for epoch, spread in enumerate(curves[method], 1)]
        rows += [
            {"setting": setting, "method": method, "epoch": epoch, **list_spread("test_accuracy_percent", spread)}
            for method, epoch, spread in [(BASE, 0, base), *lines]
        ]
    return rows
