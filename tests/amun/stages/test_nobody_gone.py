"""Nobody who is gone trains again, or counts as remaining or held out: over three waves, by every method.

People have training and held-out samples, and a few are strangers with held-out ones alone. The models are witnesses,
so that what reaches them is told by themselves. In each wave some are canaries, who are gone like those who asked.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from amun.audit.night import read_night
from amun.audit.sizes import read_sizes
from amun.core.errors import InputError
from amun.core.keys import subject_key
from amun.core.paths import (
    ATTEMPT,
    AUDIT_METRICS,
    BASE_MODEL,
    CALIBRATION,
    CONFIDENCE,
    FORGOTTEN,
    HELD_OUT_ADVERSARIAL,
    KEYS,
    REPORT_METRICS,
    TEST,
    TRAIN,
    UNLEARNED,
    WAVE,
    WAVE_BASE,
)
from amun.evidence.wave import Attempt, ForgottenWave, Wave, read_wave, write_json
from amun.methods.catalogue import METHODS
from amun.stages.adversarial import build_adversarial_set
from amun.stages.audit import audit
from amun.stages.compare import compare
from amun.stages.power import measure_power
from amun.stages.references import train_references
from amun.stages.report import report
from amun.stages.train import train
from amun.stages.unlearn import unlearn
from amun.store.forgetting import name_forgotten
from amun.store.samples import Samples, read_samples, write_samples
from amun.store.store import read_owners
from amun.vault.seal import open_seal
from tests.amun.methods.problems import make_attempt
from tests.amun.sealing import destroy_keys, make_vault
from tests.amun.shipped import PARAMS
from tests.amun.witness import NUM_CLASSES, Pass, Witness, hear, paint

CPU = torch.device("cpu")
NUM_PEOPLE, NUM_LEAVERS, WAVES = 40, 7, (1, 2, 3)
NUM_CANARIES = 3  # of the leavers of earlier waves; of the third wave all are, since figures are of canaries alone
# of each person, so many samples in a split: a wave forgets 21 training samples and 14 held-out ones
SHARES = {TRAIN: 3, CALIBRATION: 1, TEST: 1}
# the numbers of the samples of people of whom none is trained on; the same people in both halves
STRANGERS = {TRAIN: range(0), CALIBRATION: range(201, 225), TEST: range(225, 249)}
EVERYBODY = NUM_PEOPLE + len(STRANGERS[TEST])
CHANGES: dict[str, dict[str, Any]] = {
    "model": {"architecture": "tests.amun.witness:build_witness", "options": {}},
    "training": {"epochs": 15, "learning_rate": 1.0},
    "references": {"num_audit": 2, "num_target": 2, "keep_weights": True},
    "unlearning": {"epochs": 2, "attempts": tuple(make_attempt(name) for name in METHODS)},
}
SHOWN = PARAMS.model_copy(
    update={name: getattr(PARAMS, name).model_copy(update=changed) for name, changed in CHANGES.items()}
)
Numbers = frozenset[int]
ALL_KEYS = Path("all-keys.db")


@dataclass(frozen=True)
class People:
    """Whose numbers are whose in a wave: `own` and `earlier` have left, each with samples of every split."""

    own: dict[Path, Numbers]
    earlier: dict[Path, Numbers]
    left: dict[Path, Numbers]

    @property
    def gone(self) -> Numbers:
        """Everybody's who has left."""
        return join(self.own) | join(self.earlier)


def join(numbers: dict[Path, Numbers]) -> Numbers:
    return frozenset().union(*numbers.values())


