"""What the ledger takes and gives: plain frozen records, never database rows."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from amun.evidence.attempts import Receipt, Summary
from amun.evidence.figures import Comparison
from amun.evidence.receipt import ChainEntry, Draft
from amun.ledger.laws import CLOCKS, Law, stands_still

OutcomeState = Literal[
    "pending", "in_wave", "held", "completed", "withdrawn", "denied", "already_forgotten", "nothing_held", "unmatched"
]
# evidence has to be kept; or nobody knows yet that it is the person who asks; or it waits for people's approval
HoldKind = Literal["legal", "identity", "approval"]
WaveKind = Literal["base", "deletion"]
WaveState = Literal["open", "complete", "parked"]
ParkedAs = Literal["parked", "waiting", "nothing"]


@dataclass(frozen=True)
class Holding:
    """What a model's sample store holds of one subject, in samples."""

    subject_id: str
    num_train: int
    num_held_out: int


@dataclass(frozen=True)
class UndoneOutcome:
    """How a request stood for a model before a rollback opened it again.

    Attributes:
        state: completed, nothing_held, or unmatched.
        wave_number: the wave that was undone with it, if one had handled it.
        decided_at: when it had become final.
        receipt: what that wave had left on record.
        undone_at: when the rollback was asked for.
        reason: why.
    """

    state: OutcomeState
    wave_number: int | None
    decided_at: datetime | None
    receipt: Receipt | None
    undone_at: datetime
    reason: str


@dataclass(frozen=True)
class SourceDeletion:
    """How far it has come that the files of a person who is erased are deleted in the source of the data.

    Attributes:
        begun_at: from then on it goes on until it is done.
        deleted_at: when none of their files was left that can be deleted without others'.
        left: what the source's owner has to take the person out of, each in words.
    """

    begun_at: datetime
    deleted_at: datetime | None = None
    left: tuple[str, ...] = ()


@dataclass(frozen=True)
class Erasure:
    """How far it has come that a person's keys are destroyed, once a wave has forgotten the person.

    Attributes:
        intended_at: when the wave was complete.
        erase_after: not before, unless a person says so.
        started_at: from then on nothing can stop it.
        keys_destroyed_at: when no key of the person was left, and the key-encryption key was changed.
        erased_at: when nothing of the person could be opened, as far as this software can see.
        source: of their files in the source of the data; None where these are the owner's to delete.
    """

    intended_at: datetime
    erase_after: datetime
    started_at: datetime | None = None
    keys_destroyed_at: datetime | None = None
    erased_at: datetime | None = None
    source: SourceDeletion | None = None


@dataclass(frozen=True)
class PlannedErasure:
    """An erasure with what it is about, and what holds it up.

    Attributes:
        request_id: of the request that a wave has honoured.
        subject_id: whose keys are destroyed.
        model: which has forgotten the person.
        wave_number: by which wave.
        due_at: the request's.
        erasure: how far it has come.
        held_up_by: each thing that keeps it from being started now, in words; nothing once it is started.
    """

    request_id: str
    subject_id: str
    model: str
    wave_number: int | None
    due_at: datetime
    erasure: Erasure
    held_up_by: tuple[str, ...]


@dataclass(frozen=True)
class IssuedReceipt:
    """A receipt of erasure, less its body.

    Attributes:
        request_id: of the request that was honoured.
        model: which has forgotten the person.
        entry: in the model's chain.
        has_body: the body is there, sealed.
        destroyed_at: when the body's retention had ended and its key was destroyed; None until then.
        commit: one that has the entry; None until there is one, and it was sent where the waves are.
    """

    request_id: str
    model: str
    entry: ChainEntry
    has_body: bool
    destroyed_at: datetime | None
    commit: str | None


@dataclass(frozen=True)
class DraftedReceipt:
    """A receipt that can be issued: the person is erased.

    Attributes:
        request_id: of the request that was honoured.
        wave_number: by this wave.
        erasure: how it went.
        draft: what was known before.
    """

    request_id: str
    wave_number: int
    erasure: Erasure
    draft: Draft


@dataclass(frozen=True)
class Consumer:
    """A program that serves a model, such as one replica or all that a deployment keeps alike.

    Attributes:
        model: which it serves.
        name: as the deployment calls it.
        added_at: when it was registered.
        version: of the model, that it has reported last; None before its first report.
        serves_since: when it reported that version first.
        seen_at: when it reported last.
        num_awaited: requests, not due within a day, whose people are not erased before it serves a version without
            them.
        num_held_up: those of them whose waiting days are over.
        num_remembered: requests whose people its version remembers, and whose erasure no longer waits for it: it is
            begun or done, or the request is due within a day.
    """

    model: str
    name: str
    added_at: datetime
    version: str | None
    serves_since: datetime | None
    seen_at: datetime | None
    num_awaited: int
    num_held_up: int
    num_remembered: int


