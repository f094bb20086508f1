"""A month of nights in fast motion: its clock, what is drawn, what was due, and three nights of it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from os import environ
from pathlib import Path

import pytest

from amun.core.errors import AmunError
from bench.month.__main__ import live
from bench.month.clock import Clock
from bench.month.due import Alert, Moment, compute_due, list_due
from bench.month.figures import list_rows, read_figures
from bench.month.plan import FAULTS, MIN_NIGHTS_APART, draw_month
from bench.month.told import Receivers, receive
from tasks.tools.alert_command import CommandChannel
from tasks.tools.mail import MailChannel
from tasks.tools.message import Message, Told
from tasks.tools.webhook import WEBHOOK_KEY_VARIABLE, WebhookChannel
from tests.workspaces import ROOT

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
    assert list_due([moment], complete=[], strict=[], files=[]) == due


@pytest.mark.parametrize(("hours", "is_missing"), [(25, False), (26, False), (27, True)])
def test_silence_is_counted_from_the_last_night_and_told_by_cron_alone(hours: int, is_missing: bool) -> None:
    night = Moment(NOON - timedelta(hours=hours), "night")
    expected = {Alert("night-missing", "", "2027-03-09")} if is_missing else set()
    assert list_due([night, Moment(NOON, "check")], complete=[], strict=[], files=[]) == expected
    assert not list_due([night, Moment(NOON, "night")], complete=[], strict=[], files=[])


def test_waves_and_files_are_told_once_for_all() -> None:
    assert list_due([], complete=[1, 2], strict=[2], files=[(1, True), (3, False)]) == {
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


def test_the_page_has_the_figures_of_the_month_that_was_recorded() -> None:
    page = (ROOT / "docs/month.md").read_text(encoding="utf-8")
    rows = list_rows(read_figures(ROOT / "bench/results/month.json"))
    assert [row for row in rows if row not in page] == []


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_three_nights(tmp_path: Path) -> None:
    told: list[str] = []
    assert live(tmp_path / "month", 1, 3, 3, told.append) == [], told
