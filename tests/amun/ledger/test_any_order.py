"""Whatever is done in whatever order, the ledger agrees with a dictionary."""

import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from amun.ledger import Claim, Held, Ledger
from tests.amun.ledger.helpers import LEASE_SECONDS, MODEL, NOW, build_base, complete_wave

HELD_SUBJECTS = ["ann", "bob", "cat"]
subjects = st.sampled_from([*HELD_SUBJECTS, "eve"])


class LedgerMachine(RuleBasedStateMachine):
    """A model of one model's queue: where each subject stands, and who holds the open wave since when."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.ledger = Ledger.create(f"sqlite:///{Path(self.folder.name)}/ledger.db")
        build_base(self.ledger, HELD_SUBJECTS)
        self.now = NOW
        self.live: dict[str, str] = {}  # subject -> request id, pending
        self.held: dict[str, str] = {}
        self.in_wave: dict[str, str] = {}
        self.forgotten: set[str] = set()
        self.num_requests = 0
        self.num_waves = 1
        self.claim: Claim | None = None

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()

    @rule(asked=st.lists(subjects, max_size=5))
    def add(self, asked: list[str]) -> None:
        added = self.ledger.add_requests(asked, received_at=None, now=self.now)
        assert [answer.subject_id for answer in added] == list(dict.fromkeys(asked))
        for answer in added:
            known = {**self.live, **self.held, **self.in_wave}.get(answer.subject_id)
            assert answer.is_new == (known is None)
            self.num_requests += answer.is_new
            assert answer.request_id == (known or f"R-{self.num_requests:06d}")
            if answer.subject_id in self.forgotten:
                assert answer.outcomes[0].state == "already_forgotten"
            elif answer.subject_id == "eve":
                assert answer.outcomes[0].state == "nothing_held"
            elif known is None:
                assert answer.outcomes[0].state == "pending"
                self.live[answer.subject_id] = answer.request_id

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        subject = data.draw(st.sampled_from(sorted(self.live)))
        self.ledger.withdraw_request(self.live.pop(subject), now=self.now)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def hold(self, data: st.DataObject) -> None:
        subject = data.draw(st.sampled_from(sorted(self.live)))
        self.held[subject] = self.live.pop(subject)
        self.ledger.hold_request(self.held[subject], "a court case", now=self.now)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        subject = data.draw(st.sampled_from(sorted(self.held)))
        self.live[subject] = self.held.pop(subject)
        self.ledger.release_request(self.live[subject], now=self.now)

    @rule(seconds=st.sampled_from([0.0, LEASE_SECONDS / 2, LEASE_SECONDS]))
    def claim_wave(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        answer = self.ledger.claim_wave(
            MODEL, kind="deletion", holder="machine", now=self.now, lease_seconds=LEASE_SECONDS
        )
        if self.claim is not None:
            assert answer is not None
            assert answer.number == self.num_waves - 1
            if isinstance(answer, Held):
                assert answer.lease_expires_at > self.now
                return
            assert answer.resumed
        elif not self.live:
            assert answer is None
            return
        else:
            assert isinstance(answer, Claim)
            assert (answer.number, answer.resumed) == (self.num_waves, False)
            self.num_waves += 1
            self.in_wave, self.live = self.live, {}
        self.claim = answer

    @precondition(lambda self: self.claim is not None)
    @rule(is_parked=st.booleans())
    def close_wave(self, is_parked: bool) -> None:
        assert self.claim is not None
        self.ledger.renew_lease(self.claim, self.now, LEASE_SECONDS)
        if is_parked:
            self.ledger.park_wave(self.claim, "parked", self.now)
            self.live |= self.in_wave
        else:
            complete_wave(self.ledger, self.claim, now=self.now)
            self.forgotten |= set(self.in_wave)
        self.in_wave, self.claim = {}, None

    @invariant()
    def agrees(self) -> None:
        requests = self.ledger.list_requests(MODEL)
        by_state: dict[str, dict[str, str]] = {"pending": {}, "in_wave": {}, "held": {}, "completed": {}}
        for request in requests:
            by_state.setdefault(request.outcomes[0].state, {})[request.subject_id] = request.request_id
        assert [request.request_id for request in requests] == [f"R-{n:06d}" for n in range(1, self.num_requests + 1)]
        assert by_state["pending"] == self.live
        assert by_state["in_wave"] == self.in_wave
        assert (
            by_state["held"]
            == self.held
            == {request.subject_id: request.request_id for request in requests if request.is_held}
        )
        assert set(by_state["completed"]) == self.forgotten
        waves = self.ledger.list_waves(MODEL)
        assert [wave.number for wave in waves] == list(range(self.num_waves))
        assert [wave.number for wave in waves if wave.state == "open"] == ([self.claim.number] if self.claim else [])
        status = self.ledger.count_status(MODEL, self.now)
        assert (status.pending, status.held) == (len(self.live), len(self.held))


def test_ledger_agrees_with_a_dictionary() -> None:
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )
