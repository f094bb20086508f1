"""Real processes race for a wave, die holding it, and lose it while they work."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from amun.core.errors import LeaseLostError
from amun.ledger import Claim, Heartbeat, Ledger, WaveBusy, describe_holder, heartbeat, is_holder_alive
from tests.amun.ledger.helpers import MODEL, NOW, add, build_base, claim_in_process, complete_wave, run_together

CLAIM_AND_SLEEP = """
import sys, time
from datetime import UTC, datetime
from amun.ledger import Ledger, describe_holder
ledger, now = Ledger(sys.argv[1]), datetime.now(UTC)
claim = ledger.claim_wave(sys.argv[2], kind="deletion", holder=describe_holder(), now=now, lease_seconds=900)
ledger.set_attempt(claim, 1, now)
print(describe_holder(), flush=True)
time.sleep(600)
"""


def start_claimant(url: str) -> tuple["subprocess.Popen[str]", str]:
    """Returns a running process that has claimed the wave, and its name as a holder."""
    process = subprocess.Popen([sys.executable, "-c", CLAIM_AND_SLEEP, url, MODEL], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def check_until_lost(beat: Heartbeat) -> None:
    """Ends by the error of `check` only."""
    while True:
        beat.check()
        time.sleep(0.02)


def test_one_of_racing_processes_gets_the_wave(ledger: Ledger, url: str) -> None:
    build_base(ledger, ["ann", "bob"])
    for number, subject in enumerate(["ann", "bob"], start=1):
        add(ledger, subject)
        answers = run_together(claim_in_process, [(url, f"racer-{racer}") for racer in range(4)])
        [claim] = [answer for answer in answers if isinstance(answer, Claim)]
        held = [answer for answer in answers if isinstance(answer, WaveBusy)]
        assert claim.number == number
        assert not claim.resumed
        assert [answer.number for answer in held] == [number] * 3
        assert len({answer.holder for answer in held}) == 1
        complete_wave(ledger, claim)


def test_wave_of_a_killed_process_is_taken_over_at_once(ledger: Ledger, url: str) -> None:
    build_base(ledger, ["ann"])
    add(ledger, "ann")
    process, holder = start_claimant(url)
    try:
        now = datetime.now(UTC)
        held = ledger.claim_wave(MODEL, kind="deletion", holder=describe_holder(), now=now, lease_seconds=60)
        assert isinstance(held, WaveBusy)
        assert held.holder == holder
        assert held.lease_expires_at > now + timedelta(seconds=600)
        assert is_holder_alive(holder)
    finally:
        process.kill()
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert is_holder_alive(holder) is False  # dead, though nobody has waited for it yet
    process.communicate()
    assert is_holder_alive(holder) is False
    seen = ledger.peek_wave(MODEL, datetime.now(UTC))
    assert seen is not None
    assert seen.is_abandoned
    taken = ledger.claim_wave(MODEL, kind="deletion", holder=describe_holder(), now=datetime.now(UTC), lease_seconds=60)
    assert isinstance(taken, Claim)
    assert (taken.number, taken.resumed, taken.attempt) == (1, True, 1)
    assert ledger.subjects_of_wave(MODEL, 1) == ["ann"]


def test_stopped_process_still_holds_its_wave(ledger: Ledger, url: str) -> None:
    build_base(ledger, ["ann"])
    add(ledger, "ann")
    process, holder = start_claimant(url)
    try:
        process.send_signal(signal.SIGSTOP)
        assert is_holder_alive(holder)
        assert isinstance(claim_in_process(url, "another"), WaveBusy)
    finally:
        process.kill()
        process.communicate()


def test_only_this_machine_knows_its_processes() -> None:
    holder = describe_holder()
    assert is_holder_alive(holder)
    assert is_holder_alive("elsewhere") is None
    assert is_holder_alive(f"not-{holder}") is None
    machine, pid, start = holder.rsplit(":", 2)
    assert is_holder_alive(f"{machine}0:{pid}:{start}") is None
    assert is_holder_alive(f"{machine}:{pid}:{float(start) - 60:.2f}") is False  # the number was given again
    assert int(pid) == os.getpid()


def test_heartbeat_keeps_the_wave_until_the_block_ends(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    add(ledger, "ann")
    claim = ledger.claim_wave(MODEL, kind="deletion", holder="me", now=datetime.now(UTC), lease_seconds=2)
    assert isinstance(claim, Claim)
    with heartbeat(ledger, claim, lease_seconds=2) as beat:
        first = ledger.peek_wave(MODEL, NOW)
        seen = first
        while seen == first:
            time.sleep(0.05)
            seen = ledger.peek_wave(MODEL, NOW)
        beat.check()
        assert first is not None
        assert seen is not None
        assert seen.heartbeat_at > first.heartbeat_at
        complete_wave(ledger, claim, now=datetime.now(UTC))
    assert ledger.get_wave(MODEL, 1).state == "complete"


def test_heartbeat_says_when_another_has_taken_the_wave(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    add(ledger, "ann")
    claim = ledger.claim_wave(MODEL, kind="deletion", holder="me", now=datetime.now(UTC), lease_seconds=1)
    assert isinstance(claim, Claim)
    with heartbeat(ledger, claim, lease_seconds=1) as beat:
        far = datetime.now(UTC) + timedelta(hours=1)
        taken = ledger.claim_wave(MODEL, kind="deletion", holder="vm:boot.ns:4711:12.50", now=far, lease_seconds=60)
        assert isinstance(taken, Claim)
        with pytest.raises(LeaseLostError, match="taken over by process 4711 on vm;"):
            check_until_lost(beat)
    with pytest.raises(LeaseLostError), heartbeat(ledger, claim, lease_seconds=1):
        pass


def test_heartbeat_says_when_it_could_not_renew(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    add(ledger, "ann")
    claim = ledger.claim_wave(MODEL, kind="deletion", holder="me", now=datetime.now(UTC), lease_seconds=1)
    assert isinstance(claim, Claim)
    # a writer that does not let go keeps the heartbeat waiting beyond its lease
    with heartbeat(ledger, claim, lease_seconds=1) as beat, ledger._write() as session:
        session.connection()
        with pytest.raises(LeaseLostError, match="not renewed in time"):
            check_until_lost(beat)
