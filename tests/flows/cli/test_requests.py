"""`amun request` for people whom the data do not name so: what is told, what is recorded, how a person ends it."""

import errno
import io
import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch

from amun.core.keys import create_secret
from amun.core.paths import CALIBRATION, FORGOTTEN, PARAMS, TEST, TRAIN
from amun.evidence.wave import write_json
from amun.ledger import Demand, Ledger
from amun.ledger.drop import hash_email, hash_phone
from amun.store.samples import Samples, write_samples
from flows.cli import main
from tasks.tools.environment import LEDGER_VARIABLE
from tasks.tools.git import run_git
from tests.amun.ledger.helpers import MODEL, build_base
from tests.amun.shipped import ROOT
from tests.readme import fill_in, list_commands, read_blocks

PEOPLE = ["heavy", "person 00002", "00042", "Zoe\u0308", *(f"guest-{number}" for number in range(30))]


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """The ledger of a workspace which is the current folder, and whose model holds the people; no wave was ever run."""
    root = tmp_path / "workspace"
    root.mkdir()
    for package in ("amun", "tasks", "flows"):
        (root / package).symlink_to(ROOT / package)
    shutil.copy(ROOT / PARAMS, root)
    run_git(root, "init", "--quiet")
    run_git(root, "add", str(PARAMS))
    run_git(root, "commit", "--quiet", "--message", "no wave yet")
    create_secret(root)
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = dict(os.environ)
    os.environ[LEDGER_VARIABLE] = f"sqlite:///{tmp_path}/ledger.db"
    with Ledger.create(os.environ[LEDGER_VARIABLE]) as opened:
        build_base(opened, PEOPLE)
        yield opened
    # a command sets the variables of its tools
    os.environ.clear()
    os.environ.update(before)


