"""The bench of a line of nights: each wave goes on from the one before, and the base has all of its memory."""

import json
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import asdict

import numpy as np
import pytest
import torch

from amun.core.params import Params
from amun.core.paths import BASE_MODEL, UNLEARNED, WAVE_BASE
from amun.evidence.wave import read_wave
from amun.selftest.ground import draw_people
from amun.stages.references import train_references
from amun.stages.train import train
from bench.line import Night, load_line_params, retrain_beside, run_line
from bench.line_picture import LINES, RESULTS, SOURCES, draw_lines
from bench.remembered import Meter
from bench.seed import RETRAINED, prepare_store
from bench.wave import ROOT

CPU = torch.device("cpu")
NUM_PEOPLE = 12  # who ask in each of two waves


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Params, Meter, list[list[str]]]]:
    """A small base with its references in the current folder, its meter, and who asks in each wave."""
    shipped = load_line_params("digits", ROOT)
    changes = {
        "model": {"options": {"channels": [8, 8]}},
        "data": {"num_samples": 300, "subject_max_samples": 3},
        "training": {"epochs": 20},
        "references": {"num_audit": 6, "num_target": 2},
        "unlearning": {"epochs": 2},
    }
    params = shipped.model_copy(
        update={name: getattr(shipped, name).model_copy(update=changed) for name, changed in changes.items()}
    )
    with chdir(tmp_path_factory.mktemp("line")):
        prepare_store(params, CPU)
        train(params, CPU)
        train_references(params, CPU)
        people = draw_people(0)
        yield params, Meter(params, CPU), [people[:NUM_PEOPLE], people[NUM_PEOPLE : 2 * NUM_PEOPLE]]


def test_waves_go_on_from_one_another(line: tuple[Params, Meter, list[list[str]]]) -> None:
    params, meter, asking = line
    nights: list[Night] = []
    before = BASE_MODEL.read_bytes()
    for night in run_line(params, CPU, meter, asking, is_gated=False):
        assert WAVE_BASE.read_bytes() == before
        assert UNLEARNED.read_bytes() != before
        before = UNLEARNED.read_bytes()
        nights.append(night)
    assert [(night.number, night.num_gone) for night in nights] == [(1, NUM_PEOPLE), (2, 2 * NUM_PEOPLE)]
    assert [night.method.partition(",")[0] for night in nights] == ["never_seen", "never_seen"]
    assert nights[0].everybody == nights[0].first
    assert nights[1].everybody != nights[1].first
    wave = read_wave()
    gone = [*wave.forgotten[0].forget_ids, *wave.forgetting.forget_ids]
    assert nights[1].num_left == len(meter.train) - len(gone)
    assert meter.measure(gone, meter.load(BASE_MODEL)).left == 1
    (first, second, _) = retrain_beside(params, CPU, meter, [2])
    assert (first.number, second.number) == (2, 2)
    assert first.everybody != second.everybody


def test_a_night_that_can_show_nothing_is_retrained(line: tuple[Params, Meter, list[list[str]]]) -> None:
    params, meter, asking = line
    (night,) = run_line(params, CPU, meter, asking[:1], is_gated=True)
    assert night.method == RETRAINED
    assert "forgotten" in night.reason


def test_the_picture_is_of_what_is_recorded(line: tuple[Params, Meter, list[list[str]]]) -> None:
    params, meter, asking = line
    nights = [asdict(night) for night in run_line(params, CPU, meter, asking[:1], is_gated=True)]
    exact = [asdict(model) for model in retrain_beside(params, CPU, meter, [1])]
    content = {"source": "digits", **dict.fromkeys(LINES, nights), "exact": exact}
    above, below = draw_lines([json.loads(json.dumps(content))]).axes
    assert nights[0]["everybody"]["left"] in [drawn for line in above.lines for drawn in np.asarray(line.get_ydata())]
    assert nights[0]["accuracy"] in [drawn for line in below.lines for drawn in np.asarray(line.get_ydata())]


def test_the_pages_show_what_is_recorded() -> None:
    # each figure of the page stands in the files
    told = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
    for source in SOURCES:
        content = json.loads((RESULTS / f"{source}_line.json").read_text(encoding="utf-8"))
        for night in (content[name][-1] for name in LINES):
            remembered = night["everybody"]
            assert f"{remembered['left']:.2f} [{remembered['lower']:.2f}, {remembered['upper']:.2f}]" in told