@pytest.fixture(scope="module", autouse=True)
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The current folder: the samples, a base and its references, with nobody forgotten yet."""
    with chdir(tmp_path_factory.mktemp("workspace")):
        make_vault(Path())
        first = 1
        for path, share in SHARES.items():
            write_store(path, first, share)
            first += share * NUM_PEOPLE
        write_json(FORGOTTEN, [])
        train(SHOWN, CPU)
        train_references(SHOWN, CPU)
        shutil.copyfile(KEYS, ALL_KEYS)
        yield


def write_store(path: Path, first: int, share: int) -> None:
    known, strangers = np.arange(first, first + share * NUM_PEOPLE), np.array(STRANGERS[path], dtype=np.int64)
    numbers = np.concatenate([known, strangers])
    names = np.array([f"sample-{number}" for number in numbers])
    people = np.concatenate([known % NUM_PEOPLE, NUM_PEOPLE + np.arange(len(strangers))])
    owners = np.array([f"person-{person}" for person in people])
    images = torch.stack([paint(int(number)) for number in numbers])
    samples = Samples(names, owners, torch.from_numpy(numbers % NUM_CLASSES), images)
    write_samples(path, samples, open_seal(True, "the base"))


def make_canaries(forgetting: ForgottenWave, people: list[str]) -> ForgottenWave:
    """Returns the same where these people did not ask."""
    train, keys = read_owners(TRAIN), [subject_key(b"secret", person) for person in people]
    return forgetting.model_copy(
        update={
            "subject_keys": [key for key in forgetting.subject_keys if key not in keys],
            "canary_keys": sorted(keys),
            "canary_ids": sorted(train.sample_ids[np.isin(train.subject_ids, people)].tolist()),
        }
    )


def begin_wave(leavers: list[range]) -> None:
    """Writes the files of the last of these waves, each with the people who leave in it, and of those before."""
    stores = [read_owners(path) for path in SHARES]
    line: list[ForgottenWave] = []
    for number, people in enumerate(leavers, start=1):
        names = [f"person-{person}" for person in people]
        num_canaries = NUM_CANARIES if number < len(leavers) else len(names) * (number == WAVES[-1])
        line.append(make_canaries(name_forgotten(b"secret", number, names, stores, line), names[:num_canaries]))
    *forgotten, forgetting = line
    wave = Wave(
        number=len(line),
        model="witness",
        kind="deletion",
        secret_fingerprint="",
        base_version=len(line),
        base_digest="",
        yardstick=None,
        forgetting=forgetting,
        forgotten=forgotten,
    )
    write_json(WAVE, wave)
    write_json(FORGOTTEN, line)
    shutil.copyfile(BASE_MODEL, WAVE_BASE)


@pytest.fixture(scope="module", params=WAVES)
def people(request: pytest.FixtureRequest, workspace: None) -> People:  # noqa: ARG001
    """Who has left by this wave; its files lie in the current folder, the base is the one that all begin with.

    Whoever left before is erased: no stage can have opened anything of theirs.
    """
    number: int = request.param
    leavers = [range((each - 1) * NUM_LEAVERS, each * NUM_LEAVERS) for each in range(1, number + 1)]
    shutil.copyfile(ALL_KEYS, KEYS)
    begin_wave(leavers)
    people = People(
        own=pick(range((number - 1) * NUM_LEAVERS, number * NUM_LEAVERS)),
        earlier=pick(range((number - 1) * NUM_LEAVERS)),
        left=pick(range(number * NUM_LEAVERS, EVERYBODY)),
    )
    destroy_keys(Path(), [f"person-{person}" for person in range((number - 1) * NUM_LEAVERS)])
    hear()
    build_adversarial_set(SHOWN, CPU)
    return people


def pick(people: range) -> dict[Path, Numbers]:
    """Returns the numbers of these people's samples, by split; from the file, not from what the wave says of it."""
    owners = [f"person-{person}" for person in people]
    stores = {path: read_owners(path) for path in SHARES}
    return {
        path: frozenset(int(name[7:]) for name in store.sample_ids[np.isin(store.subject_ids, owners)].tolist())
        for path, store in stores.items()
    }


def listen() -> tuple[Numbers, Numbers]:
    """Returns whom models were trained on since it was asked last, and whom they saw at all."""
    passes = hear()
    trained = [one.numbers for one in passes if one.is_training]
    return frozenset().union(*trained), frozenset().union(*(one.numbers for one in passes))


@pytest.mark.parametrize(
    ("method", "remain"),
    [
        *((name, "use") for name in METHODS),
        *((name, "none") for name, method in METHODS.items() if not method.needs_remain),
    ],
)
def test_no_method_is_given_anybody_who_is_gone(method: str, remain: str, people: People) -> None:
    write_json(ATTEMPT, Attempt(attempt=1 + list(METHODS).index(method)))
    params = SHOWN.model_copy(update={"data": SHOWN.data.model_copy(update={"remain": remain})})
    hear()
    unlearn(params, CPU)
    trained, seen = listen()
    forget, left = people.own[TRAIN], people.left[TRAIN]
    assert not seen - forget - left
    expected = (forget, left | forget, left) if remain == "use" else (forget,)
    assert trained in expected[METHODS[method].is_exact * 2 :], "all that remain, all that are forgotten, or both"


