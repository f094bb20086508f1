"""A month of nights in fast motion: its clock, what is drawn, what was due, and three nights of it."""

import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from os import environ
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch

from amun.core.errors import AmunError
from amun.core.paths import KEYS, LEDGER
from amun.store.samples import Samples
from bench.month import faults
from bench.month.clock import Clock
from bench.month.days import Month
from bench.month.due import Alert, Moment, compute_due, list_due, may_be_told_again
from bench.month.figures import list_rows, read_figures
from bench.month.judge import judge_requests
from bench.month.kept import Kept, Look, Times, find_pictures, find_untimely
from bench.month.plan import FAULTS, MIN_NIGHTS_APART, Ask, Fault, draw_month
from bench.month.told import Receivers, receive
from bench.month.ways import Asked, Desk
from tasks.tools.alert_command import CommandChannel
from tasks.tools.mail import MailChannel
from tasks.tools.message import Message, Told
from tasks.tools.webhook import WEBHOOK_KEY_VARIABLE, WebhookChannel
from tests.faults.lab import Lab
from tests.readme import fill_in, list_commands
from tests.workspaces import ROOT, Site

MOMENT = datetime(2027, 3, 9, 3, 4, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PEOPLE, HELD_OUT = (
    [f"trained-{number:03d}" for number in range(150)],
    [f"held-out-{number:03d}" for number in range(50)],
)
# tells the time each time that it is asked, after waits of all kinds that could take the clock for the system's
PROGRAM = """
import multiprocessing, sys, threading, time
locked = multiprocessing.Lock()
locked.acquire()
for _ in sys.stdin:
    began = time.monotonic()
    time.sleep(0.01)
    threading.Event().wait(0.01)
    assert not locked.acquire(timeout=0.01)
    assert time.monotonic() - began < 30
    print(time.time(), flush=True)
"""


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    return Clock(tmp_path_factory.mktemp("clock"))


@contextmanager
def tell_time(clock: Clock) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=environ | clock.variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


def ask(process: "subprocess.Popen[str]") -> datetime:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return datetime.fromtimestamp(float(process.stdout.readline()), UTC)


@pytest.mark.parametrize("by", [timedelta(days=7), timedelta(days=-400), timedelta(microseconds=-1)])
def test_a_running_process_goes_along_with_the_clock_and_waits_as_long_as_ever(clock: Clock, by: timedelta) -> None:
    clock.set(MOMENT)
    with tell_time(clock) as process:
        for expected in (MOMENT, MOMENT + by):
            before = clock.now
            told = ask(process)
            assert before <= told <= clock.now + SECOND
            assert told - expected < timedelta(minutes=5)
            clock.jump(by)


def test_git_and_a_program_that_is_started_by_another_have_the_same_clock(clock: Clock, tmp_path: Path) -> None:
    clock.set(MOMENT)
    script = (
        "git init -q . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m a && git log --format=%cI"
    )
    told = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=environ | clock.variables, capture_output=True, text=True, check=True
    ).stdout
    assert MOMENT - SECOND <= datetime.fromisoformat(told.strip()) < MOMENT + timedelta(minutes=5)


