"""The stage `unlearn` with every method that an attempt may name, in a small workspace of real digits."""

import json
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
import torch

from amun.core.errors import AttemptError
from amun.core.params import AttemptParams, Params
from amun.core.paths import ATTEMPT, TARGET_LOGITS, UNLEARN_EPOCHS, UNLEARN_METRICS, UNLEARNED, WAVE_BASE
from amun.evidence.wave import Attempt, read_wave, write_json
from amun.methods.catalogue import METHODS
from amun.methods.problem import Targets, Unlearned, UnlearningProblem
from amun.model.weights import read_weights
from amun.params import check_params
from amun.stages.adversarial import build_adversarial_set
from amun.stages.unlearn import unlearn
from amun.store.samples import read_samples, write_samples
from bench.seed import begin_wave
from tests.amun.methods.problems import make_attempt
from tests.amun.shipped import PARAMS, have_same_weights

CPU = torch.device("cpu")
given: list[Targets | None] = []
NUM_FORGET = 30


def make_params() -> Params:
    changes = {
        "model": {"options": {"channels": [4, 4]}},
        "data": {"num_samples": 400},
        "training": {"epochs": 5},
        "references": {"num_audit": 2, "num_target": 2, "keep_weights": True},
        "unlearning": {"epochs": 2},
    }
    sections = {name: getattr(PARAMS, name).model_copy(update=changed) for name, changed in changes.items()}
    return PARAMS.model_copy(update=sections)


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Params]:
    """The parameters of a workspace, the current folder, whose wave lacks the stage `unlearn` alone."""
    made = make_params()
    with chdir(tmp_path_factory.mktemp("workspace")):
        begin_wave(made, CPU, NUM_FORGET)
        build_adversarial_set(made, CPU)
        yield made


def remember_targets(problem: UnlearningProblem) -> Unlearned:
    """A user's own method, which keeps what it was given of the target references."""
    given.append(problem.targets)
    return Unlearned(problem.build(), [])


@pytest.mark.parametrize("has_targets", [True, False])
def test_own_method_is_given_the_target_references_that_there_are(params: Params, *, has_targets: bool) -> None:
    attempt = AttemptParams(method=f"{__name__}:remember_targets", learning_rate=0.1)
    chosen = params.model_copy(update={"unlearning": params.unlearning.model_copy(update={"attempts": (attempt,)})})
    write_json(ATTEMPT, Attempt(attempt=1))
    kept = TARGET_LOGITS.read_bytes()
    if not has_targets:
        write_samples(TARGET_LOGITS, read_samples(TARGET_LOGITS).slice(0, 0), seal=None)
    given.clear()
    unlearn(chosen, CPU)
    TARGET_LOGITS.write_bytes(kept)
    (targets,) = given
    assert (targets is not None) == has_targets
    if targets is not None:
        num_forget = len(read_wave().forget_ids)
        assert targets.logits.shape[:2] == targets.inclusion.shape == (num_forget, 2)
        assert targets.load is not None
        assert not targets.load(1).training


def test_base_that_was_built_without_target_references(params: Params) -> None:
    attempts = [make_attempt("never_seen"), make_attempt("retrain")]
    chosen = params.model_copy(update={"unlearning": params.unlearning.model_copy(update={"attempts": attempts})})
    write_json(ATTEMPT, Attempt(attempt=1))
    kept = TARGET_LOGITS.read_bytes()
    references = read_samples(TARGET_LOGITS)
    write_samples(TARGET_LOGITS, references.slice(0, 0), seal=None)
    with pytest.raises(AttemptError, match="there are no target references"):
        unlearn(chosen, CPU)
    TARGET_LOGITS.write_bytes(kept)
    unlearn(chosen, CPU)


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if not method.is_ablation])
def test_every_method_makes_an_attempt(params: Params, method: str) -> None:
    attempts = [make_attempt("retrain"), make_attempt(method)]
    chosen = params.model_copy(update={"unlearning": params.unlearning.model_copy(update={"attempts": attempts})})
    write_json(ATTEMPT, Attempt(attempt=2))
    unlearn(chosen, CPU)
    first = UNLEARNED.read_bytes()
    told = json.loads(UNLEARN_METRICS.read_text(encoding="utf-8"))
    assert told == {"attempt": 2, "method": method, "is_exact": method == "retrain"}
    assert not have_same_weights(read_weights(UNLEARNED), read_weights(WAVE_BASE))
    num_epochs = (chosen.training if method == "retrain" else chosen.unlearning).epochs
    assert len(UNLEARN_EPOCHS.read_text(encoding="utf-8").splitlines()) == 1 + num_epochs
    unlearn(chosen, CPU)
    assert UNLEARNED.read_bytes() == first


OWN_METHOD = """
from amun.methods.tuning import fine_tune, get_adversarial, get_forget, require_parameter


def forget(problem):
    parts = [get_adversarial(problem)] * int(require_parameter(problem, "weight"))
    return fine_tune(problem, [get_forget(problem), *parts])
"""


def test_method_of_the_users_own_makes_an_attempt(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("custom").mkdir()
    Path("custom/forgetting_of_mine.py").write_text(OWN_METHOD, encoding="utf-8")
    monkeypatch.syspath_prepend("custom")
    attempt = AttemptParams(method="forgetting_of_mine:forget", learning_rate=0.1, weight=2)
    attempts = [attempt, make_attempt("retrain")]
    chosen = params.model_copy(update={"unlearning": params.unlearning.model_copy(update={"attempts": attempts})})
    check_params(chosen)
    write_json(ATTEMPT, Attempt(attempt=1))
    unlearn(chosen, CPU)
    told = json.loads(UNLEARN_METRICS.read_text(encoding="utf-8"))
    assert told == {"attempt": 1, "method": "forgetting_of_mine:forget", "is_exact": False}
    assert not have_same_weights(read_weights(UNLEARNED), read_weights(WAVE_BASE))