def test_wave_is_judged_by_nobody_who_is_gone(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    # every witness errs on those who are gone: one of them among the others would show in an accuracy
    monkeypatch.setattr(Witness, "mistaken", people.gone)
    shutil.copyfile(WAVE_BASE, UNLEARNED)
    measure_power(SHOWN, CPU)
    for stage, path, half in ((audit, AUDIT_METRICS, CALIBRATION), (report, REPORT_METRICS, TEST)):
        hear()
        stage(SHOWN, CPU)
        passes, figures = hear(), json.loads(path.read_text(encoding="utf-8"))
        assert not any(one.is_training for one in passes)
        seen = frozenset().union(*(one.numbers for one in passes))
        assert not seen & join(people.earlier)
        require_gradients_of_tonight_alone(passes, people, half)
        num_left, num_own = len(people.left[half]), len(people.own[half])
        assert figures["num_test" if half == TEST else "num_calibration"] == num_left
        assert figures["accuracy"] == 1
        assert figures["accuracy_base"] == pytest.approx(num_left / (num_left + num_own)), "as before the wave"
        assert figures.get("remain_accuracy", 1) == 1
        assert None not in (figures["ft_auc"], figures["trace"])
    binned, num_before = pd.read_csv(CONFIDENCE), num_left + num_own
    unsure, sure = binned.iloc[0], binned.iloc[-1]
    assert (unsure["forget_after"], sure["remain_after"], sure["test_after"]) == (1, 1, 1), "confidence in the label"
    assert unsure["test_before"] == pytest.approx(num_own / num_before, abs=1e-5)


def require_gradients_of_tonight_alone(passes: Sequence[Pass], people: People, half: Path) -> None:
    """No example is searched of anybody gone; where the weights are looked at each of tonight's images stands alone.

    Both compare with strangers alone: of no others, though they are held out, is anything asked.
    """
    asked = frozenset().union(*(one.numbers for one in passes if one.has_gradient))
    assert asked - people.own[TRAIN] <= set(STRANGERS[half])
    looked_at = [one.numbers & people.gone for one in passes if one.has_gradient]
    assert all(not numbers or (len(numbers) == 1 and numbers <= people.own[TRAIN]) for numbers in looked_at)
    assert frozenset().union(*looked_at) == people.own[TRAIN]


@pytest.mark.usefixtures("people")
def test_yardstick_has_learned_from_nobody_who_was_gone_by_its_wave() -> None:
    wave = read_wave()
    counted = [read_sizes(wave.model_copy(update={"yardstick_wave": number})).yardstick for number in (None, 0, 1)]
    num_train, num_first = SHARES[TRAIN] * NUM_PEOPLE, SHARES[TRAIN] * NUM_LEAVERS if wave.forgotten else 0
    assert counted == [None, num_train, num_train - num_first]


def test_people_who_were_trained_on_are_no_strangers_to_compare_with(people: People) -> None:
    hear()
    measure_power(SHOWN, CPU)
    night = read_night()
    assert (night.num_people, night.num_samples) == (NUM_LEAVERS, len(people.own[TRAIN]))
    # nearly everybody here has training samples: their held-out ones are of people whom the model knows
    assert (night.num_held_out_people, night.num_held_out_samples) == (len(STRANGERS[CALIBRATION]),) * 2
    assert night.insufficient
    assert listen() == (frozenset(), frozenset())


def test_examples_for_the_trace_are_of_nobody_who_is_gone(people: People) -> None:
    drawn = {int(name[7:]) for name in read_samples(HELD_OUT_ADVERSARIAL).sample_ids.tolist()}
    assert len(drawn) == len(people.own[TRAIN])
    assert drawn <= people.left[CALIBRATION] & set(STRANGERS[CALIBRATION])


def test_retraining_for_comparison_sees_nobody_who_is_gone(people: People) -> None:
    hear()
    compare(SHOWN, CPU)
    passes = hear()
    assert frozenset().union(*(one.numbers for one in passes if one.is_training)) == people.left[TRAIN]
    require_gradients_of_tonight_alone([one for one in passes if not one.is_training], people, TEST)
    assert not [one for one in passes if one.is_training and one.numbers & people.gone]


@pytest.mark.parametrize("stage", [train, train_references])
@pytest.mark.usefixtures("people")
def test_no_base_is_trained_on_anybody_who_is_gone(stage: Any) -> None:
    hear()
    with pytest.raises(InputError, match="forgotten people"):
        stage(SHOWN, CPU)
    assert listen() == (frozenset(), frozenset())


@pytest.mark.usefixtures("workspace")
def test_few_who_remain_have_no_figure_of_their_own(tmp_path: Path) -> None:
    shutil.copytree(Path(), tmp_path, dirs_exist_ok=True)
    with chdir(tmp_path):
        shutil.copyfile(ALL_KEYS, KEYS)
        begin_wave([range(6, EVERYBODY)])
        build_adversarial_set(SHOWN, CPU)
        shutil.copyfile(WAVE_BASE, UNLEARNED)
        report(SHOWN, CPU)
        figures = json.loads(REPORT_METRICS.read_text(encoding="utf-8"))
        assert figures["num_forget"] == 3 * (NUM_PEOPLE - 6)
        told = ("remain_accuracy", "accuracy", "ft_auc", "trace")
        assert [figures[name] for name in told] == [None] * len(told), "18 training samples and 6 others are left"
