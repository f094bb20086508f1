"""Demands, what each model answers, and the files that bring them: plain frozen records.

Those of which a file makes a million have slots: each of them is then a third as large.
"""

from dataclasses import dataclass
from datetime import datetime

from amun.ledger.laws import Law
from amun.ledger.records import OutcomeState


@dataclass(frozen=True, slots=True)
class Demand:
    """A subject's demand as it comes in.

    Attributes:
        subject_id: whose.
        received_at: when they asked; None is now.
        reference: the company's own ticket, if any.
        law: whose clock it runs by.
        is_verified: somebody knows that it is the person who asks; until then it waits.
        num_approvals: how many people have to approve it before a wave may take it.
    """

    subject_id: str
    received_at: datetime | None = None
    reference: str | None = None
    law: Law = "gdpr"
    is_verified: bool = True
    num_approvals: int = 0


@dataclass(frozen=True, slots=True)
class AddedOutcome:
    """How one model answers a demand just made.

    Attributes:
        model: the model that answers.
        state: where the demand stands for this model now.
        is_new: it was recorded just now; false where an earlier request still waits or is in the open wave.
        request_id: the request it stands under, this one or the earlier one.
        due_at: when that request is due.
        wave_number: the open wave it is in, or the wave that has forgotten the subject already.
    """

    model: str
    state: OutcomeState
    is_new: bool
    request_id: str
    due_at: datetime
    wave_number: int | None


@dataclass(frozen=True, slots=True)
class AddedRequest:
    """The answer to one subject's demand, model by model.

    Attributes:
        subject_id: whose demand.
        is_new: a request was recorded; false where every model has an earlier one waiting or in the open wave.
        request_id: the new request, or else the earliest one it stands under.
        due_at: when that request is due.
        outcomes: one for each registered model, by name.
    """

    subject_id: str
    is_new: bool
    request_id: str
    due_at: datetime
    outcomes: tuple[AddedOutcome, ...]

    @property
    def is_unmatched(self) -> bool:
        """Whether it matches nobody, and waits for a person."""
        return any(outcome.state == "unmatched" for outcome in self.outcomes)


@dataclass(frozen=True)
class FileId:
    """What tells one file of demands from another.

    Attributes:
        source: the folder or `s3://bucket/prefix` it came from.
        name: its path below the source.
        version: the version that the source gave it; empty where it gives none.
        etag: changes with its content.
        modified_at: when it was written.
    """

    source: str
    name: str
    version: str
    etag: str
    modified_at: datetime


@dataclass(frozen=True)
class TakenFile:
    """A file of demands on record.

    Attributes:
        number: its own in this ledger.
        reason: why it was rejected; None where it was taken.
        added: the answers to its demands, where they were recorded just now.
    """

    number: int
    reason: str | None
    added: tuple[AddedRequest, ...] = ()
