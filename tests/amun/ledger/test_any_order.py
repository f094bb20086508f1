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

from amun.ledger import Bounds, Claim, Ledger, WaveBusy
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
        self.unmatched: dict[str, str] = {}
        self.in_wave: dict[str, str] = {}
        self.forgotten: dict[str, str] = {}
        self.line: list[tuple[int, dict[str, str]]] = [(0, {})]  # waves and whom each forgot, in the champion's line
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
            known = {**self.live, **self.held, **self.in_wave, **self.unmatched}.get(answer.subject_id)
            assert answer.is_new == (known is None)
            self.num_requests += answer.is_new
            assert answer.request_id == (known or f"R-{self.num_requests:06d}")
            if answer.subject_id in self.forgotten:
                assert answer.outcomes[0].state == "already_forgotten"
            elif answer.subject_id == "eve":
                assert answer.outcomes[0].state == "unmatched"
                self.unmatched[answer.subject_id] = answer.request_id
            elif known is None:
                assert answer.outcomes[0].state == "pending"
                self.live[answer.subject_id] = answer.request_id

    @precondition(lambda self: self.live or self.unmatched)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        subject = data.draw(st.sampled_from(sorted({**self.live, **self.unmatched})))
        queue = self.live if subject in self.live else self.unmatched
        self.ledger.withdraw_request(queue.pop(subject), now=self.now)

    @precondition(lambda self: self.unmatched)
    @rule()
    def confirm(self) -> None:
        self.ledger.confirm_requests(list(self.unmatched.values()), now=self.now)
        self.unmatched = {}

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

    @rule(seconds=st.sampled_from([0.0, LEASE_SECONDS / 2, LEASE_SECONDS]), limit=st.sampled_from([None, 1, 2]))
    def claim_wave(self, seconds: float, limit: int | None = None) -> None:
        self.now += timedelta(seconds=seconds)
        answer = self.ledger.claim_wave(
            MODEL,
            kind="deletion",
            holder="machine",
            now=self.now,
            lease_seconds=LEASE_SECONDS,
            bounds=None if limit is None else Bounds(limit, None, urgent_until=self.now),
        )
        if self.claim is not None:
            assert answer is not None
            assert answer.number == self.num_waves - 1
            if isinstance(answer, WaveBusy):
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
            # a clock that has jumped back makes later requests due earlier
            due = {subject: self.ledger.get_request(request).due_at for subject, request in self.live.items()}
            queue = sorted(self.live, key=lambda subject: (due[subject], self.live[subject]))
            taken = (
                queue
                if limit is None
                else [subject for place, subject in enumerate(queue) if place < limit or due[subject] < self.now]
            )
            self.in_wave = {subject: self.live.pop(subject) for subject in taken}
        self.claim = answer

    @rule(days=st.sampled_from([-400, -1, 1, 400]))
    def set_clock(self, days: int) -> None:
        """Has the clock jump: whoever held a wave may lose it, and the requests stay as they were."""
        self.now += timedelta(days=days)
        self.claim_wave(0.0)

    @precondition(lambda self: self.claim is not None)
    @rule(is_parked=st.booleans())
    def close_wave(self, is_parked: bool) -> None:
        assert self.claim is not None
        self.ledger.renew_lease(self.claim, self.now, LEASE_SECONDS)
        if is_parked:
            self.ledger.park_wave(self.claim, "parked", self.now)
            self.live |= self.in_wave
        else:
            complete_wave(self.ledger, self.claim, f"v{self.claim.number}", self.now, erase_after=self.now)
            self.forgotten |= self.in_wave
            self.line.append((self.claim.number, self.in_wave))
        self.in_wave, self.claim = {}, None

    @precondition(lambda self: self.claim is None and len(self.line) > 1)
    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        kept = data.draw(st.integers(1, len(self.line) - 1))
        undone, self.line = self.line[kept:], self.line[:kept]
        number = self.ledger.begin_rollback(
            MODEL,
            from_version=f"v{undone[-1][0]}",
            to_version=f"v{self.line[-1][0]}",
            undone_waves=[number for number, _ in undone],
            reason="a test",
            holder="machine",
            now=self.now,
        )
        assert number == self.num_waves
        self.num_waves += 1
        claim = self.ledger.claim_wave(
            MODEL, kind="deletion", holder="machine", now=self.now, lease_seconds=LEASE_SECONDS
        )
        assert isinstance(claim, Claim)
        assert claim.resumed
        remembered = {subject: request for _, people in undone for subject, request in people.items()}
        assert self.ledger.finish_rollback(claim, [], self.now) == len(remembered)
        for subject in remembered:
            del self.forgotten[subject]
        self.in_wave, self.live = {**self.live, **remembered}, {}
        self.claim = claim

    @invariant()
    def agrees(self) -> None:
        requests = self.ledger.list_requests(MODEL)
        by_state: dict[str, dict[str, str]] = {
            "pending": {},
            "in_wave": {},
            "held": {},
            "completed": {},
            "unmatched": {},
        }
        for request in requests:
            by_state.setdefault(request.outcomes[0].state, {})[request.subject_id] = request.request_id
        assert [request.request_id for request in requests] == [f"R-{n:06d}" for n in range(1, self.num_requests + 1)]
        assert by_state["pending"] == self.live
        assert by_state["in_wave"] == self.in_wave
        assert by_state["unmatched"] == self.unmatched
        assert (
            by_state["held"]
            == self.held
            == {request.subject_id: request.request_id for request in requests if request.is_held}
        )
        assert by_state["completed"] == self.forgotten
        to_erase = {one.subject_id: one.request_id for one in requests if one.outcomes[0].erasure is not None}
        assert to_erase == self.forgotten
        waves = self.ledger.list_waves(MODEL)
        assert [wave.number for wave in waves] == list(range(self.num_waves))
        assert [wave.number for wave in waves if wave.state == "open"] == ([self.claim.number] if self.claim else [])
        status = self.ledger.count_status(MODEL, self.now)
        assert (status.pending, status.held, status.unmatched) == (len(self.live), len(self.held), len(self.unmatched))


def test_ledger_agrees_with_a_dictionary() -> None:
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )
