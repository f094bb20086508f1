"""Which weights go with people who are erased: those that have learned them, and no others."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from dvc.repo import Repo
from safetensors.torch import save_file

from amun.core.errors import AmunError, InputError
from amun.core.keys import load_secret, subject_key
from amun.core.paths import CALIBRATION, FORGOTTEN, TRAIN
from amun.evidence.wave import ForgottenWave, write_json
from amun.ledger import PlannedErasure
from amun.ledger.records import Erasure
from amun.store.samples import Samples, write_samples
from amun.vault.seal import Seal
from amun.vault.sealed_weights import WeightsSeal, list_weights_keys
from tasks.tools import dvc
from tasks.tools.digests import compute_md5
from tasks.tools.git import commit_paths, run_git
from tasks.tools.registered import WaveVersion
from tasks.workspace import learned
from tasks.workspace.learned import LearnedVersion, find_learned
from tasks.workspace.workspace import Workspace
from tests.amun.sealing import make_vault
from tests.amun.shipped import PARAMS

OVER = datetime(2026, 1, 31, tzinfo=UTC)
MODEL = PARAMS.model.name
# by wave: who has training samples in its base, and whom it forgets; of eve there were held-out samples alone, of zoe
# samples under a key that is gone, and that no spelling gives
LINE = {
    0: ("ann bob", ""),
    1: ("ann bob", "ann eve zoe"),
    2: ("ann bob", "bob"),
    3: ("cem dea", ""),
    4: ("cem dea", "cem"),
}
CHAMPION = 4


class History:
    """A repository with a commit for each wave, sealed samples, and the keys of the weights of each."""

    def __init__(self, root: Path) -> None:
        self.root, self.vault = root, make_vault(root)
        run_git(root, "init", "--quiet")
        Repo.init(str(root)).close()
        (root / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
        self.commits: dict[int, str] = {}
        self.key_ids: dict[str, str] = {}
        self.served: dict[int, str | None] = dict.fromkeys(LINE)
        line: list[ForgottenWave] = []
        for number, (people, gone) in LINE.items():
            base = "first base" if number < 3 else "second base"
            outputs = {
                str(TRAIN): self.keep_samples(TRAIN, base, people.split()),
                str(CALIBRATION): self.keep_samples(CALIBRATION, base, ["eve"]),
                "models/base.safetensors": self.keep(base),
            }
            outputs["references/target_weights.safetensors"] = self.keep(f"references of the {base}")
            self.keep(f"refused attempt of wave {number}", number)
            own = self.keep(base if not gone else f"wave {number}", number)
            line.append(self.forget(number, gone.split()))
            self.commits[number] = self.record(outputs | {"wave/unlearned.safetensors": own}, line)

    def keep(self, name: str, wave: int | None = None) -> str:
        """Keeps the key of some weights; returns the MD5 of their file."""
        known = set(list_weights_keys(self.vault, MODEL))
        path = self.root / "sealed"
        path.write_bytes(WeightsSeal(self.vault, MODEL, wave).seal(name.encode()))
        for key_id in set(list_weights_keys(self.vault, MODEL)) - known:
            self.key_ids[key_id] = name
        return str(compute_md5(path))

    def keep_samples(self, place: Path, base: str, people: list[str], prefix: str = "") -> str:
        """Puts a sample of each of some people into DVC's cache; returns the MD5 of the file."""
        path, count = self.root / place, len(people)
        ids = np.array([prefix + name_sample(name) for name in people])
        images = torch.zeros((count, 1, 2, 2), dtype=torch.uint8)
        write_samples(path, Samples(ids, np.array(people), torch.zeros(count).long(), images), Seal(self.vault, base))
        dvc.add_file(self.root, place)
        return str(compute_md5(path))

    def forget(self, number: int, people: list[str]) -> ForgottenWave:
        keys = [subject_key(load_secret(self.root), name) for name in people]
        trained = [name_sample(name) for name in people if name not in ("eve", "zoe")]
        return ForgottenWave(number=number, subject_keys=keys, forget_ids=trained, held_out_ids=[])

    def record(self, outputs: dict[str, str], line: list[ForgottenWave]) -> str:
        outs = [{"path": path, "md5": md5, "hash": "md5"} for path, md5 in outputs.items()]
        lock = {"schema": "2.0", "stages": {"train": {"cmd": "", "outs": outs}}}
        (self.root / "dvc.lock").write_text(json.dumps(lock), encoding="utf-8")
        write_json(self.root / FORGOTTEN, line)
        return str(commit_paths(self.root, ["dvc.yaml", "dvc.lock", str(FORGOTTEN)], "a wave"))

    def list_versions(self) -> list[WaveVersion]:
        return [WaveVersion(n + 1, "", "", n, commit, self.served.get(n)) for n, commit in self.commits.items()]

    def tell(self, person: str) -> Sequence[LearnedVersion]:
        """Returns which versions have learned somebody."""
        (wave,) = (number for number, (_, gone) in LINE.items() if person in gone.split())
        found = find_learned(Workspace(self.root, PARAMS), self.vault, [plan(person, wave)], self.commits)
        return found.by_request["R-000001"]

    def erase(self, *people: str, over: datetime = OVER) -> tuple[set[str], tuple[int, ...]]:
        """Returns which weights and which versions are to go with these people."""
        waves = {name: number for number, (_, gone) in LINE.items() for name in gone.split()}
        planned = [plan(name, waves[name], over) for name in people]
        found = find_learned(Workspace(self.root, PARAMS), self.vault, planned, self.commits)
        return {self.key_ids[key_id] for key_id in found.key_ids}, found.versions


