"""The bench of later bases: it retrains beside what earlier waves have made, without those who have gone."""

from pathlib import Path

import pytest
import torch

from amun.core.params import Params
from amun.core.paths import BASE_MODEL
from amun.model.building import load_for
from amun.selftest.full import train_on
from amun.store.samples import Samples
from amun.store.store import StoreShape
from bench import later
from bench.line import load_line_params
from bench.wave import ROOT

CPU = torch.device("cpu")


def test_models_are_retrained_beside_the_bases_of_later_waves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = load_line_params("digits", ROOT)
    changes = {
        "model": {"options": {"channels": [8, 8]}},
        "data": {"num_samples": 400, "subject_max_samples": 3},
        "training": {"epochs": 8},
        "references": {"num_audit": 0, "num_target": 2, "num_retrained": 4},
        "unlearning": {"epochs": 2},
    }
    params = shipped.model_copy(
        update={name: getattr(shipped, name).model_copy(update=changed) for name, changed in changes.items()}
    )
    for name, value in (("NUM_PEOPLE", 24), ("NUM_EXACT", 2), ("BASES", (1, 2))):
        monkeypatch.setattr(later, name, value)
    trained_on: list[Samples] = []
    bases: list[bytes] = []
    retrain = train_on

    def note(params: Params, device: torch.device, remain: Samples, seed: int) -> torch.nn.Module:
        trained_on.append(remain)
        return retrain(params, device, remain, seed)

    def note_base(params: Params, shape: StoreShape, device: torch.device, path: Path) -> torch.nn.Module:
        bases.append(path.read_bytes())
        return load_for(params, shape, device, path)

    monkeypatch.setattr(later, "train_on", note)
    monkeypatch.setattr(later, "load_for", note_base)
    monkeypatch.chdir(tmp_path)
    first, second = later.measure_line(params, CPU, 0)
    assert (first.number, second.number) == (1, 2)
    assert first.num_left - second.num_left == later.NUM_PEOPLE
    people = [len(set(samples.subject_ids)) for samples in trained_on]
    assert people == [first.num_left - later.NUM_PEOPLE] * 2 + [second.num_left - later.NUM_PEOPLE] * 2
    assert bases[0] == BASE_MODEL.read_bytes() != bases[1]
    assert min(len(row.weights_by_person) for row in (first, second)) == 2
    assert second.bounds[1] == pytest.approx(first.bounds[1], abs=0.05), "the same models bound both"
    later.print_row(second)
    assert capsys.readouterr().out.count("above") == 3
