"""The bench of searches counts what it says, and tells when a figure is missed."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import nn

from amun.evidence.wave import write_json
from bench.adversarial import NUM_SAMPLES, judge_recorded, keep_rows
from bench.measuring import Counted, Row, measure_rows
from bench.paired import PairedRow, merge_paired, read_paired
from bench.pareto import judge
from bench.searches import ALGORITHM_1, FAST, THOROUGH, list_contestants
from bench.victims import VICTIMS, Victim
from tests.amun.search.models import choose_search, draw_linear
from tests.amun.shipped import PARAMS, ROOT

ROW = Row("digits", 32, ALGORITHM_1, 10, 1.0, 1.0, 100.0, 100.0, 1.0, 2.0, 0.0, 1.0, 1)
OURS = [
    ROW,
    replace(ROW, search=FAST, cpu_seconds=0.05, num_gradients=4.0, mean_norm=0.9),
    replace(ROW, search=THOROUGH, cpu_seconds=0.2, num_gradients=15.0, mean_norm=0.8),
]
PEER = replace(ROW, search="a peer")


def test_rows_of_passes_and_samples_gradients_are_counted() -> None:
    counted = Counted(nn.Sequential(nn.Flatten(), nn.Linear(4, 3))).requires_grad_(False)
    images = torch.rand(5, 1, 2, 2, requires_grad=True)
    torch.autograd.grad(counted(images)[:2].sum(), images)
    counted(images.detach())
    assert (counted.num_forwards, counted.num_gradients) == (10, 2)


def test_every_search_of_ours_is_a_row() -> None:
    model, images, labels, distances = draw_linear(0, num_samples=8, num_classes=3)
    victim = Victim("linear", model, images, labels, 1.0)
    ours = {name: find for name, find in list_contestants(PARAMS.adversarial, 4).items() if name.startswith("amun")}
    rows = {row.search: row for row in measure_rows(victim, ours, 4, 1)}
    assert set(rows) >= {ALGORITHM_1, FAST, THOROUGH}
    assert all(row.missing == 0 for row in rows.values())
    assert rows[FAST].mean_norm < 1.01 * distances.mean()
    assert 5 * rows[FAST].num_gradients < rows[ALGORITHM_1].num_gradients


def test_rows_measured_before_stay_but_those_measured_now_and_other_machines(tmp_path: Path) -> None:
    out = tmp_path / "rows.json"
    assert keep_rows(out, "this one", ["digits"], [32]) == []
    others = [replace(ROW, batch_size=1), replace(ROW, model="resnet")]
    write_json(out, {"machine": "this one", "rows": [asdict(row) for row in [ROW, *others]]})
    assert keep_rows(out, "this one", ["digits"], [32]) == others
    assert keep_rows(out, "another", ["digits"], [32]) == []


def test_paired_rows_of_other_parameters_are_not_mixed_in(tmp_path: Path) -> None:
    out, row = tmp_path / "rows.json", PairedRow(0, "ddn", "amun", 0.5, 1.0, 0.5, 0.0, 0.5, 0.9)
    facts = {"source": "digits", "adversarial": PARAMS.adversarial.model_dump()}
    assert read_paired(out, facts) == []
    write_json(out, facts | {"rows": [asdict(row)]})
    assert read_paired(out, facts) == [row]
    again, other = replace(row, ft_auc=0.6), replace(row, attempt="amun_a")
    assert merge_paired([row, other], [again]) == [other, again]
    assert read_paired(out, facts | {"adversarial": choose_search("ddn").model_dump()}) == []


def test_a_missed_figure_is_told() -> None:
    assert judge([*OURS, PEER]) == []
    slow = [OURS[0], replace(OURS[1], cpu_seconds=0.1), OURS[2]]
    assert judge(slow) == ["missed: digits, batches of 32: 10.0x less time, not 12x"]
    assert "fewer gradients" in judge([OURS[0], replace(OURS[1], num_gradients=6.0), OURS[2]])[0]
    assert "farther than Algorithm 1" in judge([OURS[0], replace(OURS[1], mean_norm=1.1), OURS[2]])[0]
    near = replace(PEER, cpu_seconds=0.1, mean_norm=0.85)
    assert judge([*OURS, near]) == ["missed: digits, batches of 32: a peer is on the front"]
    assert judge([*OURS, replace(near, missing=0.5)]) == []


def test_recorded_rows_are_judged_as_the_file_says(capsys: pytest.CaptureFixture[str]) -> None:
    recorded = ROOT / "bench" / "results" / "adversarial.json"
    assert judge_recorded(recorded) == json.loads(recorded.read_text(encoding="utf-8"))["misses"]
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("against Algorithm 1: ")
    assert all(f"{model} x{size}: " in said for model in VICTIMS for size in NUM_SAMPLES)