def test_a_program_without_the_clock_s_file_does_not_run_on_another_clock(clock: Clock) -> None:
    lost = clock.variables | {"MONTH_CLOCK": "/nowhere"}
    ended = subprocess.run(["true"], env=environ | lost, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "MONTH_CLOCK names no clock" in ended.stderr


@pytest.mark.parametrize("seed", range(20))
def test_a_month_has_every_fault_and_nobody_asks_on_two_days(seed: int) -> None:
    days = draw_month(seed, 30, PEOPLE, HELD_OUT)
    assert days == draw_month(seed, 30, PEOPLE, HELD_OUT)
    assert [day.number for day in days] == list(range(1, 31))
    assert {day.fault for day in days} == {"none"} | {fault for unit in FAULTS for fault in unit}
    missed = [day.number for day in days if day.fault == "missed"]
    assert all(later - former >= MIN_NIGHTS_APART for former, later in pairwise(missed))
    assert [days[day.number].fault for day in days if day.fault == "killed and left"] == ["missed"]
    first = [one.subject for day in days for one in day.asks if not one.is_again]
    first += [day.misspelled for day in days if day.misspelled]
    assert len(first) == len(set(first))
    assert all(any(not one.is_stranger for one in day.asks) for day in days)
    assert all(day.fault == "none" for day in days if day.is_strict)
    assert {one.way for day in days for one in day.asks} == {"hand", "csv", "folder", "http"}
    assert {one.law for day in days for one in day.asks} == {"gdpr", "ccpa"}


def test_another_seed_is_another_month() -> None:
    assert draw_month(0, 30, PEOPLE, HELD_OUT) != draw_month(1, 30, PEOPLE, HELD_OUT)


def test_a_month_ends_where_the_law_says() -> None:
    received = datetime(2027, 1, 31, 12, tzinfo=UTC)
    assert compute_due(received, "gdpr") == datetime(2027, 2, 28, 12, tzinfo=UTC)
    assert compute_due(received, "ccpa") == datetime(2027, 3, 17, 12, tzinfo=UTC)


NOON = datetime(2027, 3, 9, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "due"),
    [
        (Moment(NOON, "check"), set()),
        (Moment(NOON, "night", has_failed=True), {Alert("night-failed", "", "2027-03-09")}),
        (Moment(NOON, "check", due_dates=[NOON + timedelta(days=16, seconds=1)]), set()),
        (Moment(NOON, "check", due_dates=[NOON + timedelta(days=16)]), {Alert("request-near", "", "2027-03-09")}),
        (Moment(NOON, "check", due_dates=[NOON - SECOND]), {Alert("request-overdue", "", "2027-03-09")}),
        (Moment(NOON, "check", num_strays=1), {Alert("request-unmatched", "", "2027-03-09")}),
        (Moment(NOON, "night", is_stuck=True), {Alert("erasure-failed", "", "2027-03-09")}),
        (Moment(NOON, "check", open_waves=[(4, NOON - timedelta(hours=26))]), set()),
        (Moment(NOON, "check", open_waves=[(4, NOON - timedelta(hours=27))]), {Alert("wave-late", "4", "2027-03-09")}),
    ],
)
def test_what_is_due_at_a_moment(moment: Moment, due: set[Alert]) -> None:
    assert list_due([moment], moment.at, complete=[], strict=[], files=[]) == due


@pytest.mark.parametrize(("hours", "is_missing"), [(25, False), (26, False), (27, True)])
def test_silence_is_counted_from_the_last_night_and_told_by_cron_alone(hours: int, is_missing: bool) -> None:
    night = Moment(NOON - timedelta(hours=hours), "night")
    expected = {Alert("night-missing", "", "2027-03-09")} if is_missing else set()
    before = NOON - timedelta(days=9)
    assert list_due([night, Moment(NOON, "check")], before, complete=[], strict=[], files=[]) == expected
    assert not list_due([night, Moment(NOON, "night")], before, complete=[], strict=[], files=[])
    # as long as none has ended, since the base was made
    assert list_due([Moment(NOON, "check")], night.at, complete=[], strict=[], files=[]) == expected


def test_waves_and_files_are_told_once_for_all() -> None:
    assert list_due([], NOON, complete=[1, 2], strict=[2], files=[(1, True), (3, False)]) == {
        Alert("wave-insufficient", "1"),
        Alert("wave-insufficient", "2"),
        Alert("wave-refused", "2"),
        Alert("file-rejected", "1"),
        Alert("file-unmatched", "3"),
    }


PARKED = Told(4, "wave-parked", "7", MOMENT.isoformat(), "wave 7 is parked", "`amun wave show 7`", "docs#wave-parked")


@pytest.fixture
def receivers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receivers]:
    with receive(tmp_path, lambda: MOMENT) as receivers:
        for name, value in receivers.variables.items():
            monkeypatch.setenv(name, value)
        yield receivers


def tell(receivers: Receivers, sent_at: datetime = MOMENT, *, by_mail: bool = True) -> None:
    message = Message("msg_1", "digits-cnn", sent_at, [PARKED])
    WebhookChannel().send(message)
    CommandChannel(receivers.command).send(message)
    if by_mail:
        MailChannel("amun@example.org", ["dpo@example.org"]).send(message)


def test_receivers_count_what_comes_twice_once(receivers: Receivers) -> None:
    tell(receivers)
    tell(receivers)
    assert [Alert.of(one.kind, one.object, one.raised_at) for one in receivers.list_told()] == [
        Alert("wave-parked", "7")
    ]
    assert receivers.faults == receivers.find_differences() == []


def test_receivers_see_what_one_channel_was_not_told(receivers: Receivers) -> None:
    tell(receivers, by_mail=False)
    assert [fault.partition(":")[0] for fault in receivers.find_differences()] == ["not told by mail"]


