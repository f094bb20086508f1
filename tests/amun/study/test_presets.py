"""Presets: shipped ones say all that their figures depend on, and wrong ones are refused in one line."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from amun.core.errors import AttemptError, DivergedError, InputError
from amun.methods.catalogue import METHODS, load_method
from amun.methods.problem import Unlearned, UnlearningProblem
from amun.study.methods import list_methods, make_attempt, works_in
from amun.study.parameters import describe_trial, list_search_trials, list_tried
from amun.study.preset import NAMES, SHIPPED, apply_preset, list_known, load_preset
from amun.study.study import OF_WAVES, USED
from tests.amun.methods.problems import make_problem
from tests.amun.shipped import PARAMS

OF_THE_MACHINE = {"root", "device", "engine", "memory_gib"}.union(*OF_WAVES.values())
CHOSEN = {"learning_rate": 0.1, "schedule": "cosine", "parameter": None}


def make_own(folder: Path, **changes: Any) -> str:
    content = yaml.safe_load((SHIPPED / "digits.yaml").read_text(encoding="utf-8")) | changes
    (folder / "mine.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return str(folder / "mine.yaml")


@pytest.mark.parametrize("name", NAMES)
def test_shipped_preset_leaves_nothing_to_the_workspace(name: str) -> None:
    """A change in somebody's params.yaml must not change what a published figure is compared with."""
    _, preset = load_preset(name)
    for section in (*USED, "unlearning", "runtime"):
        content = getattr(PARAMS, section).model_dump()
        open_keys = OF_THE_MACHINE
        if section == "adversarial":  # the blocks of other searches are not read
            open_keys = {key for key, value in content.items() if isinstance(value, dict) and key != "pgd_doubling"}
        if section == "references":
            # the benchmark keeps them as long as it runs, and no longer; it has no gate
            open_keys = {"keep_weights", "num_retrained"}
        assert content.keys() - open_keys <= preset.params[section].keys(), section
    assert apply_preset(preset, PARAMS).adversarial.search == "pgd_doubling"
    assert list_methods(preset.methods, (), preset.params["references"]["num_target"])
    for (setting, method), found in list_known(preset).items():
        assert works_in(method, setting)
        assert make_attempt(method, found.learning_rate, found.parameter)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_trials": 0}, "num_trials"),
        ({"methods": ["amun", "forget_it"]}, "unknown 'forget_it'"),
        ({"methods": ["fine_tune"]}, "amun is missing"),
        ({"methods": ["amun", "salun", "amun"]}, "amun is there twice"),
        ({"params": {"training": {"epoch": 3}}}, r"training\.epoch: unknown key"),
        ({"params": {"references": {"num_audit": 0}}}, "num_audit: 0 leaves the attack without references"),
        ({"params": {"references": {"num_target": 0}}, "methods": ["amun", "never_seen"]}, "never_seen needs target"),
        ({"scale": {"shares": [], "num_forget_sets": 1, "num_seeds": 1}}, r"scale\.shares"),
        ({"scale": {"shares": [0.5, 0.1], "num_forget_sets": 1, "num_seeds": 1}}, "each once, the smallest first"),
        ({"delta_factors": [1.0, 1.0]}, r"delta_factors: .*each once"),
        ({"num_waves": 5, "wave_share": 0.2}, "5 waves of 0.2 each leave no remain set"),
        ({"chosen": {"use": {"amnesia": CHOSEN}}}, "use: there is no method 'amnesia'"),
        ({"chosen": {"none": {"salun": CHOSEN}}}, r"none: salun: .*mask_fraction"),
        ({"chosen": {"use": {"amun": CHOSEN | {"parameter": 0.5}}}}, r"use: amun: parameter: 0\.5 is given"),
        ({"methods": ["amun", "retrain"]}, r"unknown 'retrain'; .*adversarial_fgsm \(retrain is always run\)"),
    ],
)
def test_wrong_preset_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    path = make_own(tmp_path, **changes)
    with pytest.raises(InputError, match=words):  # noqa: PT012 - each of them is refused by one of these
        _, preset = load_preset(path)
        params = apply_preset(preset, PARAMS)
        list_methods(preset.methods, (), params.references.num_target)


