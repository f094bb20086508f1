"""All files of a benchmark: complete, the same each time, and a page that refers to nothing outside it."""

import csv
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.container import ErrorbarContainer

from amun.methods.catalogue import METHODS
from amun.study.figures.drawing import BLACK, draw_deviations, open_figure
from amun.study.figures.figure1 import LINES
from amun.study.publish import list_published, publish
from amun.study.records import Record
from amun.study.statistics import Spread
from amun.study.trials import is_drawn_by_epoch
from tests.amun.study.studies import SETUP, make_study
from tests.browser import open_browser

FEW = ("retrain", "base", "amun", "amun_a", "adversarial", "never_seen")
WAVED = ("retrain", "base", "amun")
FIGURES = ("figure1", "figure2", "figure3", "figure5", "figure_delta")


@pytest.fixture(scope="module")
def records() -> list[Record]:
    study = make_study(shares=(0.1, 0.5))
    return [record for record in study if record.trial.method in (WAVED if record.trial.kind == "waves" else FEW)]


@pytest.fixture(scope="module")
def published(records: Sequence[Record], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark") / "digits"
    publish(records, folder, SETUP)
    return folder


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_everything_is_written_and_nothing_else(published: Path) -> None:
    tables = {f"{name}.{kind}" for name in ("table1", "table2", "table1-50", "table2-50") for kind in ("csv", "md")}
    figures = {f"{name}.{kind}" for name in FIGURES for kind in ("csv", "png", "svg")}
    assert {path.name for path in published.iterdir()} == tables | figures | {"search.md", "index.html"}


def test_page_stands_alone_and_says_what_was_done(published: Path) -> None:
    page = (published / "index.html").read_text(encoding="utf-8")
    assert {match.partition(":")[0][0] for match in re.findall(r'(?:src|href)="([^"]*)"', page)} == {"#", "d"}
    assert "<script" not in page
    assert page.count("data:image/svg+xml;base64,") == len(FIGURES)
    words = " ".join(page.split())
    for told in (SETUP.machine, "14 min", "estimated 13 min", *SETUP.differences, "torch 2.9.0", "small_cnn"):
        assert told in words


def test_browser_shows_the_page_without_a_network(published: Path) -> None:
    with open_browser() as reader:
        reader.open((published / "index.html").as_uri())
        reader.see("Table 1", SETUP.machine)
        widths = reader.page.locator("img").evaluate_all(
            "images => Promise.all(images.map(image => image.decode().then(() => image.naturalWidth)))"
        )
    assert len(widths) == len(FIGURES)
    assert min(widths) > 300


def test_run_without_the_rest_leaves_figures_out_and_says_so(
    records: Sequence[Record], published: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "digits"
    shutil.copytree(published, folder)
    quick = [record for record in records if record.trial.kind == "table" and record.trial.share == 0.1]
    publish(quick, folder, SETUP)
    again = {path.name: path.read_bytes() for path in list_published(folder)}
    assert not set(again) & {"figure2.png", "figure_delta.csv", "table1-50.md"}
    assert "no records for them: Figure 2 (several waves), Figure delta." in again["index.html"].decode()
    for name in ("figure1.png", "figure1.svg", "table1.md", "table1.csv"):
        assert again[name] == (published / name).read_bytes()


def test_failed_study_has_a_page(records: Sequence[Record], tmp_path: Path) -> None:
    failed = [Record(trial=record.trial, failure="lost <everything>") for record in records]
    publish(failed, tmp_path, replace(SETUP, estimate=None, search_ranges={}))
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "lost &lt;everything&gt;" in page
    assert not list(tmp_path.glob("figure*"))


def test_gaps_of_the_waves_are_to_the_retraining_of_the_same_wave(published: Path) -> None:
    rows = [row for row in read_rows(published / "figure2.csv") if row["setting"] == "none"]
    key = ("scored_on", "attack", "wave")
    retrained = {tuple(row[name] for name in key): row for row in rows if row["method"] == "retrain"}
    assert len(retrained) == 2 * 2 * 5
    for row in rows:
        exact = retrained[tuple(row[name] for name in key)]
        gap = abs(float(row["auc_percent_mean"]) - float(exact["auc_percent_mean"]))
        assert float(row["gap_to_retrain_points_mean"]) == pytest.approx(gap, abs=1e-5)


def test_waves_that_came_to_nothing_are_told(records: Sequence[Record], tmp_path: Path) -> None:
    trial = next(record.trial for record in records if record.trial.kind == "waves" and record.trial.method == "amun")
    lost = Record(trial=trial, failure="the loss is nan")
    publish([*(record for record in records if record.trial != trial), lost], tmp_path, SETUP)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "Runs that came to nothing: amun with the remain set 1 of 1: the loss is nan." in page


def test_numbers_of_the_figures(published: Path) -> None:
    *rows, base = read_rows(published / "figure_delta.csv")
    assert (base["setting"], base["delta_factor"], base["parameter_distance_mean"]) == ("untouched base", "", "5.0")
    delta = [row for row in rows if row["setting"] == "use"]
    assert [float(row["delta_factor"]) for row in delta] == [1, 2, 4, 8]
    assert [float(row["parameter_distance_mean"]) for row in delta] == pytest.approx([4, 4.6, 5.2, 5.8])
    assert [float(row["flipped_share_mean"]) for row in delta] == pytest.approx([0, 0.06, 0.12, 0.18])

    epochs = [row for row in read_rows(published / "figure1.csv") if (row["setting"], row["method"]) == ("use", "amun")]
    assert [int(row["epoch"]) for row in epochs] == list(range(1, 11))

    for name in ("figure3", "figure5"):
        rows = [row for row in read_rows(published / f"{name}.csv") if row["share_forgotten"] == "0.1"]
        assert {row["model"] for row in rows} == {"retrained", "before", "after AMUN"}
        assert sum(float(row["forget_percent_mean"]) for row in rows) == pytest.approx(300, abs=1e-2)


def test_bars_beside_the_lines_are_of_several_runs_alone() -> None:
    axes = open_figure(2, 2).subplots()
    draw_deviations(axes, [(Spread(1.0, None, 1), BLACK), (Spread(2.0, 0.5, 3), BLACK)], last=5)
    (container,) = axes.containers
    assert isinstance(container, ErrorbarContainer)
    ((bar,),) = (lines.get_segments() for lines in container.lines[2])
    assert bar.tolist() == [[pytest.approx(5.72), 1.5], [pytest.approx(5.72), 2.5]]


def test_what_figure_1_shows_is_looked_at_after_each_epoch() -> None:
    assert set(LINES) == {method for method in METHODS if is_drawn_by_epoch(method)}