def test_receivers_see_what_one_channel_alone_was_told(receivers: Receivers) -> None:
    tell(receivers)
    another = replace(PARKED, number=5, raised_at=(MOMENT + timedelta(days=1)).isoformat())
    MailChannel("amun@example.org", ["dpo@example.org"]).send(Message("msg_2", "digits-cnn", MOMENT, [another]))
    assert receivers.find_differences() == ["told by mail alone: wave 7 is parked"]


def test_a_mail_of_another_day_is_not_taken_for_one_of_today(receivers: Receivers) -> None:
    tell(receivers)
    another = replace(PARKED, number=5, raised_at=(MOMENT + timedelta(days=1)).isoformat())
    message = Message("msg_2", "digits-cnn", MOMENT, [another])
    WebhookChannel().send(message)
    CommandChannel(receivers.command).send(message)
    assert [fault.partition(":")[0] for fault in receivers.find_differences()] == ["not told by mail"]


@pytest.mark.parametrize("name", ["webhook", "command", "mail"])
def test_receivers_see_what_any_channel_was_told_twice(receivers: Receivers, name: str) -> None:
    channels: dict[str, WebhookChannel | CommandChannel | MailChannel] = {
        "webhook": WebhookChannel(),
        "command": CommandChannel(receivers.command),
        "mail": MailChannel("amun@example.org", ["dpo@example.org"]),
    }
    tell(receivers)
    assert receivers.list_repeated() == []
    channels[name].send(Message("msg_1", "digits-cnn", MOMENT, [PARKED]))
    assert [one.number for one in receivers.list_repeated()] == [4]


def test_receivers_that_were_deaf_have_heard_nothing(receivers: Receivers) -> None:
    receivers.be_deaf(True)
    with pytest.raises(AmunError, match="500"):
        tell(receivers)
    receivers.be_deaf(False)
    assert receivers.list_told() == []


def test_receivers_refuse_a_wrong_signature_and_another_time(
    receivers: Receivers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(receivers, MOMENT - timedelta(minutes=6))
    key = tmp_path / "wrong"
    key.write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", encoding="ascii")
    key.chmod(0o400)
    monkeypatch.setenv(WEBHOOK_KEY_VARIABLE, f"file:{key}")
    tell(receivers)
    receivers.hear()
    assert [fault.partition("address ")[2] for fault in receivers.faults] == [
        "is 360 seconds off",
        "has a wrong signature",
    ]


@pytest.mark.parametrize(("days", "may"), [(-1, False), (0, True), (3, True), (4, False)])
def test_only_a_killed_run_may_tell_again(days: int, may: bool) -> None:
    assert may_be_told_again(MOMENT, [MOMENT + timedelta(days=days)]) is may
    assert not may_be_told_again(MOMENT, [])


@pytest.fixture
def month(receivers: Receivers, clock: Clock, tmp_path: Path) -> Month:
    site = Site(tmp_path, {})
    return Month(
        site, clock, Desk(site, clock, tmp_path, tmp_path, httpx.Client()), receivers, tmp_path, Kept([], {}), 0
    )


def test_what_is_told_again_though_nobody_was_killed_is_wrong(month: Month) -> None:
    tell(month.receivers)
    tell(month.receivers)
    assert [fault.partition(":")[0] for fault in month.find_repeated()] == ["told again"]


def make_request(person: str, **told: Any) -> dict[str, Any]:
    """Returns a request as `amun request list` has it: of MOMENT, forgotten a day later, erased after eight more."""
    outcome = {
        "state": "completed",
        "decided_at": (MOMENT + timedelta(days=1)).isoformat(),
        "erasure": {"erased_at": (MOMENT + timedelta(days=9)).isoformat()},
    }
    request = {"request_id": f"R-{person}", "subject_id": person, "due_at": "2027-04-09T03:04:00+00:00"}
    return {name: told.get(name, value) for name, value in request.items()} | {"outcomes": [outcome | told]}


@pytest.mark.parametrize(
    ("requests", "fault"),
    [
        ([make_request("anna")], None),
        ([], "anna has asked, and has 0 requests"),
        ([make_request("anna"), make_request("anna")], "anna has asked, and has 2 requests"),
        ([make_request("anna"), make_request("bert")], "bert has a request, and has not asked"),
        ([make_request("anna", due_at="2027-04-10T03:04:00+00:00")], "R-anna is due 2027-04-10"),
        ([make_request("anna", state="pending")], "R-anna is pending"),
        ([make_request("anna", erasure=None)], "R-anna is completed, and erased: None"),
        ([make_request("anna", erasure={"erased_at": "2027-04-09T03:04:00+00:00"})], "R-anna is erased at 2027-04-09"),
    ],
)
def test_who_is_lost_twice_or_late_is_wrong(month: Month, requests: list[dict[str, Any]], fault: str | None) -> None:
    month.desk.asked.append(Asked(Ask("anna", "hand"), MOMENT))
    found = list(judge_requests(month, requests))
    assert len(found) == (fault is not None)
    assert all(one.startswith(str(fault)) for one in found)


TIMES = Times(MOMENT, MOMENT + timedelta(days=7))


@pytest.mark.parametrize(
    ("days", "is_readable", "is_wrong"),
    [(1, True, False), (1, False, True), (6.9, False, True), (7, False, False), (7, True, True), (30, True, True)],
)
def test_who_is_erased_can_be_read_until_then_and_no_longer(days: float, is_readable: bool, is_wrong: bool) -> None:
    look = Look(MOMENT + timedelta(days=days), {"anna"} if is_readable else set())
    assert len(list(find_untimely([look], {"anna": TIMES}))) == is_wrong


@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_pictures_in_clear_are_found_in_any_file(tmp_path: Path, kind: str) -> None:
    pictures = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 1, 8, 8), dtype=np.uint8))
    names = np.array(["a", "b"])
    samples = Samples(names, names, torch.zeros(2, dtype=torch.int64), pictures)
    kept = {"anna": samples.select(names == "a"), "bert": samples.select(names == "b")}
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/file").write_bytes(b"before")
    assert list(find_pictures([tmp_path], kept)) == []
    written = (pictures[1] if kind == "uint8" else samples.images[1]).numpy().tobytes()
    (tmp_path / "deep/file").write_bytes(b"before" + written + b"after")
    assert list(find_pictures([tmp_path], kept)) == [f"{tmp_path / 'deep/file'} has a picture of bert in clear"]