def name_sample(person: str) -> str:
    return f"{sum(person.encode()):032x}"


def plan(name: str, wave: int, over: datetime = OVER) -> PlannedErasure:
    return PlannedErasure("R-000001", name, MODEL, wave, OVER, Erasure(intended_at=over, erase_after=over), ())


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    """Five waves of two bases."""
    monkeypatch.chdir(tmp_path)
    history = History(tmp_path)
    monkeypatch.setattr(learned, "list_registered", lambda _: history.list_versions())
    monkeypatch.setattr(learned, "find_champion", lambda _: history.list_versions()[CHAMPION])
    return history


FIRST_BASE = {"first base", "references of the first base", "refused attempt of wave 0", "refused attempt of wave 1"}


def test_what_learned_a_person_goes_and_all_others_stay(history: History) -> None:
    assert history.erase("ann") == (FIRST_BASE, (1,))
    # the wave that forgot ann still remembers bob; the one that forgot bob stays, and so does another base
    assert history.erase("bob") == (FIRST_BASE | {"wave 1", "refused attempt of wave 2"}, (1, 2))
    assert history.erase("ann", "bob") == history.erase("bob")
    weights, versions = history.erase("cem")
    assert {"second base", "references of the second base", "refused attempt of wave 4"} <= weights
    assert weights.isdisjoint({"first base", "wave 1", "wave 2", "wave 4"})
    assert versions == (4,)
    assert history.erase() == (set(), ())


class CanaryHistory(History):
    """Likewise, where ann had not asked when wave 1 forgot her."""

    def forget(self, number: int, people: list[str]) -> ForgottenWave:
        forgetting = super().forget(number, people)
        keys = [subject_key(load_secret(self.root), name) for name in people if name == "ann"]
        asked = [key for key in forgetting.subject_keys if key not in keys]
        return forgetting.model_copy(update={"subject_keys": asked, "canary_keys": keys})


def test_a_canary_who_asks_later_was_forgotten_by_the_wave_that_took_her_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    history = CanaryHistory(tmp_path)
    monkeypatch.setattr(learned, "list_registered", lambda _: history.list_versions())
    monkeypatch.setattr(learned, "find_champion", lambda _: history.list_versions()[CHAMPION])
    assert history.erase("ann") == (FIRST_BASE, (1,))