class Typed:
    """A command typed in the workspace: its exit code and what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *command: str):
        with pytest.raises(SystemExit) as ended:
            main(["request", *command])
        self.exit_code = ended.value.code or 0
        self.out, self.err = capsys.readouterr()


def test_id_spelled_otherwise_is_told_and_waits(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    add, unmatched, show = (shlex.split(line)[2:] for line in list_commands("intake.md#who-matches-nobody"))
    typed = Typed(capsys, *add, "heavy")
    assert typed.exit_code == 3
    assert "nobody is called 'PERSON 00002'; is it 'person 00002'?" in typed.out
    assert "confirm R-000001" in typed.err
    assert "person 00002" not in typed.err
    assert [request.outcomes[0].state for request in ledger.list_requests()] == ["unmatched", "pending"]
    assert "is it 'person 00002'?" in Typed(capsys, *show).out
    assert "unmatched: 1, which match nobody" in Typed(capsys, *unmatched).out
    assert "unmatched: " not in Typed(capsys, "list", "--state", "pending").out

    typed = Typed(capsys, "confirm", "R-000001")
    assert (typed.exit_code, typed.err) == (0, "")
    assert "nothing_held" in typed.out
    typed = Typed(capsys, "confirm", "R-000002")
    assert (typed.exit_code, typed.err.count("\n")) == (2, 1)


def test_program_gets_the_exit_code_and_nobody_elses_name(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    typed = Typed(capsys, "add", "PERSON 00002", "--json")
    assert typed.exit_code == 3
    assert json.loads(typed.out)[0]["outcomes"][0]["state"] == "unmatched"
    shown = Typed(capsys, "show", "R-000001", "--json")
    assert "person 00002" not in typed.out + typed.err + shown.out
    assert ledger.count_status(MODEL, datetime.now(UTC)).unmatched == 1


def test_pictures_that_others_have_too_are_told(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert Typed(capsys, "add", "heavy").exit_code == 0
    shown = Typed(capsys, "show", "R-000001", "--json")
    assert json.loads(shown.out)["twins"] is None, "there is no store"
    for path, owners in ((TRAIN, ["heavy", "guest-1"]), (CALIBRATION, ["guest-2"]), (TEST, ["guest-3"])):
        rows = len(owners)
        ids = np.array([f"{owner}/1" for owner in owners])
        same = torch.ones(rows, 1, 4, 4, dtype=torch.uint8)
        write_samples(path, Samples(ids, np.array(owners), torch.zeros(rows, dtype=torch.int64), same), seal=None)
    write_json(FORGOTTEN, [])
    assert json.loads(Typed(capsys, "show", "R-000001", "--json").out)["twins"]["num_people"] == 3
    told = Typed(capsys, "show", "R-000001").out
    assert "1 sample of this person shows the very picture of 3 held under 3 other people: they are theirs and" in told
    assert "guest" not in told
    assert len(ledger.list_requests()) == 1


def test_unknown_is_closed_where_it_is_confirmed(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    typed = Typed(capsys, "add", "stranger", "heavy", "--confirm-unknown")
    assert (typed.exit_code, typed.err) == (0, "")
    assert [request.outcomes[0].state for request in ledger.list_requests()] == ["nothing_held", "pending"]


@pytest.mark.parametrize("subject", ["heavy ", " heavy", "00042\u200b", "\u200eheavy", "person\u00a000002"])
def test_blanks_and_what_nobody_sees_are_refused_as_in_files(
    subject: str, ledger: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "requests.csv"
    path.write_text(f"subject_id\n{subject}\n", encoding="utf-8")
    by_hand, by_file = Typed(capsys, "add", subject), Typed(capsys, "add", "--csv", str(path))
    assert by_hand.exit_code == by_file.exit_code == 2
    fault = by_hand.err.removeprefix("amun: ").strip()
    assert fault.startswith("subject id ")
    assert f"line 2, subject_id: {fault}" in by_file.err
    assert ledger.list_requests() == []


def test_file_of_strangers_is_not_taken_until_a_person_says_so(
    ledger: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "requests.csv"
    path.write_text("\n".join(["subject_id", "PERSON 00002", "42", *map(str, range(1000, 1020))]), encoding="utf-8")
    held = Typed(capsys, "add", "--csv", str(path))
    assert (held.exit_code, held.out) == (2, "")
    head, *near = held.err.splitlines()
    assert head.startswith(f"amun: {path}: 22 of 22 people match nobody in the data, more than intake.max_unmatched")
    assert "--confirm-unknown" in head
    assert near == [
        "nobody is called 'PERSON 00002'; is it 'person 00002'?",
        "nobody is called '42'; is it '00042'?",
    ]
    assert Typed(capsys, "add", "--csv", str(path), "--json").err.splitlines() == [head]
    assert ledger.list_requests() == []
    taken = Typed(capsys, "add", "--csv", str(path), "--confirm-unknown")
    assert (taken.exit_code, taken.err) == (0, "")
    assert "22 nothing_held" in taken.out


def test_file_with_ids_as_editors_spell_them(
    ledger: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "requests.csv"
    lines = ["Zo\u00eb,T-1", "42,T-2", '"=""00042""",T-3', "Guest-7,T-4"]
    path.write_text("\n".join(["subject_id,reference", *lines]), encoding="utf-8")
    typed = Typed(capsys, "add", "--csv", str(path))
    assert typed.exit_code == 3
    assert "3 people match nobody" in typed.err
    for asked, meant in (("42", "00042"), ('="00042"', "00042"), ("Guest-7", "guest-7")):
        assert f"nobody is called {asked!r}; is it {meant!r}" in typed.out
    states = [request.outcomes[0].state for request in ledger.list_requests()]
    assert states == ["pending", "unmatched", "unmatched", "unmatched"]
    late = ledger.count_status(MODEL, datetime.now(UTC) + timedelta(days=40))
    assert (late.overdue, late.unmatched) == (4, 3)