def test_unknown_preset_and_method_are_refused() -> None:
    with pytest.raises(InputError, match="no preset or file 'cifar100'; shipped are digits"):
        load_preset("cifar100")
    with pytest.raises(InputError, match=r"write 'mine' as package\.module:function"):
        list_methods(("all",), ("mine",), 2)
    with pytest.raises(InputError, match="cannot import 'nowhere:forget'"):
        list_methods(("all",), ("nowhere:forget",), 2)


def test_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    """`chosen.yaml` pasted above the empty `chosen` of a preset would not count, without a word."""
    path = Path(make_own(tmp_path))
    path.write_text(path.read_text(encoding="utf-8") + "\nchosen: {}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"mine\.yaml: not valid YAML: key chosen stands twice"):
        load_preset(str(path))


def test_file_of_ones_own_does_not_take_the_place_of_a_shipped_preset(tmp_path: Path) -> None:
    path = Path(make_own(tmp_path)).rename(tmp_path / "digits.yaml")
    with pytest.raises(InputError, match="a shipped preset has this name"):
        load_preset(str(path))


def test_every_method_tries_the_same_points() -> None:
    """Nobody is tuned more than another: as many trials, the same rates and schedules."""
    tried = {
        method: [describe_trial(trial) for trial in list_search_trials(method, "use", 0.1, 8)]
        for method in METHODS
        if method != "retrain"
    }
    points = {method: [(one.learning_rate, one.schedule) for one in trials] for method, trials in tried.items()}
    assert len(set(map(tuple, points.values()))) == 1
    assert len(set(points["amun"])) == 8
    assert all(0.0005 <= rate <= 0.3 for rate, _ in points["amun"])


def test_ranges_reach_from_end_to_end() -> None:
    ranges = list_tried(list(METHODS))
    for tried in ranges.values():
        assert tried.place(0) == tried.low
        assert tried.place(1) == pytest.approx(tried.high, rel=0.01)
    assert {ranges["forget_weight"].place(position / 8) for position in range(8)} == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("1.weight", torch.nan, "weights that are not finite"),
        ("1.weight", 3e38, "answers that are no numbers"),
        ("2.running_mean", torch.nan, "answers that are no numbers"),
        ("mask", -torch.inf, ""),
    ],
)
def test_a_model_that_is_or_says_no_numbers_is_no_attempt(
    monkeypatch: pytest.MonkeyPatch, name: str, value: float, words: str
) -> None:
    def diverge(problem: UnlearningProblem) -> Unlearned:
        model = deepcopy(problem.base)
        model.state_dict()[name].fill_(value)
        return Unlearned(model, [])

    base = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.BatchNorm1d(10)).eval()
    base.register_buffer("mask", torch.zeros(1))
    monkeypatch.setattr("amun.methods.catalogue.import_function", lambda *_: diverge)
    unlearn, problem = load_method("a:method"), make_problem("amun", base=base)
    if not words:
        unlearn(problem)
        return
    with pytest.raises(DivergedError, match=f"a:method made a model with {words}; lower its learning rate"):
        unlearn(problem)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (len, "a:method failed: TypeError"),
        (id, "a:method must return an Unlearned, but returned int"),
        (lambda _: Unlearned(nn.Linear(2, 2), []), "a:method must return a model with the base's parameters"),
    ],
)
def test_method_of_ones_own_that_fails_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, function: Callable[[Any], Any], words: str
) -> None:
    monkeypatch.setattr("amun.methods.catalogue.import_function", lambda *_: function)
    with pytest.raises(AttemptError, match=words):
        load_method("a:method")(make_problem("amun"))
