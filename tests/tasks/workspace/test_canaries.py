"""Who may still be a canary: named, trained on, asked nothing, shares no picture, and was none before."""

from pathlib import Path

import numpy as np
import pytest
import torch

from amun.core.errors import InputError
from amun.core.keys import load_secret
from amun.core.paths import CALIBRATION, FORGOTTEN, PREPARE_METRICS, TEST, TRAIN
from amun.evidence.figures import PrepareFigures
from amun.evidence.wave import ForgottenWave, write_json
from amun.ledger import Ledger
from amun.store.forgetting import add_canaries
from amun.store.samples import Samples, write_samples
from amun.store.store import read_owners
from amun.vault.seal import Seal
from tasks.tools.environment import LEDGER_VARIABLE
from tasks.tools.git import commit_paths, run_git
from tasks.views.status import read_status
from tasks.workspace.canaries import drop_sharing, find_pool
from tasks.workspace.workspace import Workspace
from tests.amun.ledger.helpers import add, build_base
from tests.amun.sealing import destroy_keys, make_vault
from tests.amun.shipped import PARAMS

# of each sample whose it is and which picture it shows
CONTENT = {
    TRAIN: {
        "a1": ("ann", 1),
        "b1": ("bob", 2),
        "b2": ("bob", 3),
        "c1": ("cem", 4),
        "d1": ("dea", 5),
        "e1": ("eve", 6),
        "f1": ("flo", 6),
        "g1": ("gus", 7),
        "z1": ("Zoe\u0308", 8),
    },
    CALIBRATION: {"c2": ("cem", 9), "i1": ("ida", 7)},
    TEST: {"h1": ("hal", 10)},
}
NOBODY = ForgottenWave(number=1, subject_keys=[], forget_ids=[], held_out_ids=[])
NAMED = ["bob", "cem", "dea", "eve", "flo", "gus", "hal", "Zo\u00eb", "nobody"]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with a base, of which nobody is forgotten."""
    monkeypatch.setenv(LEDGER_VARIABLE, f"sqlite:///{tmp_path / 'ledger.db'}")
    monkeypatch.chdir(tmp_path)
    seal = Seal(make_vault(tmp_path), "test")
    for path, rows in CONTENT.items():
        pictures = torch.tensor([number for _, number in rows.values()], dtype=torch.uint8)
        owners = np.array([owner for owner, _ in rows.values()])
        images = pictures[:, None, None, None].expand(-1, 1, 4, 4).contiguous()
        samples = Samples(np.array(list(rows)), owners, torch.zeros(len(rows), dtype=torch.int64), images)
        write_samples(tmp_path / path, samples, seal)
    (tmp_path / "canaries.txt").write_text("\n".join(NAMED), encoding="utf-8")
    write_json(tmp_path / FORGOTTEN, [])
    run_git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    commit_paths(tmp_path, [str(FORGOTTEN)], "a base")
    with Ledger.create(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        build_base(ledger, ["ann", "bob", "dea"], PARAMS.model.name)
    return tmp_path


def open_at(root: Path, canaries: str | int | None, limit: int = 12) -> Workspace:
    data, audit = (
        PARAMS.data.model_copy(update={"canaries": canaries}),
        PARAMS.audit.model_copy(update={"canaries": limit}),
    )
    return Workspace(root, PARAMS.model_copy(update={"data": data, "audit": audit}))


def count(root: Path, tonight: ForgottenWave = NOBODY) -> tuple[int, int, int, list[str]]:
    """Returns how many are named, held and have asked, and who may be taken."""
    workspace = open_at(root, "canaries.txt")
    pool = find_pool(workspace, tonight)
    assert pool is not None
    return pool.num_named, pool.num_held, pool.num_asked, drop_sharing(workspace, pool, tonight)


def describe_source(root: Path, *, names_people: bool) -> None:
    figures = PrepareFigures(num_train=9, num_calibration=2, num_test=1, num_excluded=0)
    digest = None if names_people else "of whom"
    write_json(root / PREPARE_METRICS, figures.model_copy(update={"people_digest": digest}))


def test_only_whoever_is_trained_on_and_shares_no_picture_is_left(root: Path) -> None:
    # cem is held out as well; eve and flo show the same, gus shows what ida does; hal and nobody are not trained on
    assert count(root) == (9, 7, 0, ["Zoe\u0308", "bob", "dea"])
    assert find_pool(open_at(root, None)) is None


def test_a_list_that_no_night_reads_is_not_looked_at(root: Path) -> None:
    (root / "canaries.txt").unlink()
    assert find_pool(open_at(root, "canaries.txt", limit=0)) is None
    with pytest.raises(InputError, match=r"canaries\.txt cannot be read as text"):
        find_pool(open_at(root, "canaries.txt"))


def test_no_picture_is_opened_to_count_them(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.workspace.canaries.find_twins", None)
    pool = find_pool(open_at(root, "canaries.txt"))
    assert pool is not None
    assert pool.num_left == 6, "the three who share a picture among them"


def test_whoever_has_asked_is_none(root: Path) -> None:
    with Ledger(f"sqlite:///{root / 'ledger.db'}") as ledger:
        add(ledger, "dea", "Zo\u00eb")
    assert count(root) == (9, 7, 2, ["bob"])


def test_each_is_used_once_and_nobody_of_tonight_is_one(root: Path) -> None:
    used = add_canaries(NOBODY, load_secret(root), read_owners(root / TRAIN), ["bob"])
    assert used.canary_ids == ["b1", "b2"]
    tonight = NOBODY.model_copy(update={"number": 2, "forget_ids": ["d1"]})
    assert count(root, tonight) == (9, 7, 0, ["Zoe\u0308", "bob"])
    write_json(root / FORGOTTEN, [used])
    assert count(root)[3] == ["Zoe\u0308", "bob", "dea"], "nobody has committed it"
    commit_paths(root, [str(FORGOTTEN)], "wave 1")
    assert count(root, tonight) == (9, 7, 0, ["Zoe\u0308"])


def test_invented_people_are_drawn_by_the_secret_and_real_ones_never(root: Path) -> None:
    describe_source(root, names_people=False)
    pools = [find_pool(open_at(root, number)) for number in (1, 4, 4, 8)]
    assert [pool and pool.num_held for pool in pools] == [1, 4, 4, 8]
    assert pools[1] == pools[2]
    assert pools[3] is not None
    everybody = sorted(pools[3].left)
    destroy_keys(root, everybody[:1])
    again = find_pool(open_at(root, 8))
    assert again is not None
    assert sorted(again.left) == everybody[1:], "nobody is drawn in the place of somebody who is erased"
    describe_source(root, names_people=True)
    with pytest.raises(InputError, match="the source names its people"):
        find_pool(open_at(root, 4))
    assert find_pool(open_at(root, "canaries.txt")) is not None


def test_without_the_data_nothing_is_known(root: Path) -> None:
    (root / TEST).unlink()
    assert find_pool(open_at(root, "canaries.txt")) is None


def test_status_is_shown_where_the_list_cannot_be_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.views.status.find_champion", lambda _: None)
    with Ledger(f"sqlite:///{root / 'ledger.db'}") as ledger:
        add(ledger, "ann")
    shown = read_status(open_at(root, "canaries.txt"))
    assert (shown.num_canaries, shown.num_canaries_left, shown.canaries_unknown) == (7, 6, None)
    (root / "canaries.txt").unlink()
    shown = read_status(open_at(root, "canaries.txt"))
    assert (shown.pending, shown.num_canaries) == (1, None)
    assert "canaries.txt cannot be read as text" in str(shown.canaries_unknown)
    assert read_status(open_at(root, "canaries.txt", limit=0)).canaries_unknown is None