def test_time_and_ticket_are_given_by_hand(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    typed = Typed(capsys, "add", "heavy", "00042", "--received", "2026-01-31T09:00+01:00", "--reference", "T 1")
    assert (typed.exit_code, typed.err) == (0, "")
    assert [(request.received_at, request.reference) for request in ledger.list_requests()] == [
        (datetime(2026, 1, 31, 8, tzinfo=UTC), "T 1"),
        (datetime(2026, 1, 31, 8, tzinfo=UTC), "T 1"),
    ]
    assert "T 1" in Typed(capsys, "list").out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("heavy", "--received", "yesterday"), "--received: 'yesterday' is no date or time"),
        (("heavy", "--received", "2026-01-31T09:00"), "--received: received at 2026-01-31T09:00:00: give the time"),
        (("heavy", "--received", "3000-01-31"), "lies in the future"),
        (("heavy", "--received", ""), "--received: it is empty"),
        (("heavy", "--reference", " "), "a reference is empty"),
        (("--csv", "file.csv", "--reference", "T-1"), "in a file they are columns"),
    ],
)
def test_time_or_ticket_that_is_none(
    options: tuple[str, ...], words: str, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = Typed(capsys, "add", *options)
    assert (typed.exit_code, typed.out, typed.err.count("\n")) == (2, "", 1)
    assert words in typed.err
    assert ledger.list_requests() == []


def test_list_has_pages_and_keys_are_whole(
    ledger: Ledger, capsys: pytest.CaptureFixture[str], open_terminal: Callable[[int], None]
) -> None:
    open_terminal(50)
    long_id = "a person of a company that gives its people names longer than a line"
    Typed(capsys, "add", *PEOPLE[4:])
    assert f"{long_id}  R-000031" in Typed(capsys, "add", long_id).out
    ledger.hold_request("R-000002", "evidence", now=datetime.now(UTC))
    page = Typed(capsys, "list").out.splitlines()
    assert page[0].split() == ["request", "subject"]
    assert [row.split()[0] for row in page[1:31]] == [f"R-{number:06d}" for number in range(2, 32)]
    assert page[30] == f"R-000031  {long_id}"
    assert page[31:] == [
        "no room for received, due, model, state, wave, reason: `--columns` chooses, a wider terminal shows all",
        "1 earlier request: `--page 2` goes on there, `--all` shows all",
        "unmatched: 1, which match nobody in the data; `amun request show` says who may be meant",
    ]
    assert Typed(capsys, "list", "--page", "2").out.splitlines()[1].split()[:2] == ["R-000001", "guest-0"]
    assert len(Typed(capsys, "list", "--all").out.splitlines()) == 34
    cut = Typed(capsys, "list", "--limit", "2", "--columns", "state,request,reference", "--search", "GUEST-1")
    assert [line.split() for line in cut.out.splitlines()[:3]] == [
        ["state", "request", "reference"],
        ["pending", "R-000019"],
        ["pending", "R-000020"],
    ]
    assert "9 earlier requests" in cut.out
    asked = [json.loads(Typed(capsys, "list", "--json", *options).out) for options in ([], ["--limit", "2"])]
    assert [len(requests) for requests in asked] == [31, 2]


class FullDisk(io.StringIO):
    """A file on a disk that is full once what was written gets there."""

    def flush(self) -> None:
        if self.getvalue():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.usefixtures("ledger")
def test_full_disk_is_said_in_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", FullDisk())
    typed = Typed(capsys, "list")
    assert (typed.exit_code, typed.err) == (1, "amun: No space left on device; make room and type this again\n")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--columns", "state,due date"), "--columns: there is no column 'due date'; there are request,subject,"),
        (("--columns", "state", "--json"), "--columns: they are a table's"),
        (("--page", "2"), "--page 2: the list ends with page 1"),
        (("--all", "--limit", "5"), "--all: everything is one page"),
    ],
)
def test_list_that_cannot_be_shown(
    options: tuple[str, ...], words: str, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = Typed(capsys, "list", *options)
    assert (typed.exit_code, typed.out, typed.err.count("\n")) == (2, "", 1)
    assert words in typed.err
    assert ledger.list_requests() == []


def test_requests_wait_for_approval_where_the_parameters_say_so(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = PARAMS.read_text(encoding="utf-8")
    assert shipped.count("approvals: 0 ") == 1
    PARAMS.write_text(shipped.replace("approvals: 0 ", "approvals: 1 "), encoding="utf-8")
    assert "held" in Typed(capsys, "add", "heavy").out
    assert "it waits for approval" in Typed(capsys, "list").out
    _, _, _, _, line = list_commands("intake.md#who-is-not-known-yet-and-who-is-denied")
    approved = Typed(capsys, *shlex.split(fill_in(line, {"R-000042": "R-000001"}))[2:])
    assert (approved.exit_code, "1 of 1: Eve Miller" in approved.out) == (0, True)
    assert ledger.get_request("R-000001").outcomes[0].state == "pending"


def test_file_of_the_page_is_one(ledger: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "requests.csv"
    (text,) = read_blocks("intake.md#the-file", "csv")
    path.write_text(text, encoding="utf-8")
    assert Typed(capsys, "add", "--csv", str(path), "--confirm-unknown").exit_code == 0
    assert [(one.subject_id, one.received_at, one.reference) for one in ledger.list_requests()] == [
        ("subject-00042", datetime(2026, 1, 31, tzinfo=UTC), "TICKET-1017"),
        ("subject-00007", datetime(2026, 1, 31, 16, 45, tzinfo=UTC), None),
    ]


def test_holds_of_the_page_are_set_and_end(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    Typed(capsys, "add", "heavy")
    holds = list_commands("intake.md#a-legal-hold")
    add, *unknown, _ = list_commands("intake.md#who-is-not-known-yet-and-who-is-denied")
    states = []
    for line in (*holds, *unknown):
        assert Typed(capsys, *shlex.split(fill_in(line, {"R-000042": "R-000001"}))[2:]).exit_code == 0, line
        states.append(ledger.get_request("R-000001").outcomes[0].state)
    assert states == ["held", "pending", "held", "pending", "denied"]
    assert Typed(capsys, *shlex.split(fill_in(add, {"subject-00042": "00042"}))[2:]).exit_code == 0
    (hold,) = ledger.get_request("R-000002").holds
    assert hold.kind == "identity"


def test_list_of_drop_becomes_requests_once(ledger: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    deletion_list, table, out = (tmp_path / name for name in ("list.csv", "people.csv", "out.csv"))
    deletion_list.write_text(
        f"ID,Hash\n{'a' * 12},{hash_email('h@example.com')}\n{'b' * 12},{hash_email('n@example.com')}\n",
        encoding="ascii",
    )
    table.write_text("subject_id,email\nheavy,H@example.com\n", encoding="ascii")
    files = {"answers/20260312_4821_Email.csv": shlex.quote(str(out))}
    plain, answering = list_commands("intake.md#lists-of-californias-drop")
    own = {"20260312_4821_Email.csv": shlex.quote(str(deletion_list)), "people.csv": shlex.quote(str(table))}
    typed = Typed(capsys, *shlex.split(fill_in(plain, own))[2:])
    assert (typed.exit_code, typed.out) == (0, "2 work items: 1 new request\nanswered: 1\nleft: 1 not erased yet\n")
    (request,) = ledger.list_requests()
    assert (request.subject_id, request.law, request.reference) == ("heavy", "ccpa", f"DROP {'a' * 12}")
    again = Typed(capsys, *shlex.split(fill_in(answering, files | own))[2:])
    assert (again.exit_code, "0 new requests" in again.out) == (0, True)
    assert out.read_text(encoding="ascii") == f"Id,Status\n{'b' * 12},5\n"
    assert (out.stat().st_mode & 0o777, len(ledger.list_requests())) == (0o600, 1)
    refused = Typed(capsys, "from-drop", str(table), "--match", str(table))
    assert (refused.exit_code, refused.err.count("\n")) == (2, 1)
    assert refused.err.startswith(f"amun: {table}: line 1: the columns are subject_id, email")


def test_list_of_drop_that_asks_for_a_large_part_of_everybody_is_looked_at(
    ledger: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    deletion_list, table = tmp_path / "list.csv", tmp_path / "people.csv"
    # a company knows many more people than its model
    strangers = [f"customer-{number}" for number in range(100)]
    rows = [f"{name},{number:010d}" for number, name in enumerate([*PEOPLE, *strangers])]
    table.write_text("\n".join(["subject_id,phone", *rows]), encoding="utf-8")

    def ask(numbers: range, *options: str) -> Typed:
        items = [f"{number:012d},{hash_phone(f'{number:010d}')}" for number in numbers]
        deletion_list.write_text("\n".join(["ID,Hash", *items]), encoding="ascii")
        return Typed(capsys, "from-drop", str(deletion_list), "--match", str(table), *options)

    # nobody whom the model holds, then a few whom it does
    for numbers in (range(len(PEOPLE), len(PEOPLE) + 50), range(9)):
        assert ask(numbers).exit_code == 0
    num_before = len(ledger.list_requests())
    refused = ask(range(9, 30))
    assert (refused.exit_code, refused.err.count("\n"), len(ledger.list_requests())) == (2, 1, num_before)
    assert f"{deletion_list}: it asks to forget 21 of the {len(PEOPLE)} people whom the models hold" in refused.err
    # who is asked for already is not counted again
    assert ask(range(18)).exit_code == 0
    assert ask(range(30), "--confirm-many").exit_code == 0
    assert len(ledger.list_requests()) == num_before + 21


def test_request_waits_for_the_identity_or_is_denied(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert "held" in Typed(capsys, "add", "heavy", "00042", "--unverified").out
    assert "not verified" in Typed(capsys, "show", "R-000001").out
    assert Typed(capsys, "release", "R-000001").exit_code == 0
    assert Typed(capsys, "hold", "R-000001", "--identity", "--reason", "asked for a passport").exit_code == 0
    assert ledger.get_request("R-000001").holds[-1].kind == "identity"
    denied = Typed(capsys, "deny", "R-000002", "--reason", "the passport is of somebody else")
    assert (denied.exit_code, denied.err) == (0, "")
    assert denied.out.rstrip().endswith(": the passport is of somebody else")
    listed = Typed(capsys, "list", "--state", "denied").out
    assert ("R-000002" in listed, "R-000001" in listed) == (True, False)
    assert "is denied for" in Typed(capsys, "deny", "R-000002", "--reason", "again").err


def test_due_date_that_is_shown_moves_on_with_a_clock_that_stands_still(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    asked_at = datetime.now(UTC) - timedelta(days=100)
    (added,) = ledger.add_demands([Demand("heavy", is_verified=False)], now=asked_at)
    due_at = added.due_at + timedelta(days=100)
    shown = (
        json.loads(Typed(capsys, "show", "R-000001", "--json").out),
        *json.loads(Typed(capsys, "list", "--json").out),
    )
    assert all(abs(datetime.fromisoformat(one["due_at"]) - due_at) < timedelta(hours=1) for one in shown)
    assert ledger.get_request("R-000001").due_at == added.due_at
    changed = Typed(capsys, "extend", "R-000001", "--reason", "why", "--json").out
    assert datetime.fromisoformat(json.loads(changed)["due_at"]) > due_at


def test_request_runs_by_the_clock_of_its_law(
    ledger: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert Typed(capsys, "add", "heavy", "--received", "2026-01-31", "--law", "CCPA").exit_code == 0
    assert ledger.get_request("R-000001").due_at == datetime(2026, 3, 17, tzinfo=UTC)
    assert "2026-03-17: 45 days, Cal. Civ. Code 1798.130" in Typed(capsys, "show", "R-000001").out
    typed = Typed(capsys, "add", "00042", "--law", "lgpd")
    assert (typed.exit_code, typed.err) == (
        2,
        "amun: --law: 'lgpd' is no law whose clock is known; there are gdpr, ccpa\n",
    )
    file = tmp_path / "requests.csv"
    file.write_text("subject_id,law\n00042,ccpa\nguest-1,\n", encoding="utf-8")
    assert "in a file they are columns" in Typed(capsys, "add", "--csv", str(file), "--law", "ccpa").err
    assert Typed(capsys, "add", "--csv", str(file)).exit_code == 0
    assert [request.law for request in ledger.list_requests()] == ["ccpa", "ccpa", "gdpr"]
    extended = Typed(capsys, "extend", "R-000003", "--reason", "images under many names")
    assert (extended.exit_code, extended.err) == (0, "")
    assert "extended by two months to three, GDPR article 12(3)" in extended.out
    assert "due " in extended.out
    assert extended.out.rstrip().endswith(" before: images under many names")
    assert Typed(capsys, "extend", "R-000003", "--reason", "again").exit_code == 2
    before = ledger.get_request("R-000003").extension
    assert before is not None
    listed = {line.split()[0]: line.split() for line in Typed(capsys, "list").out.splitlines() if line[:2] == "R-"}
    assert {name: "ccpa" in cells for name, cells in listed.items()} == {
        "R-000001": True,
        "R-000002": True,
        "R-000003": False,
    }
    due = f"{before.due_before:%Y-%m-%d}"
    assert [name for name, cells in listed.items() if due in cells] == ["R-000003"]
