"""`amun receipt` where people are erased: issued, handed over, verified elsewhere, emptied in the end."""

import json
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from amun.core.errors import AmunError, InputError
from amun.core.paths import KEYS, PARAMS, RECEIPT_CHAIN, RECEIPT_KEY
from amun.evidence.receipt import LeftFiles, Reproduction, SignedReceipt, Term
from amun.ledger import Ledger
from amun.receipts.chain import find_break, parse_chain
from amun.receipts.statement import name_subject
from amun.vault.vault import Vault, open_vault
from flows.cli import main
from flows.findings import JUDGES, find_all, judge_receipts
from flows.setup import tell_missing_signing_key
from tasks.tools.git import list_changes, run_git
from tasks.tools.registry_left import LeftFile
from tasks.workspace import erasing, left_weights
from tasks.workspace.faults import OF_CONTENT
from tasks.workspace.receipt_check import check_receipts, find_chain_faults
from tasks.workspace.receipts import Kept, keep_receipts
from tasks.workspace.workspace import Workspace, open_workspace
from tests.amun.ledger.helpers import MODEL, add, claim_wave
from tests.amun.receipts.bodies import DRAW
from tests.amun.shipped import ROOT
from tests.api import Served, serve_api
from tests.die import wrap
from tests.flows.cli.test_erase import forget, vault
from tests.flows.cli.test_requests import PEOPLE, ledger
from tests.readme import list_commands

__all__ = ["ledger", "vault"]

CHAIN = str(RECEIPT_CHAIN)
RETENTION = timedelta(days=1095)
# kills before and after each step of issuing
ISSUING = [
    "tasks.workspace.erasing:draft_receipts",
    "amun.ledger.receipts:ReceiptBook.draft_receipts",
    "tasks.workspace.erasing:keep_receipts",
    "tasks.workspace.receipts:provide_signing_key",
    "amun.vault.key_store:KeyStore.add_keys",
    "amun.ledger.receipts:ReceiptBook.add_receipt",
    "tasks.workspace.receipt_chain:_commit",
    "tasks.workspace.receipt_chain:commit_paths",
    "amun.ledger.receipts:ReceiptBook.record_committed",
]
DESTROYING = [
    "tasks.workspace.receipts:destroy_named_keys",
    "tasks.workspace.receipts:rotate_kek",
    "amun.ledger.receipts:ReceiptBook.empty_receipts",
]


@pytest.fixture
def workspace(ledger: Ledger) -> Workspace:
    """The workspace in the current folder; git ignores what it ignores in any clone."""
    assert ledger.name
    shutil.copy(ROOT / ".gitignore", Path())
    run_git(Path(), "add", ".gitignore", str(PARAMS))
    run_git(Path(), "commit", "--quiet", "--message", "ignored")
    return open_workspace(Path())


