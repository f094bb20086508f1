"""The eleven names: each example of theirs runs, and the notebook goes from tensors to people who are forgotten."""

import doctest
import json
import re
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import amun
from amun.core.errors import InputError
from tests.workspaces import ROOT

NOTEBOOK = ROOT / "docs" / "forget_people.ipynb"


@pytest.mark.parametrize("name", sorted(amun.__all__))
def test_every_name_is_there_and_told_on_its_page(name: str) -> None:
    assert hasattr(amun, name)
    page = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| `{name}` \|", page, re.MULTILINE)


@pytest.mark.parametrize("module", ["samples", "learning", "forgetting"])
def test_examples(module: str) -> None:
    told = doctest.testmod(import_module(f"amun.library.{module}"))
    assert told.attempted
    assert not told.failed


def test_notebook() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    space: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), NOTEBOOK.name, "exec"), space)  # noqa: S102
    after = {name: space["auditor"].measure(model) for name, model in space["models"].items()}
    samples, models = (space["forget"], space["held_out"]), space["models"]
    alone = amun.measure_forgetting(space["base"], models["amun"], *samples, space["references"], space["params"])
    assert alone == after["amun"]
    # what its text says of them
    left = {name: shown.memory_left or 0.0 for name, shown in after.items()}
    assert left["base"] == 1
    assert left["amun"] > 0.6
    assert max(abs(left[name]) for name in ("never_seen", "retrain")) < 0.45
    assert (after["amun"].trace_by_person or 0.0) > 0.8


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"training": {"epochs": 0}}, "training.epochs: "),
        ({"trains": {}}, "trains: unknown section"),
        ({"references": {"count": 1}}, "references.count: unknown key"),
        ({"adversarial": {"search": "nearest"}}, "unknown search 'nearest'"),
    ],
)
def test_parameters_that_are_refused(changes: dict[str, dict[str, Any]], told: str) -> None:
    with pytest.raises(InputError, match=told):
        amun.make_params(**changes)


def test_samples_that_are_refused() -> None:
    images, labels = torch.rand(3, 1, 4, 4), torch.arange(3)
    with pytest.raises(InputError, match="as many of each are needed, not 3, 3 and 2"):
        amun.make_samples(images, labels, ["ann", "ben"])
    with pytest.raises(InputError, match="N, C, H, W"):
        amun.make_samples(images[:, 0], labels, ["ann", "ben", "cid"])


def test_images_are_known_by_what_they_show_in_whatever_call_they_come() -> None:
    images, labels, names = torch.rand(4, 1, 4, 4), torch.arange(4) % 2, ["ann", "ben", "cid", "dan"]
    images[3] = images[2]
    together = amun.make_samples(images, labels, [*names[:3], "cid"])
    assert len(set(together.sample_ids.tolist())) == 4
    alone = amun.make_samples(images[1:2], labels[1:2], names[1:2])
    assert together.align(alone.sample_ids.tolist()).subject_ids.tolist() == ["ben"]
    other = amun.make_samples(images[1:2], labels[1:2], ["eve"])
    assert other.sample_ids.tolist() != alone.sample_ids.tolist()
    with pytest.raises(InputError, match="from 0 to 1"):
        amun.make_samples(images * 255, labels, names)


def test_methods_that_are_refused() -> None:
    samples = amun.make_samples(torch.rand(4, 1, 4, 4), torch.arange(4) % 2, ["ann", "ann", "ben", "cid"])
    forget, remain = samples.slice(0, 2), samples.slice(2, 4)
    params = amun.make_params()

    def build() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))

    base = build()
    refused: list[tuple[str, dict[str, Any], str]] = [
        ("forget", {}, "unknown method 'forget'"),
        ("amun", {}, "learning_rate"),
        ("never_seen", {"learning_rate": 0.1, "forget_weight": 2}, "needs target references"),
        ("amun_soft", {"learning_rate": 0.1, "label_mix": 0.5}, "needs the references themselves"),
    ]
    for method, own, told in refused:
        with pytest.raises(InputError, match=told):
            amun.unlearn(method, base, forget, remain, params, build=build, **own)
    references = amun.References(*[samples.slice(0, 0)] * 4)
    with pytest.raises(InputError, match="only strangers"):
        amun.measure_forgetting(base, base, forget, samples.slice(1, 4), references, params)


def test_the_same_person_twice_is_one_person_to_the_references() -> None:
    samples = amun.make_samples(torch.rand(40, 1, 4, 4), torch.arange(40) % 2, [f"person {n // 2}" for n in range(40)])
    params = amun.make_params(
        training={"epochs": 1, "fallback_gradient_norm": None}, references={"num_audit": 6, "num_target": 0}
    )

    def build() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))

    references = amun.train_references(build, samples, params)
    inclusion = references.audit_inclusion.payloads.numpy()
    assert np.array_equal(inclusion[::2], inclusion[1::2])
    assert (inclusion.sum(1) == 3).all()
    again = amun.train_references(build, samples, params)
    assert torch.equal(again.audit_logits.payloads, references.audit_logits.payloads)
    assert not len(references.target_logits)
