"""The target references come back as they were kept; of a base that kept none the attempt says so in one line."""

from pathlib import Path

import pytest
from torch import nn

from amun.core.errors import AttemptError
from amun.core.paths import TARGET_WEIGHTS
from amun.model.architectures import build_model
from amun.model.target_weights import count_references, open_references, save_references
from tests.amun.shipped import PARAMS, copy_weights, have_same_weights


def build(seed: int = 9) -> nn.Module:
    return build_model(PARAMS.model, 10, (1, 8, 8), seed)


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, as the current one."""
    monkeypatch.chdir(tmp_path)


def test_each_reference_comes_back_by_its_number() -> None:
    references = [copy_weights(build(seed)) for seed in range(12)]
    save_references(references)
    assert count_references(TARGET_WEIGHTS) == 12
    load = open_references(build, 12)
    for number in (1, 10, 11, 0):
        loaded = load(number)
        assert have_same_weights(copy_weights(loaded), references[number])
        assert not loaded.training


@pytest.mark.parametrize("num_kept", [0, 2])
def test_others_than_those_of_the_base_are_refused(num_kept: int) -> None:
    save_references([copy_weights(build(seed)) for seed in range(num_kept)])
    with pytest.raises(AttemptError, match=r"were not kept .* \(references.keep_weights\); `amun base rebuild`"):
        open_references(build, 4)


def test_the_same_references_are_the_same_bytes() -> None:
    written = []
    for _ in range(2):
        save_references([copy_weights(build(seed)) for seed in range(2)])
        written.append(TARGET_WEIGHTS.read_bytes())
    assert written[0] == written[1]
