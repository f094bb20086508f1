"""A wave is drawn from what git has, and run again; what can no longer be is passed over, and nothing else is."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from amun.core.errors import AmunError, InputError
from amun.core.paths import RECEIPT_CHAIN, WAVE
from amun.evidence.receipt import Draw
from amun.receipts.chain import write_chain
from amun.receipts.drawing import rank_waves
from amun.receipts.entries import begin_chain, digest_entry
from tasks.tools.git import commit_paths, run_git
from tasks.workspace import drawing, worktree
from tasks.workspace.clear_waves import ClearedWaveError
from tasks.workspace.drawing import draw_and_run, find_draw_fault, read_lot
from tasks.workspace.recorded import list_recorded, sign
from tasks.workspace.workspace import Workspace
from tasks.workspace.worktree import ErasedWaveError
from tests.amun.receipts.bodies import make_chain
from tests.amun.shipped import PARAMS as SHIPPED

MODEL = SHIPPED.model.name
VALUE = "round 4711"


class Line:
    """A branch with waves and receipts."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace(root, SHIPPED)
        self.root = root
        self.entries, _ = make_chain(3)
        run_git(root, "init", "--quiet", "--initial-branch", "main")
        (root / "dvc.yaml").write_text("stages: {}\n", encoding="ascii")
        commit_paths(root, ["dvc.yaml"], "first")

    def record(self, number: int, kind: str = "deletion", note: str = "") -> str:
        """Returns the commit that records a wave."""
        (self.root / WAVE).parent.mkdir(exist_ok=True)
        (self.root / WAVE).write_text(json.dumps({"number": number, "kind": kind, "note": note}), encoding="ascii")
        (self.root / "dvc.lock").write_text(f"schema: '2.0'\nstages: {{}}\n# {number}{note}\n", encoding="ascii")
        return commit_paths(self.root, [str(WAVE), "dvc.lock"], sign(self.root, "a wave", number))

    def issue(self, count: int) -> str:
        """Returns the commit that has the first so many receipts of a chain, and its head."""
        (self.root / RECEIPT_CHAIN).parent.mkdir(exist_ok=True)
        (self.root / RECEIPT_CHAIN).write_text(write_chain(self.entries[:count]), encoding="ascii")
        return commit_paths(self.root, [str(RECEIPT_CHAIN)], "receipts")


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """A base and five waves, one of them recorded twice, and two receipts between them."""
    line = Line(tmp_path)
    line.record(0, "base")
    line.record(1)
    line.record(2)
    line.issue(2)
    line.record(2, note="again")
    line.record(3)
    line.record(4, "base")
    line.record(5)
    return line


def test_waves_that_forget_are_drawn_from_and_the_head_is_that_of_the_commit(line: Line) -> None:
    lot = read_lot(line.workspace, "HEAD")
    assert sorted(lot.commits) == [1, 2, 3, 5]
    assert lot.commit == lot.commits[5] == run_git(line.root, "rev-parse", "HEAD")
    assert run_git(line.root, "show", f"{lot.commits[2]}:{WAVE}").endswith('"again"}')
    assert lot.head == digest_entry(line.entries[1])
    line.issue(3)
    assert read_lot(line.workspace, "HEAD").head == digest_entry(line.entries[2])
    assert read_lot(line.workspace, lot.commit) == lot
    before = read_lot(line.workspace, "HEAD~6")
    assert (sorted(before.commits), before.head) == ([1, 2], begin_chain(MODEL))
    # a commit of somebody's own that has a wave's files in it records nothing
    (line.root / WAVE).write_text('{"number": 6, "kind": "deletion"}', encoding="ascii")
    commit_paths(line.root, [str(WAVE)], "mine")
    assert 6 not in list_recorded(line.root, "HEAD")


def test_where_nothing_can_be_drawn_one_line_says_why(line: Line, tmp_path: Path) -> None:
    for revision in ("--all", "nothing", "c0ffee"):
        with pytest.raises(InputError, match=f"--at {revision}: no such commit"):
            read_lot(line.workspace, revision)
    with pytest.raises(InputError, match="no wave has forgotten anybody up to commit"):
        read_lot(line.workspace, run_git(line.root, "rev-list", "--max-parents=0", "HEAD"))
    # a commit of another branch has a wave that no receipt's reader finds in this one
    run_git(line.root, "switch", "--quiet", "--create", "side")
    aside = line.record(6)
    run_git(line.root, "switch", "--quiet", "main")
    for revision in ("side", aside):
        with pytest.raises(InputError, match=f"--at {revision}: commit {aside[:12]} is not in the branch"):
            read_lot(line.workspace, revision)
    shallow = tmp_path / "shallow"
    run_git(tmp_path, "clone", "--quiet", "--depth", "2", f"file://{line.root}", str(shallow))
    with pytest.raises(InputError, match="shallow clone"):
        read_lot(Workspace(shallow, SHIPPED), "HEAD")
    shutil.rmtree(shallow)