@dataclass(frozen=True)
class Outcome:
    """Where a request stands for one model.

    Attributes:
        model: the model.
        state: where it stands.
        wave_number: the wave that handles or handled it, or that had forgotten the subject before.
        decided_at: when the state became final; None while it waits for a wave, a release or a person.
        receipt: what the wave left on record; None unless completed.
        undone: how it stood before each rollback that opened it again, oldest first.
        erasure: what becomes of the person's keys; None unless completed, and where nothing was sealed.
    """

    model: str
    state: OutcomeState
    wave_number: int | None
    decided_at: datetime | None
    receipt: Receipt | None
    undone: tuple[UndoneOutcome, ...]
    erasure: Erasure | None = None


@dataclass(frozen=True)
class Approval:
    """Who has approved a request, as they were named, and when."""

    name: str
    approved_at: datetime


@dataclass(frozen=True)
class Hold:
    """A hold on a request; `released_at` is None while it lasts. `num_approvals` are needed then, which may be none."""

    reason: str
    held_at: datetime
    released_at: datetime | None
    kind: HoldKind = "legal"
    num_approvals: int = 0
    approvals: tuple[Approval, ...] = ()

    @property
    def told(self) -> str:
        """Why it is held, and who has approved it so far."""
        if not self.approvals:
            return self.reason
        names = ", ".join(one.name for one in self.approvals)
        return f"{self.reason}; {len(self.approvals)} of {self.num_approvals}: {names}"


@dataclass(frozen=True)
class Denial:
    """Why and when a request was denied."""

    reason: str
    denied_at: datetime


@dataclass(frozen=True)
class Extension:
    """The one time that a request's due date was put off; `due_before` is what it was."""

    reason: str
    extended_at: datetime
    due_before: datetime


@dataclass(frozen=True)
class Request:
    """One subject's demand to be forgotten.

    Attributes:
        request_id: its id.
        subject_id: whose.
        received_at: when they asked.
        due_at: when its law's term ends, or the extended one.
        reference: the company's own ticket, if any.
        file_number: the file it came in, if any.
        holds: what kept it back, the last one last.
        outcomes: where it stands, by model name.
        law: whose clock it runs by.
        extension: of its due date, if there was one.
        denial: of the demand, if it was denied.
    """

    request_id: str
    subject_id: str
    received_at: datetime
    due_at: datetime
    reference: str | None
    file_number: int | None
    holds: tuple[Hold, ...]
    outcomes: tuple[Outcome, ...]
    law: Law = "gdpr"
    extension: Extension | None = None
    denial: Denial | None = None

    @property
    def hold(self) -> Hold | None:
        """What keeps it from every wave, and its person's keys from being destroyed; None where nothing does."""
        return next((hold for hold in self.holds if hold.released_at is None), None)

    @property
    def is_held(self) -> bool:
        """Whether a hold keeps it back."""
        return self.hold is not None

    @property
    def is_stopped(self) -> bool:
        """Whether a hold keeps it back that excuses it, or stops its clock: nobody has to hurry."""
        hold = self.hold
        if hold is None or hold.kind == "approval":
            return False
        return hold.kind == "legal" or stands_still(self.law, self.due_at, hold.held_at)

    @property
    def paused(self) -> timedelta:
        """How long its clock stood still until now; its due date has that in it. A hold that lasts is not counted."""
        stopped = [one for one in self.holds if one.kind == "identity" and CLOCKS[self.law].stops]
        return sum([one.released_at - one.held_at for one in stopped if one.released_at is not None], timedelta())

    def find_due(self, now: datetime) -> datetime:
        """Returns when it is due; that moves on as long as its clock stands still."""
        hold = self.hold
        if hold is None or hold.kind != "identity" or not self.is_stopped:
            return self.due_at
        return self.due_at + (now - hold.held_at)

    def see(self, now: datetime) -> "Request":
        """Returns it as it is shown: due when `find_due` says, which is not to be asked of that again."""
        return replace(self, due_at=self.find_due(now))

    @property
    def term(self) -> str:
        """Within what time it is due, and by which law."""
        return CLOCKS[self.law].told[self.extension is not None]


@dataclass(frozen=True)
class Claim:
    """The right to write on an open wave, as long as its lease lasts.

    Attributes:
        model: the model.
        number: the wave.
        kind: what the wave is, which may differ from what was asked for when it is resumed.
        token: proves the right; a later claim of the same wave has another.
        resumed: the wave was opened by an earlier run.
        attempt: the attempt an earlier run had reached, if any.
    """

    model: str
    number: int
    kind: WaveKind
    token: str
    resumed: bool
    attempt: int | None