@pytest.mark.parametrize(
    ("fault", "ended", "is_in_time"), [("asked to end", 0, False), ("asked to end", -15, True), ("missed", None, True)]
)
def test_a_fault_that_comes_too_late_is_not_counted(
    month: Month, monkeypatch: pytest.MonkeyPatch, fault: Fault, ended: int | None, is_in_time: bool
) -> None:
    def run(lab: Lab, *_: object) -> None:
        lab.note("term", ended or 0)

    if ended is not None:
        monkeypatch.setitem(faults.RUNS, fault, run)
    lab = faults.make_lab(month.folder, month.site, 0, 1)
    assert faults.put_in_the_way(fault, lab, month.site, month.folder / "said", month.clock) is is_in_time


def test_the_ledger_s_log_has_the_room_that_the_ledger_has(month: Month, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (LEDGER, KEYS):
        (month.folder / path).parent.mkdir(exist_ok=True)
        (month.folder / path).touch()
    sizes: list[int] = []

    def run(_: Lab, site: Site, __: Path, rooms: list[int]) -> None:
        sizes.extend([(site.root / f"{LEDGER}-wal").stat().st_size, *rooms])

    monkeypatch.setattr(faults, "run_in_little_room", run)
    with closing(sqlite3.connect(month.folder / LEDGER)) as ledger:
        ledger.execute("PRAGMA journal_mode=WAL")
        ledger.execute("CREATE TABLE waves (number)")
        ledger.commit()
        assert (month.folder / f"{LEDGER}-wal").stat().st_size > 0
        lab = faults.make_lab(month.folder, month.site, 0, 1)
        faults.put_in_the_way("disk full", lab, month.site, month.folder / "said", month.clock)
    log, room = sizes
    assert log == 0 < room


def test_the_page_has_the_figures_of_the_month_that_was_recorded() -> None:
    page = (ROOT / "docs/month.md").read_text(encoding="utf-8")
    rows = list_rows(read_figures(ROOT / "bench/results/month.json"))
    assert [row for row in rows if row not in page] == []


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_three_nights(tmp_path: Path) -> None:
    (command,) = list_commands("month.md")
    typed = shlex.split(fill_in(command, {"/var/tmp/month": shlex.quote(str(tmp_path / "month"))}))  # noqa: S108
    assert typed[0] == "python"
    three = ("--seed", "1", "--nights", "3", "--until", "3")
    told = subprocess.run([sys.executable, *typed[1:], *three], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (told.returncode, "0 wrong, in " in told.stdout) == (0, True), told.stdout + told.stderr