def type_receipt(capsys: pytest.CaptureFixture[str], *command: object) -> tuple[int, str, str]:
    """Returns the exit code of a command, and what it printed."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["receipt", *map(str, command)])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def erase(ledger: Ledger, *people: str) -> list[str]:
    """Returns the requests under which these people are erased, each with its receipt."""
    requests = forget(ledger, *people)
    done = erasing.erase(open_workspace(Path()))
    assert (len(done.erased), done.unissued, done.receipts.unsent) == (len(people), "", "")
    return requests


def list_issued(ledger: Ledger) -> list[str]:
    """Returns the requests of the receipts, in the order of the chain, which is whole in ledger and git."""
    receipts = ledger.list_receipts(MODEL)
    entries = [receipt.entry for receipt in receipts]
    assert find_break(entries, MODEL) == ""
    assert parse_chain(run_git(Path(), "show", f"HEAD:{CHAIN}"), CHAIN) == entries
    assert all(receipt.commit for receipt in receipts)
    assert CHAIN not in list_changes(Path())
    return [receipt.request_id for receipt in receipts]


def hand_over(capsys: pytest.CaptureFixture[str], request: str, folder: Path) -> tuple[Path, Path, Path]:
    """Returns the files that somebody has who is not here: a receipt, the public keys, the chain."""
    folder.mkdir()
    files = folder / "receipt.json", folder / "keys.pem", folder / "chain.jsonl"
    assert type_receipt(capsys, "export", request, "--to", files[0])[0] == 0
    assert type_receipt(capsys, "key", "--to", files[1])[0] == 0
    shutil.copy(RECEIPT_CHAIN, files[2])
    return files


@pytest.mark.usefixtures("workspace")
def test_commands_of_the_page_hand_a_receipt_over(
    ledger: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert erase(ledger, "heavy") == ["R-000001"]
    said = {}
    for line in list_commands("receipts.md#receipts-of-erasure")[:6]:
        typed = line.replace("/tmp/", f"{tmp_path}/").replace(" ID", " heavy")  # noqa: S108 - the page's
        verb, *options = shlex.split(typed)[2:]
        code, said[verb], err = type_receipt(capsys, verb, *options)
        assert (code, err) == (0, ""), line
    assert list(said) == ["list", "show", "export", "key", "verify", "check"]
    assert said["verify"].endswith(", number 1, in the chain of 1, which is whole, about the person named\n")
    assert (tmp_path / "R-000001.json").exists()


def test_receipt_tells_what_was_held_and_what_was_destroyed(
    ledger: Ledger, workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # the commits of the waves are made up, so that nobody can tell what a real file has learned
    left = left_weights.LeftWeights(unknown=(LeftFile("mlruns/1/artifacts", "data/model.pt2", None, ""),))
    monkeypatch.setattr(left_weights, "find_left_weights", lambda *_: left)
    reproduced = Reproduction(finished_at=datetime.now(UTC), differing=(), software="0.2.0")
    requests = forget(ledger, "heavy", "Zo\u00eb")
    ledger.record_reproduction(MODEL, 1, reproduced)
    ledger.extend_request(requests[1], "as her brother has it", now=ledger.get_request(requests[1]).received_at)
    erasing.erase(workspace)
    text = type_receipt(capsys, "show", requests[1], "--json")[1]
    assert "brother" not in text
    receipt = SignedReceipt.model_validate_json(text)
    body, request = receipt.body, ledger.get_request(requests[1])
    assert (body.request, body.model, body.received_at, body.due_at) == (
        requests[1],
        MODEL,
        request.received_at,
        request.due_at,
    )
    put_off = request.extension
    assert put_off is not None
    assert body.term == Term(law="gdpr", extended_at=put_off.extended_at, due_before=put_off.due_before)
    told = f", gdpr, put off on {put_off.extended_at:%Y-%m-%d} from {put_off.due_before:%Y-%m-%d}"
    assert told in type_receipt(capsys, "show", requests[1])[1]
    plain = SignedReceipt.model_validate_json(type_receipt(capsys, "show", requests[0], "--json")[1])
    assert plain.body.term == Term(law="gdpr")
    assert body.subject == name_subject(receipt.nonce, "Zoe\u0308")
    assert (body.held.num_train, body.held.num_held_out, body.held.num_unread_files) == (2, 1, 0)
    assert {(one.kind, one.num_samples, one.num_files) for one in body.held.in_files} == {
        ("training sample", 2, 1),
        ("held-out sample", 4, 2),
    }
    (erasure,) = (outcome.erasure for outcome in request.outcomes)
    assert erasure is not None
    assert (body.destroyed.begun_at, body.destroyed.erased_at) == (erasure.started_at, erasure.erased_at)
    assert (body.destroyed.keys_destroyed_at, body.destroyed.num_keys) == (erasure.keys_destroyed_at, 1)
    assert (body.forgotten.wave, body.forgotten.tag, body.forgotten.commit) == (1, "wave/0001", "c0ffee")
    assert (body.forgotten.method, body.forgotten.test.accuracy) == ("retrain", 0.97)
    assert (body.reproduction, body.software.version) == (reproduced, "0.2.0")
    assert body.software.commit == run_git(Path(), "rev-parse", "HEAD~1")
    assert any("no proof" in limit for limit in body.limits)
    assert any("trained anew" in limit for limit in body.limits)
    assert body.destroyed.left_files == LeftFiles(num_erased=0, num_unknown=1)
    assert any("MLflow had 1 file of weights of no version" in limit for limit in body.limits)
    shown = type_receipt(capsys, "show", requests[1])[1]
    for words in (f"receipt of {requests[1]}", "wave 1, version 7", "what it does not show", "number 2"):
        assert words in shown
    listed = json.loads(type_receipt(capsys, "list", "--json")[1])
    assert [(one["request_id"], one["has_body"]) for one in listed] == [(name, True) for name in requests]
    table = type_receipt(capsys, "list", "--columns", "number,request,body")[1].splitlines()
    assert [line.split()[:3] for line in table[1:3]] == [["1", requests[0], "until"], ["2", requests[1], "until"]]


def test_drawn_wave_stands_in_the_receipt_and_whoever_verifies_it_draws_again(
    ledger: Ledger, workspace: Workspace, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (request,) = forget(ledger, "heavy")
    head = run_git(Path(), "rev-parse", "HEAD")
    drawn = Reproduction(
        finished_at=datetime.now(UTC), differing=(), software="0.2.0", draw=DRAW.model_copy(update={"commit": head})
    )
    ledger.record_reproduction(MODEL, 1, drawn)
    plain = Reproduction(finished_at=datetime.now(UTC), differing=("plots/roc.csv",), software="0.2.0")
    ledger.record_reproduction(MODEL, 1, plain)
    erasing.erase(workspace)
    body = SignedReceipt.model_validate_json(type_receipt(capsys, "show", request, "--json")[1]).body
    assert (body.reproduction, body.drawn) == (plain, drawn)
    shown = type_receipt(capsys, "show", request)[1]
    assert "other bytes in plots/roc.csv" in shown
    assert "same bytes; wave 4 was drawn by 'round 4711'" in shown
    receipt, keys, chain = hand_over(capsys, request, tmp_path / "elsewhere")
    code, out, _ = type_receipt(capsys, "verify", receipt, "--public-key", keys, "--chain", chain)
    assert (code, out.endswith(", wave 4 drawn by 'round 4711'\n")) == (0, True)
    # this branch has recorded no wave
    code, out, _ = type_receipt(capsys, "check")
    assert code == 1
    assert f"the receipt of {request}: commit {head[:12]} has other waves than the draw says" in out


def test_receipt_of_a_draw_that_nobody_else_comes_to_is_refused(
    ledger: Ledger, workspace: Workspace, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (request,) = forget(ledger, "heavy")
    false = DRAW.model_copy(update={"wave": 3})
    ledger.record_reproduction(
        MODEL, 1, Reproduction(finished_at=datetime.now(UTC), differing=(), software="0.2.0", draw=false)
    )
    erasing.erase(workspace)
    receipt, keys, _ = hand_over(capsys, request, tmp_path / "elsewhere")
    code, out, err = type_receipt(capsys, "verify", receipt, "--public-key", keys)
    assert (code, out) == (1, "")
    assert err == f"amun: {receipt}: the value 'round 4711' draws wave 4, and wave 3 was run again\n"
    code, out, _ = type_receipt(capsys, "check")
    assert (code, "draws wave 4, and wave 3 was run again" in out) == (1, True)


def test_git_has_commitments_alone_and_the_ledger_nothing_to_read(
    ledger: Ledger, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    (request,) = erase(ledger, "heavy")
    receipt = SignedReceipt.model_validate_json(type_receipt(capsys, "show", request, "--json")[1])
    secrets = ("heavy", request, receipt.nonce, receipt.body.subject, receipt.body.limits[0])
    committed = run_git(workspace.root, "log", "--patch", "--format=%B", "--", CHAIN)
    assert [secret for secret in secrets if secret in committed] == []
    assert receipt.entry.commitment in committed
    stored = b"".join(path.read_bytes() for path in Path().parent.resolve().parent.glob("ledger.db*"))
    assert [secret for secret in secrets[2:] if secret.encode() in stored] == []
    assert receipt.entry.commitment.encode() in stored


def test_receipt_is_verified_where_there_is_nothing_else(
    ledger: Ledger, workspace: Workspace, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    first, second = erase(ledger, "heavy", "00042")
    receipt, keys, chain = hand_over(capsys, second, tmp_path / "elsewhere")
    assert receipt.stat().st_mode & 0o777 == 0o600
    program = (
        "import atexit, sys\n"
        "heavy = {'torch', 'prefect', 'mlflow', 'dvc'}\n"
        "atexit.register(lambda: print(sorted(heavy & set(sys.modules))))\n"
        "from flows.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    options = ["--public-key", keys.name, "--chain", chain.name, "--subject", "00042"]
    finished = subprocess.run(
        [sys.executable, "-c", program, "receipt", "verify", receipt.name, *options],
        cwd=receipt.parent,
        env={"PYTHONPATH": str(ROOT)},  # no git on its path
        capture_output=True,
        text=True,
        check=True,
    )
    line, imported = finished.stdout.splitlines()
    assert (finished.stderr, imported) == ("", "[]")
    assert line.startswith(f"{second} of {MODEL}, erased on {datetime.now(UTC):%Y-%m-%d}: signed by the key ")
    assert line.endswith(", number 2, in the chain of 2, which is whole, about the person named")
    assert type_receipt(capsys, "export", first, "--to", receipt)[0] == 2
    assert "git would keep it" in type_receipt(capsys, "export", first, "--to", "receipt.json")[2]
    assert workspace.root.exists()


@pytest.mark.usefixtures("workspace")
def test_what_is_wrong_with_a_receipt_is_one_line_and_exit_code_1(
    ledger: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _, request = erase(ledger, "heavy", "00042")
    receipt, keys, chain = hand_over(capsys, request, tmp_path / "elsewhere")
    lines = chain.read_text(encoding="ascii").splitlines(keepends=True)
    verify = "verify", receipt, "--public-key", keys
    changed = tmp_path / "changed.json"
    changed.write_text(receipt.read_text(encoding="utf-8").replace('"num_keys": 1', '"num_keys": 2'), encoding="utf-8")
    broken = tmp_path / "broken.jsonl"
    broken.write_text("".join(reversed(lines)), encoding="ascii")
    short = tmp_path / "short.jsonl"
    short.write_text(lines[0], encoding="ascii")
    assert type_receipt(capsys, "key", "--new", "--to", tmp_path / "new.pem")[0] == 0
    other = tmp_path / "other.pem"
    # the one that signs now alone
    other.write_text((tmp_path / "new.pem").read_text(encoding="ascii")[-113:], encoding="ascii")
    for command, code, words in (
        (("verify", changed, "--public-key", keys), 1, "was changed"),
        ((*verify, "--chain", broken), 1, "the chain is broken"),
        ((*verify, "--chain", short), 1, "the chain ends with 1"),
        ((*verify, "--subject", "heavy"), 1, "somebody else"),
        (("verify", receipt, "--public-key", other), 1, "none of the public keys given"),
        (("verify", keys, "--public-key", keys), 1, "is damaged"),
        (("verify", tmp_path / "nothing", "--public-key", keys), 2, "cannot be read: No such file"),
        (("verify", receipt, "--public-key", receipt), 2, "has no public key"),
    ):
        ended, out, err = type_receipt(capsys, *command)
        assert (ended, out, err.count("\n"), words in err) == (code, "", 1, True), err
    assert type_receipt(capsys, "verify", receipt, "--public-key", tmp_path / "new.pem", "--chain", chain)[0] == 0


def test_receipts_of_an_earlier_key_are_verified_for_ever(
    ledger: Ledger, workspace: Workspace, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (old,) = erase(ledger, "heavy")
    key = RECEIPT_KEY.read_bytes()
    assert type_receipt(capsys, "key", "--new")[1].count("BEGIN PUBLIC KEY") == 2
    assert RECEIPT_KEY.read_bytes() != key
    (new,) = erase(ledger, "00042")
    assert list_issued(ledger) == [old, new]
    for number, request in enumerate((old, new)):
        receipt, keys, chain = hand_over(capsys, request, tmp_path / str(number))
        assert type_receipt(capsys, "verify", receipt, "--public-key", keys, "--chain", chain)[0] == 0
    assert check_receipts(workspace).faults == []


def test_missing_key_keeps_nobody_from_being_erased(
    ledger: Ledger, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    (first,) = erase(ledger, "heavy")
    assert tell_missing_signing_key(workspace) == ""
    keys = type_receipt(capsys, "key")[1]
    RECEIPT_KEY.rename("elsewhere")
    assert type_receipt(capsys, "key")[:2] == (0, keys)
    assert tell_missing_signing_key(workspace).startswith("AMUN_RECEIPT_KEY: there is no key at ")
    (second,) = forget(ledger, "00042")
    (erased, warning) = erasing.erase_due(workspace)
    assert erased == "erased: 1 request, and the key-encryption key was changed"
    assert warning.startswith("warning: receipts are not finished: AMUN_RECEIPT_KEY: there is no key at ")
    with pytest.raises(SystemExit) as ended:
        main(["erase", "run"])
    assert ended.value.code == 1
    assert "then type this again" in capsys.readouterr().out
    code, out, _ = type_receipt(capsys, "check")
    assert (code, f"{second} is erased and has no receipt yet" in out, "there is no key at" in out) == (1, True, True)
    assert type_receipt(capsys, "show", second)[2] == (
        f"amun: {second} has no receipt: `amun erase run` issues it, unless the person was erased by a release that "
        "issued none\n"
    )
    Path("elsewhere").rename(RECEIPT_KEY)
    assert erasing.erase_due(workspace) == []
    assert list_issued(ledger) == [first, second]
    assert type_receipt(capsys, "check")[:2] == (
        0,
        "2 receipts in the chain; the bodies of 2 are kept\nnothing is wrong\n",
    )


def test_whoever_is_not_erased_has_no_receipt(
    ledger: Ledger, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    (waiting,) = forget(ledger, "heavy", days=7)
    (pending,) = add(ledger, "00042")
    assert workspace.model == MODEL
    for request, words in (
        (waiting, "the person is not erased"),
        (pending, "nobody is erased under it"),
        ("R-000099", "no request R-000099"),
        ("heavy", "is no request"),
    ):
        code, out, err = type_receipt(capsys, "show", request)
        assert (code, out, err.count("\n"), words in err) == (2, "", 1, True)
    assert type_receipt(capsys, "list")[0] == 0
    assert type_receipt(capsys, "check")[:2] == (
        0,
        "0 receipts in the chain; the bodies of 0 are kept\nnothing is wrong\n",
    )


def test_whoever_was_erased_by_an_earlier_release_gets_none(
    ledger: Ledger, workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(erasing, "draft_receipts", lambda *_: None)
        forget(ledger, "heavy")
        erasing.erase(workspace)
    (request,) = erase(ledger, "00042")
    assert list_issued(ledger) == [request]
    assert "1 person was erased by a release that issued no receipts" in type_receipt(capsys, "check")[1]


def test_whose_keys_were_destroyed_before_anybody_counted_gets_one_that_says_so(
    ledger: Ledger, workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AmunError("as an earlier release was killed")

    (request,) = forget(ledger, "Zo\u00eb")
    with monkeypatch.context() as patch:
        patch.setattr(erasing, "draft_receipts", lambda *_: None)
        patch.setattr(erasing, "_find_places", fail)
        with pytest.raises(AmunError, match="killed"):
            erasing.erase(workspace)
    erasing.erase(workspace)
    body = SignedReceipt.model_validate_json(type_receipt(capsys, "show", request, "--json")[1]).body
    assert body.destroyed.num_keys is None
    assert {(one.kind, one.num_samples) for one in body.held.in_files} == {
        ("training sample", 2),
        ("held-out sample", 4),
    }


def kill_at(moment: str, step: str, call: Callable[[], object]) -> None:
    """Calls in a process that dies at this point."""
    if not (child := os.fork()):
        wrap(step, moment)
        call()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, f"{moment} {step}"


def test_killed_anywhere_each_receipt_is_issued_once(ledger: Ledger, workspace: Workspace, vault: Vault) -> None:
    people = [name for name in PEOPLE if name.startswith("guest")]
    sys.stdout.flush()
    requests, start = list[str](), run_git(Path(), "rev-parse", "HEAD")
    for step in ISSUING:
        for moment in ("before", "after"):
            if step.endswith("provide_signing_key"):
                _start_anew(ledger, start)
                requests = []
            requests += forget(ledger, people.pop())
            kill_at(moment, step, lambda: erasing.erase(open_workspace(Path())))
            before = [receipt.entry for receipt in ledger.list_receipts(MODEL)]
            done = erasing.erase(workspace)
            assert (done.unissued, done.receipts.unsent) == ("", ""), f"{moment} {step}"
            assert list_issued(ledger) == requests
            assert [receipt.entry for receipt in ledger.list_receipts(MODEL)][: len(before)] == before
            assert ledger.list_drafted(MODEL) == []
            assert check_receipts(workspace).faults == []
            with vault.store.read() as run:
                assert run("SELECT count(*) FROM subject_key WHERE subject LIKE 'receipt/%'") == [(len(requests),)]


def _start_anew(ledger: Ledger, start: str) -> None:
    """Takes away all receipts and the key, as it was before the first one."""
    RECEIPT_KEY.unlink()
    run_git(Path(), "reset", "--quiet", "--hard", start)
    with ledger._write() as session:
        session.connection().exec_driver_sql("DELETE FROM receipts")
    with open_vault().store.write() as run:
        run("DELETE FROM subject_key WHERE subject LIKE 'receipt/%'")


def assert_handed_out(served: Served, request: str, text: str) -> None:
    """Checks that whoever asks over HTTP gets the receipt as it is exported, and no name."""
    status, answer = served.client.get(f"/requests/{request}"), served.client.get(f"/requests/{request}/receipt")
    assert (answer.status_code, answer.headers["Content-Type"], answer.text) == (200, "application/json", text)
    assert status.json()["has_receipt"] is True
    assert status.json()["outcomes"][0]["erased_at"] is not None
    assert not [name for name in PEOPLE if name in answer.text + status.text]


def test_body_is_gone_when_its_retention_ends_and_the_chain_stays(
    ledger: Ledger, workspace: Workspace, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    requests = erase(ledger, "heavy", "00042")
    receipt, keys, _ = hand_over(capsys, requests[0], tmp_path / "elsewhere")
    shutil.copy(KEYS, tmp_path / "keys.db")
    now = datetime.now(UTC)
    assert keep_receipts(workspace, now + RETENTION - timedelta(minutes=1)) == Kept()
    assert type_receipt(capsys, "show", requests[0])[0] == 0
    commits = run_git(Path(), "rev-list", "--count", "HEAD")
    with serve_api(workspace, ledger) as served:
        assert_handed_out(served, requests[0], receipt.read_text(encoding="utf-8"))
        kept = keep_receipts(workspace, now + RETENTION)
        gone = served.client.get(f"/requests/{requests[0]}/receipt")
        assert (gone.status_code, gone.json()["code"]) == (410, "receipt-destroyed")
        assert served.client.get(f"/requests/{requests[0]}").json()["has_receipt"] is False
    assert erasing.tell_kept(kept) == [
        "destroyed: what 2 receipts said, 2 fingerprints, and the key-encryption key was changed"
    ]
    assert run_git(Path(), "rev-list", "--count", "HEAD") == commits
    for command in (("show", requests[0]), ("export", requests[0], "--to", tmp_path / "again.json")):
        code, out, err = type_receipt(capsys, *command)
        assert (code, out, "as receipts.retention_days has it" in err) == (2, "", True)
    assert list_issued(ledger) == requests
    assert ledger.read_sealed(MODEL, requests[0]) is None
    assert type_receipt(capsys, "check")[:2] == (
        0,
        "2 receipts in the chain; the bodies of 0 are kept\nnothing is wrong\n",
    )
    assert "destroyed" in type_receipt(capsys, "list", "--columns", "body")[1]
    # a backup of the key store opens no more
    shutil.copy(tmp_path / "keys.db", KEYS)
    with pytest.raises(InputError, match="the subjects' keys lie under"):
        open_vault().check()
    # who has the receipt goes on having it
    assert type_receipt(capsys, "verify", receipt, "--public-key", keys, "--chain", RECEIPT_CHAIN)[0] == 0


def test_killed_while_bodies_are_destroyed_the_next_call_ends_it(
    ledger: Ledger, workspace: Workspace, vault: Vault
) -> None:
    people = [name for name in PEOPLE if name.startswith("guest")]
    now = datetime.now(UTC) + RETENTION + timedelta(days=1)
    sys.stdout.flush()
    for step in DESTROYING:
        for moment in ("before", "after"):
            (request,) = erase(ledger, people.pop())
            kill_at(moment, step, lambda: keep_receipts(open_workspace(Path()), now))
            assert keep_receipts(workspace, now).unsent == ""
            assert ledger.read_sealed(MODEL, request) is None
            assert not open_vault().describe().is_rotating
            assert check_receipts(workspace).faults == []
            with vault.store.read() as run:
                assert run("SELECT count(*) FROM subject_key WHERE subject LIKE 'receipt/%'") == [(0,)]


def test_work_tree_that_is_changed_elsewhere_does_not_matter(ledger: Ledger, workspace: Workspace) -> None:
    Path("new").write_text("mine", encoding="ascii")
    run_git(Path(), "add", "new")
    PARAMS.write_text(PARAMS.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    RECEIPT_CHAIN.parent.mkdir()
    RECEIPT_CHAIN.write_text("what a killed run has left", encoding="ascii")
    (request,) = erase(ledger, "heavy")
    assert list_issued(ledger) == [request]
    assert {"new", str(PARAMS)} <= set(list_changes(workspace.root))
    assert run_git(Path(), "show", "--format=", "--name-only", "HEAD") == CHAIN
    # asked again nothing is committed
    head = run_git(Path(), "rev-parse", "HEAD")
    assert erasing.erase_due(workspace) == []
    assert run_git(Path(), "rev-parse", "HEAD") == head


def commit_chain(text: str, *options: str) -> None:
    RECEIPT_CHAIN.write_text(text, encoding="ascii")
    run_git(Path(), "commit", "--quiet", "--message", "changed", *options, "--", CHAIN)


@pytest.mark.parametrize("change", ["drop the first", "drop the last", "reorder", "repeat", "another", "all"])
def test_chain_that_is_changed_in_git_is_noticed(
    change: str, ledger: Ledger, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    erase(ledger, "heavy", "00042")
    lines = RECEIPT_CHAIN.read_text(encoding="ascii").splitlines(keepends=True)
    changed = {
        "drop the first": lines[1:],
        "drop the last": lines[:1],
        "reorder": [lines[1], lines[0]],
        "repeat": [*lines, lines[1]],
        "another": [lines[0], lines[1].replace("0", "1", 1)],
        "all": [],
    }
    commit_chain("".join(changed[change]))
    code, out, _ = type_receipt(capsys, "check")
    assert (code, "wrong: " in out) == (1, True)
    assert {finding.exit_code for finding in find_all(workspace, (judge_receipts,))} == {1}
    # who is due is erased all the same; and what was taken out is not put back without a word
    forget(ledger, "guest-1")
    done = erasing.erase(workspace)
    assert len(done.erased) == 1
    is_prefix = change in ("drop the last", "all")
    assert (done.unissued == "") is is_prefix
    assert check_receipts(workspace).faults != []
    commit_chain("".join(lines))
    assert any("has taken lines out" in fault.what for fault in check_receipts(workspace).faults)


def test_history_that_is_rewritten_is_noticed(ledger: Ledger, workspace: Workspace) -> None:
    erase(ledger, "heavy")
    run_git(Path(), "commit", "--quiet", "--amend", "--message", "as if it were another")
    erase(ledger, "00042")
    (fault,) = find_chain_faults(workspace)
    assert "which has brought receipt 1 into git, is not in the branch" in fault.what


def test_ledger_from_a_backup_makes_no_second_end(ledger: Ledger, workspace: Workspace, tmp_path: Path) -> None:
    (first,) = erase(ledger, "heavy")
    (request,) = forget(ledger, "00042")
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as own, closing(sqlite3.connect(tmp_path / "old")) as copy:
        own.backup(copy)
    erasing.erase(workspace)
    assert list_issued(ledger) == [first, request]
    ledger.close()
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"ledger.db{suffix}").unlink(missing_ok=True)
    shutil.copy(tmp_path / "old", tmp_path / "ledger.db")
    done = erasing.erase(workspace)
    assert f"{CHAIN} at HEAD has receipt 2, which the ledger does not know" in done.unissued
    assert [receipt.request_id for receipt in ledger.list_receipts(MODEL)] == [first]


def test_body_that_is_damaged_or_lost_is_noticed(
    ledger: Ledger, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = erase(ledger, "heavy", "00042")
    with ledger._write() as session:
        connection = session.connection()
        # the body of one in the place of the other's, under its own key
        connection.exec_driver_sql(
            "UPDATE receipts SET sealed = (SELECT sealed FROM receipts WHERE number = 2) WHERE number = 1"
        )
    assert "does not open under its key" in type_receipt(capsys, "show", first)[2]
    (fault,) = check_receipts(workspace).faults
    assert "does not open" in fault.what
    with ledger._write() as session:
        session.connection().exec_driver_sql("UPDATE receipts SET sealed = NULL WHERE number = 1")
    (fault,) = check_receipts(workspace).faults
    assert f"the receipt of {first} has lost what it said" in fault.what
    assert type_receipt(capsys, "show", first)[::2] == (
        1,
        f"amun: the receipt of {first}: the ledger has lost what it said; bring the ledger back from your backup\n",
    )
    with open_vault().store.write() as run:
        run("DELETE FROM subject_key WHERE subject LIKE 'receipt/%'")
    assert "the key store has no key of it" in type_receipt(capsys, "show", second)[2]
    assert judge_receipts in JUDGES
    (check,) = (check for check in OF_CONTENT if check.about == "receipts")
    assert "the key store has no key of it" in [*check.find(workspace)][-1].what


def test_whoever_is_at_a_wave_is_not_disturbed(ledger: Ledger, workspace: Workspace) -> None:
    requests = forget(ledger, "heavy")
    add(ledger, "guest-1")
    claim = claim_wave(ledger, now=datetime.now(UTC))
    head = run_git(Path(), "rev-parse", "HEAD")
    assert erasing.erase_due(workspace) == [
        "erased: 1 request, and the key-encryption key was changed",
        "1 receipt is not in git yet, for wave 2 is being run by elsewhere",
    ]
    assert run_git(Path(), "rev-parse", "HEAD") == head
    # whoever was at it is gone, and the wave is open: what is committed goes with it
    ledger.renew_lease(claim, datetime.now(UTC), 0)
    assert erasing.erase_due(workspace) == ["1 receipt is committed, and not sent before wave 2 is"]
    assert check_receipts(workspace).faults == []
    assert [receipt.commit for receipt in ledger.list_receipts(MODEL)] == [None]
    with ledger._write() as session:
        session.connection().exec_driver_sql("UPDATE waves SET state = 'parked' WHERE number = 2")
    assert erasing.erase_due(workspace) == []
    assert list_issued(ledger) == requests