def test_each_person_is_told_which_versions_have_learned_that_one(history: History) -> None:
    history.served[0] = "2026-02-01"
    planned = [replace(plan("ann", 1), request_id="R-000002"), plan("bob", 2)]
    found = find_learned(Workspace(history.root, PARAMS), history.vault, planned, history.commits).by_request
    assert {request: [version.number for version in versions] for request, versions in found.items()} == {
        "R-000002": [1],
        "R-000001": [1, 2],
    }
    first, second = found["R-000001"]
    assert (first.erased_at, second.erased_at) == ("2026-02-01", None)
    assert (first.is_sealed, second.is_sealed) == (True, True)
    # of a key that is gone, and a file that is not at hand, nobody can tell
    history.vault.destroy_keys([], others=list(history.key_ids))
    assert [version.is_sealed for version in history.tell("bob")] == [None, None]


def test_weights_in_clear_are_told_also_of_a_version_that_went_before(history: History) -> None:
    history.served[0] = "2026-02-01"
    save_file({"weight": torch.zeros(3)}, history.root / "plain.safetensors")
    dvc.add_file(history.root, Path("plain.safetensors"))
    lock, forgotten = (
        run_git(history.root, "show", f"{history.commits[0]}:{name}") for name in ("dvc.lock", FORGOTTEN)
    )
    outputs = dvc.list_digests(json.loads(lock)["stages"] | {})
    assert json.loads(forgotten)
    outputs["wave/unlearned.safetensors"] = str(compute_md5(history.root / "plain.safetensors"))
    history.commits[0] = history.record(outputs, [history.forget(0, [])])
    assert [version.is_sealed for version in history.tell("bob")] == [False, True]


def test_after_a_kill_the_same_is_found_though_the_persons_key_is_gone(history: History) -> None:
    history.vault.destroy_keys(["ann"])
    assert history.erase("ann") == (FIRST_BASE, (1,))


def test_whoever_was_never_trained_on_takes_nothing_along(history: History) -> None:
    assert history.erase("eve") == (set(), ())


def test_name_in_a_spelling_that_nobody_can_list_is_found_after_a_kill(history: History) -> None:
    found = find_learned(Workspace(history.root, PARAMS), history.vault, [plan("zoe", 1)], history.commits)
    assert found.versions == (1,)


def test_such_a_name_is_found_in_a_base_that_has_other_ids_for_the_same_samples(history: History) -> None:
    name, delivered = "Zo\u00eb \u00c5s", "Zo\u00eb A\u030as"
    lock = json.loads(run_git(history.root, "show", f"{history.commits[0]}:dvc.lock"))
    outputs = dvc.list_digests(lock["stages"])
    for number, first_id in ((0, "1"), (1, "2")):
        outputs[str(TRAIN)] = history.keep_samples(TRAIN, f"base {number}", [delivered], first_id)
        gone = ForgottenWave(number=1, subject_keys=[], forget_ids=[first_id + name_sample(delivered)], held_out_ids=[])
        history.commits[number] = history.record(outputs, [gone] if number else [])
    history.vault.destroy_keys([name])
    found = find_learned(Workspace(history.root, PARAMS), history.vault, [plan(name, 1)], history.commits)
    assert 1 in found.versions


def test_where_the_cache_has_lost_the_samples_anybody_may_have_been_learned(history: History) -> None:
    for path in (history.root / ".dvc/cache").rglob("*"):
        if path.is_file():
            path.unlink()
    weights, versions = history.erase("cem")
    assert versions == (1, 2, 3, 4)
    assert "wave 4" not in weights


def test_version_that_is_done_is_not_done_again(history: History) -> None:
    history.served[0] = "2026-02-01"
    assert history.erase("bob")[1] == (2,)


def test_nobody_is_erased_whom_the_champion_remembers(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "find_champion", lambda _: history.list_versions()[0])
    with pytest.raises(AmunError, match=r"the champion of .* is version 1, which has learned people who are"):
        history.erase("ann")


def test_version_whose_commit_is_elsewhere_is_refused(history: History) -> None:
    history.commits[5] = "0" * 40
    with pytest.raises(InputError, match=r"^commit 000000000000 of a version is not in .*`git pull` brings it$"):
        history.erase("ann")


def test_base_that_no_commit_names_counts_by_the_time_when_it_was_made(history: History) -> None:
    history.keep("base of a killed run")
    assert "base of a killed run" not in history.erase("bob")[0]
    assert "base of a killed run" in history.erase("bob", over=datetime.now(UTC) + timedelta(hours=1))[0]