def test_wave_of_an_earlier_release_is_not_passed_over_for_want_of_its_tag(tmp_path: Path) -> None:
    line = Line(tmp_path)
    wave = tmp_path / WAVE
    wave.parent.mkdir()
    for number in (1, 2, 4):
        wave.write_text(f'{{"number": {number}, "kind": "deletion"}}\n', encoding="ascii")
        digest = hashlib.md5(wave.read_bytes(), usedforsecurity=False).hexdigest()
        lock = {"stages": {"power": {"deps": [{"path": str(WAVE), "md5": digest}]}}}
        (tmp_path / "dvc.lock").write_text(json.dumps(lock), encoding="ascii")
        run_git(tmp_path, "add", str(WAVE), "dvc.lock")
        run_git(tmp_path, "commit", "--quiet", "--message", "a wave", "--author", "somebody <somebody@localhost>")
        run_git(tmp_path, "tag", f"wave/{number:04d}")
        line.record(3)
    # after the last wave such a commit is somebody's, who has committed what a killed wave had left
    run_git(tmp_path, "tag", "--delete", "wave/0004")
    lot = read_lot(line.workspace, "HEAD")
    assert sorted(lot.commits) == [1, 2, 3]
    draw = Draw(value=VALUE, head=lot.head, commit=lot.commit, waves=(1, 2, 3), skipped=(), wave=1)
    draw = draw.model_copy(update={"wave": rank_waves(VALUE, lot.head, MODEL, [1, 2, 3])[0]})
    assert find_draw_fault(line.workspace, draw) == ""
    run_git(tmp_path, "tag", "--delete", "wave/0002")
    words = f"commit {lot.commits[2][:12]} may be wave 2 of an earlier release, which tag wave/0002 would tell"
    with pytest.raises(InputError, match=words):
        read_lot(line.workspace, "HEAD")
    with pytest.raises(InputError, match="`git fetch --tags` brings it"):
        find_draw_fault(line.workspace, draw)


def run(
    line: Line,
    monkeypatch: pytest.MonkeyPatch,
    gone: dict[int, AmunError],
    differing: tuple[str, ...] = (),
    others: tuple[str, ...] = (),
) -> tuple[Draw, list[str], list[int]]:
    """Returns the draw, what differed, and which commits were run, where running some waves ends in an error."""
    lot, asked = read_lot(line.workspace, "HEAD"), list[int]()
    number_of = {commit: number for number, commit in lot.commits.items()}

    def reproduce(_: Path, commit: str) -> list[str]:
        asked.append(number_of[commit])
        if (error := gone.get(number_of[commit])) is not None:
            raise error
        return list(differing)

    monkeypatch.setattr(worktree, "reproduce_wave", reproduce)
    monkeypatch.setattr(worktree, "find_other_figures", lambda *_: list(others))
    monkeypatch.setattr(drawing, "refuse_cleared", lambda *_: None)
    draw, found = draw_and_run(line.workspace, VALUE, lot)
    return draw, found, asked


def test_what_is_destroyed_is_passed_over_and_told(
    line: Line, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ranked = rank_waves(VALUE, read_lot(line.workspace, "HEAD").head, MODEL, [1, 2, 3, 5])
    draw, differing, asked = run(line, monkeypatch, {}, ("metrics/audit.json",), ("the ledger's figures",))
    assert (draw.wave, draw.skipped, draw.waves, asked) == (ranked[0], (), (1, 2, 3, 5), ranked[:1])
    assert differing == ["metrics/audit.json", "the ledger's figures"]
    gone = {ranked[0]: ErasedWaveError("erased on a day"), ranked[1]: ClearedWaveError("destroyed on a day")}
    draw, differing, asked = run(line, monkeypatch, gone)
    assert (draw.wave, draw.skipped, differing, asked) == (ranked[2], tuple(ranked[:2]), [], ranked[:3])
    assert "erased on a day" in capsys.readouterr().out
    assert find_draw_fault(line.workspace, draw) == ""
    # a wave that fails for another reason is not passed over
    with pytest.raises(AmunError, match="the remote is away"):
        run(line, monkeypatch, {ranked[0]: AmunError("the remote is away")})
    with pytest.raises(AmunError, match="of 4 waves none can be run again any more"):
        run(line, monkeypatch, dict.fromkeys(ranked, ErasedWaveError("erased")))


def test_draw_that_git_does_not_give_is_told(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = run(line, monkeypatch, {})[0]
    line.issue(3)
    line.record(6)
    assert find_draw_fault(line.workspace, draw) == ""
    others = [one for one in map(str, range(99)) if rank_waves(one, draw.head, MODEL, draw.waves)[0] != draw.wave]
    head = begin_chain(MODEL)
    elsewhere = rank_waves(VALUE, head, MODEL, draw.waves)[0]
    fewer = tuple(wave for wave in draw.waves if wave != rank_waves(VALUE, draw.head, MODEL, draw.waves)[-1])
    for change, words in (
        ({"value": others[0]}, "draws wave"),
        ({"head": head, "wave": elsewhere}, "has another head"),
        ({"waves": fewer}, "has other waves"),
        ({"commit": "c0ffee" * 6 + "c0ff"}, "is not in the branch"),
    ):
        assert words in find_draw_fault(line.workspace, draw.model_copy(update=change)), change
    run_git(line.root, "reset", "--quiet", "--hard", "HEAD~4")
    assert "is not in the branch" in find_draw_fault(line.workspace, draw)