@dataclass(frozen=True)
class WaveBusy:
    """The open wave is run by somebody else."""

    model: str
    number: int
    kind: WaveKind
    holder: str
    heartbeat_at: datetime
    lease_expires_at: datetime


@dataclass(frozen=True)
class OpenWave:
    """A model's open wave, as anybody may see it.

    Attributes:
        model: the model.
        number: the wave.
        kind: what it is.
        holder: the process that holds it, as `describe_holder` names it.
        opened_at: when it was claimed first.
        heartbeat_at: when the holder was heard of last.
        lease_expires_at: until when nobody else may take it over.
        is_abandoned: the lease has expired or the holder is dead: the next claim takes it over.
        attempt: the attempt it has reached, if any.
        num_requests: how many requests it handles.
    """

    model: str
    number: int
    kind: WaveKind
    holder: str
    opened_at: datetime
    heartbeat_at: datetime
    lease_expires_at: datetime
    is_abandoned: bool
    attempt: int | None
    num_requests: int


@dataclass(frozen=True)
class Wave:
    """A wave's row in full, but for its lease.

    Attributes:
        model: the model.
        number: the wave.
        kind: base or deletion.
        state: open, complete or parked.
        holder: the process that held it last.
        opened_at: when it was claimed first.
        closed_at: when it was completed or parked.
        attempt: the attempt reached.
        note: why it was parked.
        parent_version: the registered version it started from.
        version: the registered version it ended with.
        commit: the git commit that records it.
        summary: its figures.
        comparison: the figures of exact retraining, where they were computed.
        num_requests: how many requests it handles or handled; 0 once parked or undone.
        undone_by: the rollback that undid it, if one did.
        parked_as: for a failure, until more requests have come, or because nobody had to be forgotten; None unless
            parked, and where an earlier release has parked it.
    """

    model: str
    number: int
    kind: WaveKind
    state: WaveState
    holder: str
    opened_at: datetime
    closed_at: datetime | None
    attempt: int | None
    note: str | None
    parent_version: str | None
    version: str | None
    commit: str | None
    summary: Summary | None
    comparison: Comparison | None
    num_requests: int
    undone_by: int | None
    parked_as: ParkedAs | None = None


@dataclass(frozen=True)
class Rollback:
    """A return of the champion to an earlier version.

    Attributes:
        model: the model.
        number: counted from 1 for each model.
        wave_number: the wave that carries it out and forgets anew.
        from_version: the champion before.
        to_version: the champion after.
        reason: why, in the operator's words.
        started_at: when the intent was written.
        finished_at: when the requests were open again; None until then.
        undone_waves: the waves whose versions left the champion's line.
    """

    model: str
    number: int
    wave_number: int
    from_version: str
    to_version: str
    reason: str
    started_at: datetime
    finished_at: datetime | None
    undone_waves: tuple[int, ...]


@dataclass(frozen=True)
class ClearedWave:
    """A wave whose files lay in clear, and are destroyed.

    Attributes:
        number: the wave's.
        begun_at: since when they are being destroyed.
        destroyed_at: when none was left; None before.
    """

    number: int
    begun_at: datetime
    destroyed_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class ErasureCounts:
    """How a model stands with those whose keys are to be destroyed.

    Attributes:
        to_erase: how many are completed, and their people's keys not yet destroyed.
        erase_next: the earliest time at which one of these may be.
        erase_late: how many of these have waiting days that end after the due date.
        erase_overdue: how many of these are past their due date, and under no legal hold.
        source_waiting: of how many people who are erased the files in the source are not all deleted that are to be.
        never_erased: how many were completed where nothing was sealed, and whose people's copies in clear are not
            destroyed.
    """

    to_erase: int
    erase_next: datetime | None
    erase_late: int
    erase_overdue: int
    source_waiting: int
    never_erased: int


@dataclass(frozen=True, kw_only=True)
class Status(ErasureCounts):
    """How a model stands with its requests.

    Attributes:
        pending: how many wait for a wave.
        overdue: how many are not honoured after their due date, and under no legal hold.
        held: how many a hold keeps from any wave.
        held_overdue: how many of these are past their due date, and under a legal hold.
        unmatched: how many match nobody, and wait for a person to look.
        open_wave: the open wave, if any.
        next_due: the earliest due date of those pending or in a wave.
    """

    pending: int
    overdue: int
    held: int
    held_overdue: int
    unmatched: int
    open_wave: OpenWave | None
    next_due: datetime | None
