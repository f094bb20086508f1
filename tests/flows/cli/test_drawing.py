"""`amun wave draw` and `reproduce --drawn-by`: what is typed wrongly, what is printed, what figures are compared."""

import json
import os
import shlex
from pathlib import Path

import pytest

from amun.core.keys import fingerprint, load_secret
from amun.core.paths import AUDIT_METRICS, REPORT_METRICS, WAVE
from amun.evidence.figures import AuditFigures, ReportFigures
from amun.evidence.wave import write_json
from amun.ledger import Ledger
from amun.receipts.drawing import rank_waves
from amun.receipts.entries import begin_chain
from flows.cli import main
from tasks.tools.environment import LEDGER_VARIABLE
from tasks.tools.git import commit_paths, run_git
from tasks.workspace import drawing, worktree
from tasks.workspace.recorded import sign
from tasks.workspace.workspace import open_clone
from tasks.workspace.worktree import find_other_figures
from tests.amun.ledger.helpers import MODEL, SUMMARY, add, claim_wave, complete_wave
from tests.flows.cli.test_requests import PEOPLE, ledger
from tests.readme import list_commands

__all__ = ["ledger"]


def type_wave(capsys: pytest.CaptureFixture[str], *command: str) -> tuple[int, str, str]:
    """Returns the exit code of a command, and what it printed."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["wave", *command])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def record_waves(count: int) -> str:
    """Returns the last commit of a branch that has recorded so many waves."""
    commit = ""
    for number in range(1, count + 1):
        own = {"model": MODEL, "secret_fingerprint": fingerprint(load_secret(Path()))}
        write_json(WAVE, {"number": number, "kind": "deletion", **own})
        Path("dvc.lock").write_text(f"# {number}\nstages: {{}}\n", encoding="ascii")
        commit = commit_paths(Path(), [str(WAVE), "dvc.lock"], sign(Path(), "a wave", number))
    return commit


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("reproduce",), "name a wave, or --drawn-by VALUE"),
        (("reproduce", "1", "--drawn-by", "7"), "name a wave, or --drawn-by VALUE"),
        (("reproduce", "1", "--at", "HEAD"), "--at COMMIT goes with --drawn-by alone"),
        (("reproduce", "--drawn-by", " 7"), "the value ' 7': 1 to 1000 printable characters"),
        (("draw", ""), "the value '': 1 to 1000 printable characters"),
        (("draw", "7", "--at", "elsewhere"), "--at elsewhere: no such commit"),
        (("draw", "7", "--at", "HEAD~2"), "no wave has forgotten anybody up to commit"),
    ],
)
@pytest.mark.usefixtures("ledger")
def test_what_cannot_be_drawn_is_one_line(
    command: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    record_waves(2)
    code, out, err = type_wave(capsys, *command)
    assert (code, out, err.count("\n"), words in err) == (2, "", 1, True), err


@pytest.mark.usefixtures("ledger")
def test_order_is_shown_and_the_drawn_wave_is_run_and_recorded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, ledger: Ledger
) -> None:
    commit, head = record_waves(6), begin_chain(MODEL)
    for person in PEOPLE[:6]:
        add(ledger, person)
        complete_wave(ledger, claim_wave(ledger))
    ranked = rank_waves("7", head, MODEL, range(1, 7))
    shown = json.loads(type_wave(capsys, "draw", "7", "--json")[1])
    assert shown == {"value": "7", "head": head, "commit": commit, "waves": ranked}
    draw, reproduce, check = (
        shlex.split(line.replace("VALUE", "7").replace("COMMIT", commit))[1:]
        for line in list_commands("receipts.md#a-wave-drawn-by-chance")
    )
    lines = type_wave(capsys, *draw[1:])[1].splitlines()
    assert lines[0] == f"wave {ranked[0]} of 6 waves, drawn at commit {commit[:12]}"
    assert f"where it can no longer be run again: {ranked[1]}, then {ranked[2]}, then {ranked[3]} ..." in lines

    monkeypatch.setattr(drawing, "refuse_cleared", lambda *_: None)
    for differing, code in (([], 0), (["plots/roc.csv"], 1)):
        monkeypatch.setattr(worktree, "reproduce_wave", lambda *_, found=differing: found)
        ended, out, err = type_wave(capsys, *reproduce[1:])
        assert (ended, f"drawn: wave {ranked[0]}\n" in out) == (code, True), err
        run = ledger.find_drawn(MODEL)
        assert run is not None
        assert run == ledger.find_reproduction(MODEL, ranked[0])
        assert run.draw is not None
        assert (list(run.differing), run.draw.wave, run.draw.commit) == (differing, ranked[0], commit)
    with pytest.raises(SystemExit) as checked:
        main(check)
    assert (checked.value.code or 0, "receipt" in capsys.readouterr().out) == (0, True)
    # a branch that went on draws from what it was
    run_git(Path(), "commit", "--quiet", "--allow-empty", "--message", "later")
    again = json.loads(type_wave(capsys, "draw", "7", "--at", commit, "--json")[1])
    assert again == shown


def test_figures_of_the_ledger_are_compared_with_those_in_git(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    add(ledger, "heavy")
    complete_wave(ledger, claim_wave(ledger))
    workspace = open_clone(Path())
    assert find_other_figures(workspace, 1, run_git(Path(), "rev-parse", "HEAD")) == []
    for calibration, test, other in (
        (SUMMARY.calibration, SUMMARY.test, []),
        (AuditFigures(memory_left=0.2), SUMMARY.test, [f"the ledger's figures of {AUDIT_METRICS}"]),
        (SUMMARY.calibration, ReportFigures(accuracy=0.98), [f"the ledger's figures of {REPORT_METRICS}"]),
    ):
        write_json(AUDIT_METRICS, calibration)
        write_json(REPORT_METRICS, test)
        commit = commit_paths(Path(), [str(AUDIT_METRICS), str(REPORT_METRICS)], "figures")
        assert find_other_figures(workspace, 1, commit) == other
    # a clone that has no such wave in its ledger compares nothing
    assert find_other_figures(workspace, 2, commit) == []
    assert capsys.readouterr().err == ""
    Path(os.environ[LEDGER_VARIABLE].removeprefix("sqlite:///")).write_bytes(b"damaged, and longer than a header" * 9)
    assert find_other_figures(workspace, 1, commit) == []
    assert "; the ledger's figures of wave 1 are not compared\n" in capsys.readouterr().err
