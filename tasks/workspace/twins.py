"""The twins of people's samples in a workspace's store: what a wave does about them, what a request is told of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from amun.core.counts import tell_count
from amun.core.paths import CALIBRATION, FORGOTTEN, PARAMS, PREPARE_METRICS, TEST, TRAIN
from amun.core.subject_ids import normalise
from amun.evidence.figures import PrepareFigures, read_figures
from amun.evidence.wave import ForgottenWave, list_gone, parse_forgotten, parse_record, read_forgotten
from amun.ledger import Wave
from amun.store.forgetting import settle_twins
from amun.store.samples import Owners
from amun.store.store import read_owners
from amun.store.twins import find_twins
from tasks.tools.contents import find_cached
from tasks.tools.git import read_committed
from tasks.workspace.store_files import read_lock
from tasks.workspace.workspace import Workspace

STORES = (TRAIN, CALIBRATION, TEST)


@dataclass(frozen=True)
class SharedPictures:
    """Of a person's samples those whose pictures other people have too; nobody else is named.

    Attributes:
        num_samples: how many.
        num_others: how many samples of others show the same.
        num_people: of how many other people these are.
        num_gone: of `num_others`, those that a wave has forgotten with somebody's of the same pictures.
        is_kept: the others stay when the person is forgotten, as `data.twins` says.
        wave: that has forgotten the person, and found it so; None where it is so now.
    """

    num_samples: int
    num_others: int
    num_people: int
    num_gone: int
    is_kept: bool
    wave: int | None = None

    def describe(self) -> str:
        """Returns what there is to know, in one sentence without its full stop."""
        pictures, show = ("sample", "shows") if self.num_samples == 1 else ("samples", "show")
        others = "1 other person" if self.num_people == 1 else f"{self.num_people} other people"
        what = (
            "they are theirs and stay, so that the model goes on knowing these pictures"
            if self.is_kept
            else "they are forgotten with this person's"
        )
        if self.num_gone:
            is_all = self.num_gone == self.num_others
            what = (
                "they were forgotten with them" if is_all else f"{self.num_gone} were forgotten with them; else {what}"
            )
        return (
            f"{self.num_samples} {pictures} of this person {show} the very picture of {self.num_others} held under "
            f"{others}: {what} (data.twins{'' if self.wave is None else f', as wave {self.wave} found it'})"
        )


def may_have_twins(root: Path) -> bool:
    """Tells whether the store may have twins: the stage that filled it has counted some, or did not count yet."""
    path = root / PREPARE_METRICS
    return not path.exists() or _may_be_some(read_figures(PrepareFigures, root))


def may_have_had_twins(root: Path, commit: str) -> bool:
    """Tells the same of the store at a wave's commit."""
    text = read_committed(root, PREPARE_METRICS, commit)
    return text is None or _may_be_some(parse_record(PrepareFigures, text, f"{PREPARE_METRICS} at {commit[:12]}"))


def _may_be_some(figures: PrepareFigures) -> bool:
    return figures.twins is None or figures.twins.num_samples > 0


def settle(workspace: Workspace, forgetting: ForgottenWave, forgotten: list[ForgottenWave]) -> ForgottenWave:
    """Returns what a wave forgets once it is settled what becomes of other people's twins."""
    root = workspace.root
    if not may_have_twins(root):
        return forgetting
    paths = [root / path for path in STORES]
    gone = set(list_gone(forgotten))
    own, others = find_twins(paths, {*forgetting.forget_ids, *forgetting.held_out_ids}, gone)
    forget_too = workspace.params.data.twins == "forget_too"
    return settle_twins(forgetting, own, others, forgotten, forget_too=forget_too, train=paths[0])


def describe_settled(forgetting: ForgottenWave) -> str:
    """Returns what became of the twins of a wave, without a full stop; empty where nobody has one."""
    if num_kept := len(forgetting.shared_ids):
        return (
            "pictures that stay trained on under other names show nothing of forgetting: those of "
            f"{num_kept} of {tell_count(len(forgetting.forget_ids), 'training sample')} (data.twins: keep)"
        )
    if num_twins := len(forgetting.twin_ids):
        return f"among them other people's samples of the same pictures: {num_twins} (data.twins: forget_too)"
    return ""


def find_shared(workspace: Workspace, subject_id: str, wave: Wave | None = None) -> SharedPictures | None:
    """Returns what others have of a person's pictures, or had when the person was forgotten.

    Args:
        workspace: whose store is looked at.
        subject_id: the person.
        wave: that handled the person's request, if one did. A new base has the person no more, and others than then.

    Returns:
        None where nobody has any, nothing is held of the person, or the data are not at hand.
    """
    root = workspace.root
    if wave is not None and wave.commit is not None:
        return _find_shared_at(root, subject_id, wave.number, wave.commit)
    paths = [root / path for path in STORES]
    if not all(path.exists() for path in paths) or not may_have_twins(root):
        return None
    return _find_shared_in(paths, read_forgotten(root), subject_id, is_kept=workspace.params.data.twins == "keep")


def _find_shared_at(root: Path, subject_id: str, number: int, commit: str) -> SharedPictures | None:
    digests = read_lock(root, commit)
    if not digests or not may_have_had_twins(root, commit):
        return None
    cached = find_cached(root, [digests[str(path)] for path in STORES if str(path) in digests])
    recorded, params = (read_committed(root, path, commit) for path in (FORGOTTEN, PARAMS))
    if len(cached) < len(STORES) or recorded is None or params is None:
        return None
    line = parse_forgotten(recorded, f"{FORGOTTEN} at {commit[:12]}")
    is_kept = yaml.safe_load(params)["data"].get("twins", "keep") == "keep"
    shared = _find_shared_in(list(cached.values()), line, subject_id, is_kept=is_kept)
    return None if shared is None else replace(shared, wave=number)


def _find_shared_in(
    paths: Sequence[Path], line: list[ForgottenWave], subject_id: str, *, is_kept: bool
) -> SharedPictures | None:
    gone = set(list_gone(line))
    with_others = {one for wave in line for one in wave.twin_ids}
    own_ids = {one for path in paths for one in _list_own(read_owners(path), subject_id)}
    # who has left by a request of their own is nobody else's any more
    own, known = find_twins(paths, own_ids, gone - with_others - own_ids, skip_erased=True)
    if not known:
        return None
    return SharedPictures(
        num_samples=sum(len(own[picture]) for picture in {twin.picture for twin in known}),
        num_others=len(known),
        num_people=len({normalise(twin.subject_id) for twin in known}),
        num_gone=sum(twin.sample_id in with_others for twin in known),
        is_kept=is_kept,
    )


def _list_own(store: Owners, subject_id: str) -> list[str]:
    asked = normalise(subject_id)
    rows = zip(store.sample_ids.tolist(), store.subject_ids.tolist(), strict=True)
    return [sample_id for sample_id, owner in rows if normalise(owner) == asked]
