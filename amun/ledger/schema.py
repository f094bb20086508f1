"""The ledger's tables, and the constraints that hold whatever the code above them does."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from amun.ledger.columns import Base
from amun.ledger.laws import Law
from amun.ledger.records import HoldKind, OutcomeState, ParkedAs, WaveKind, WaveState

SCHEMA_VERSION = 9  # what brings an earlier one here stands in `migrations.py`

# a subject has at most one request in these states for each model
LIVE_STATES: tuple[OutcomeState, ...] = ("pending", "in_wave", "held", "unmatched")
# of these, those in which no wave is at it yet
WAITING_STATES: tuple[OutcomeState, ...] = ("pending", "held", "unmatched")


class InfoRow(Base):
    """The one row that says which schema this is, and which number the next request gets."""

    __tablename__ = "ledger_info"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    schema_version: Mapped[int]
    # counted here, not taken as the maximum plus one: a number is never given twice, whatever is deleted later
    next_request: Mapped[int]


class ModelRow(Base):
    """A model whose requests are kept here; until its holdings are known, every demand waits for a wave."""

    __tablename__ = "models"

    name: Mapped[str] = mapped_column(primary_key=True)
    holdings_wave: Mapped[int | None]


class HoldingRow(Base):
    """What a model's sample store holds of a subject, whose id is kept composed (NFC), as in every table."""

    __tablename__ = "holdings"

    # the subject first: the index serves the question who of these people is held, whatever the model
    subject_id: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(ForeignKey("models.name"), primary_key=True)
    num_train: Mapped[int]
    num_held_out: Mapped[int]


class FileRow(Base):
    """A file of demands that was taken, or rejected for the reason given."""

    __tablename__ = "intake_files"

    number: Mapped[int] = mapped_column(primary_key=True)
    # of all that tells one file from another: a name alone may be long for an index
    digest: Mapped[str] = mapped_column(unique=True)
    source: Mapped[str]
    name: Mapped[str]
    version: Mapped[str]
    etag: Mapped[str]
    modified_at: Mapped[datetime]
    taken_at: Mapped[datetime]
    reason: Mapped[str | None]


class RequestRow(Base):
    """A subject's demand."""

    __tablename__ = "requests"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    subject_id: Mapped[str]
    received_at: Mapped[datetime]
    due_at: Mapped[datetime]
    reference: Mapped[str | None]
    file_number: Mapped[int | None] = mapped_column(ForeignKey("intake_files.number"))
    law: Mapped[Law] = mapped_column(String, server_default="gdpr")
    # that stand under it: whoever asks again adds one
    num_demands: Mapped[int] = mapped_column(server_default="1")
    # how much later it is due once it is extended; where its clock stands still, both terms move on together
    extension_seconds: Mapped[float] = mapped_column(server_default="0")


class ExtensionRow(Base):
    """The one time that a request's due date was put off, for the reason given."""

    __tablename__ = "extensions"

    request_number: Mapped[int] = mapped_column(ForeignKey("requests.number"), primary_key=True, autoincrement=False)
    reason: Mapped[str]
    extended_at: Mapped[datetime]
    due_before: Mapped[datetime]


class HoldRow(Base):
    """A hold on a request, which stays on record after its release."""

    __tablename__ = "holds"
    __table_args__ = (
        Index(
            "one_hold",
            "request_number",
            unique=True,
            sqlite_where=text("released_at IS NULL"),
            postgresql_where=text("released_at IS NULL"),
        ),
    )

    number: Mapped[int] = mapped_column(primary_key=True)
    request_number: Mapped[int] = mapped_column(ForeignKey("requests.number"), index=True)
    reason: Mapped[str]
    held_at: Mapped[datetime]
    released_at: Mapped[datetime | None]
    kind: Mapped[HoldKind] = mapped_column(String, server_default="legal")
    # that are needed before a wave may take the request
    num_approvals: Mapped[int] = mapped_column(server_default="0")


class ApprovalRow(Base):
    """Somebody's word that a request is to be honoured; the key counts nobody twice."""

    __tablename__ = "approvals"

    hold_number: Mapped[int] = mapped_column(ForeignKey("holds.number"), primary_key=True, autoincrement=False)
    # as it was typed, but for its case
    name_folded: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    approved_at: Mapped[datetime]


class DenialRow(Base):
    """The decision that a request is not honoured, for the reason given."""

    __tablename__ = "denials"

    request_number: Mapped[int] = mapped_column(ForeignKey("requests.number"), primary_key=True, autoincrement=False)
    reason: Mapped[str]
    denied_at: Mapped[datetime]


class WaveRow(Base):
    """A wave of one model, and the lease on it while it is open."""

    __tablename__ = "waves"
    __table_args__ = (
        CheckConstraint("kind IN ('base', 'deletion')", name="wave_kind"),
        CheckConstraint("state IN ('open', 'complete', 'parked')", name="wave_state"),
        Index(
            "one_open_wave",
            "model",
            unique=True,
            sqlite_where=text("state = 'open'"),
            postgresql_where=text("state = 'open'"),
        ),
    )

    model: Mapped[str] = mapped_column(ForeignKey("models.name"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[WaveKind] = mapped_column(String)
    state: Mapped[WaveState] = mapped_column(String)
    holder: Mapped[str]
    lease_token: Mapped[str]
    heartbeat_at: Mapped[datetime]
    lease_expires_at: Mapped[datetime]
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    attempt: Mapped[int | None]
    note: Mapped[str | None]
    parent_version: Mapped[str | None]
    version: Mapped[str | None]
    commit: Mapped[str | None]
    summary: Mapped[dict[str, Any] | None]
    comparison: Mapped[dict[str, Any] | None]
    # None unless parked, and where an earlier release has parked it
    parked_as: Mapped[ParkedAs | None] = mapped_column(String)


class OutcomeRow(Base):
    """Where a request stands for one model."""

    __tablename__ = "request_outcomes"
    __table_args__ = (
        ForeignKeyConstraint(["model", "wave_number"], ["waves.model", "waves.number"]),
        CheckConstraint(
            "state IN ('pending', 'in_wave', 'held', 'completed', 'withdrawn', 'denied', 'already_forgotten', "
            "'nothing_held', 'unmatched')",
            name="outcome_state",
        ),
        CheckConstraint("state <> 'in_wave' OR wave_number IS NOT NULL", name="in_wave_names_it"),
        Index(
            "one_live_request",
            "subject_id",
            "model",
            unique=True,
            sqlite_where=text("state IN ('pending', 'in_wave', 'held', 'unmatched')"),
            postgresql_where=text("state IN ('pending', 'in_wave', 'held', 'unmatched')"),
        ),
        Index("outcomes_by_subject", "subject_id"),
        Index("outcomes_by_state", "model", "state"),
        Index("outcomes_by_wave", "model", "wave_number"),
    )

    request_number: Mapped[int] = mapped_column(ForeignKey("requests.number"), primary_key=True)
    model: Mapped[str] = mapped_column(ForeignKey("models.name"), primary_key=True)
    # the request's, repeated so that the schema itself can refuse a second live request of a subject
    subject_id: Mapped[str]
    state: Mapped[OutcomeState] = mapped_column(String)
    wave_number: Mapped[int | None]
    decided_at: Mapped[datetime | None]
    receipt: Mapped[dict[str, Any] | None]


class ErasureRow(Base):
    """The intent to destroy the keys of a completed request's person, and how far that has come."""

    __tablename__ = "erasures"
    __table_args__ = (
        ForeignKeyConstraint(
            ["request_number", "model"], ["request_outcomes.request_number", "request_outcomes.model"]
        ),
    )

    request_number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    model: Mapped[str] = mapped_column(primary_key=True)
    intended_at: Mapped[datetime]
    erase_after: Mapped[datetime]
    started_at: Mapped[datetime | None]
    keys_destroyed_at: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]
    # of the person's files in the source, where these are deleted with the keys
    source_begun_at: Mapped[datetime | None]
    source_deleted_at: Mapped[datetime | None]
    source_left: Mapped[list[str] | None]


class ConsumerRow(Base):
    """A program that serves a model, and the version that it has reported last."""

    __tablename__ = "consumers"

    model: Mapped[str] = mapped_column(ForeignKey("models.name"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    added_at: Mapped[datetime]
    version: Mapped[str | None]
    serves_since: Mapped[datetime | None]
    seen_at: Mapped[datetime | None]


class ReceiptDraftRow(Base):
    """What was known of a person before the keys were destroyed, until the receipt is issued."""

    __tablename__ = "receipt_drafts"
    __table_args__ = (ForeignKeyConstraint(["request_number", "model"], ["erasures.request_number", "erasures.model"]),)

    request_number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    model: Mapped[str] = mapped_column(primary_key=True)
    content: Mapped[str]


class ReceiptRow(Base):
    """A receipt of erasure: its entry in the model's chain for ever, its body until its retention ends."""

    __tablename__ = "receipts"
    __table_args__ = (
        ForeignKeyConstraint(["request_number", "model"], ["erasures.request_number", "erasures.model"]),
        Index("one_receipt", "request_number", "model", unique=True),
    )

    model: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    request_number: Mapped[int]
    # the line that git has of it, byte by byte
    entry: Mapped[str]
    # under a key that the key store has
    sealed: Mapped[bytes | None]
    destroyed_at: Mapped[datetime | None]
    # one that has the entry; None until there is one
    commit: Mapped[str | None]


class ReproductionRow(Base):
    """The last time that a wave was run again."""

    __tablename__ = "reproductions"
    __table_args__ = (ForeignKeyConstraint(["model", "wave_number"], ["waves.model", "waves.number"]),)

    model: Mapped[str] = mapped_column(primary_key=True)
    wave_number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    content: Mapped[str]


class ClearWaveRow(Base):
    """A wave whose files lay in clear and are to be destroyed; they are once there is a time."""

    __tablename__ = "clear_waves"
    __table_args__ = (ForeignKeyConstraint(["model", "wave_number"], ["waves.model", "waves.number"]),)

    model: Mapped[str] = mapped_column(primary_key=True)
    wave_number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    begun_at: Mapped[datetime]
    destroyed_at: Mapped[datetime | None]


class RollbackRow(Base):
    """A return of the champion to an earlier version; unfinished until its requests are open again."""

    __tablename__ = "rollbacks"
    __table_args__ = (
        ForeignKeyConstraint(["model", "wave_number"], ["waves.model", "waves.number"]),
        Index(
            "one_unfinished_rollback",
            "model",
            unique=True,
            sqlite_where=text("finished_at IS NULL"),
            postgresql_where=text("finished_at IS NULL"),
        ),
    )

    model: Mapped[str] = mapped_column(ForeignKey("models.name"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    # whose lease guards it, and which forgets anew
    wave_number: Mapped[int]
    from_version: Mapped[str]
    to_version: Mapped[str]
    reason: Mapped[str]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class UndoneWaveRow(Base):
    """A wave whose version is no longer in the champion's line; the key lets none be undone twice."""

    __tablename__ = "undone_waves"
    __table_args__ = (
        ForeignKeyConstraint(["model", "wave_number"], ["waves.model", "waves.number"]),
        ForeignKeyConstraint(["model", "rollback_number"], ["rollbacks.model", "rollbacks.number"]),
    )

    model: Mapped[str] = mapped_column(primary_key=True)
    wave_number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    rollback_number: Mapped[int]


class UndoneOutcomeRow(Base):
    """How a request stood for a model before a rollback opened it again."""

    __tablename__ = "undone_outcomes"
    __table_args__ = (
        ForeignKeyConstraint(
            ["request_number", "model"], ["request_outcomes.request_number", "request_outcomes.model"]
        ),
        ForeignKeyConstraint(["model", "rollback_number"], ["rollbacks.model", "rollbacks.number"]),
    )

    request_number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    model: Mapped[str] = mapped_column(primary_key=True)
    rollback_number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    state: Mapped[OutcomeState] = mapped_column(String)
    wave_number: Mapped[int | None]
    decided_at: Mapped[datetime | None]
    receipt: Mapped[dict[str, Any] | None]


class NightRow(Base):
    """When a model's nights ended last, and when one did without a failure."""

    __tablename__ = "nights"

    model: Mapped[str] = mapped_column(ForeignKey("models.name"), primary_key=True)
    ended_at: Mapped[datetime]
    good_at: Mapped[datetime | None]


class AlertRow(Base):
    """What somebody is to be told: of one thing once, or once on each of its days."""

    __tablename__ = "alerts"
    __table_args__ = (Index("one_alert", "model", "kind", "object", "day", unique=True),)

    number: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(ForeignKey("models.name"))
    kind: Mapped[str]
    object: Mapped[str]
    # empty where it is told once for all
    day: Mapped[str]
    raised_at: Mapped[datetime]
    line: Mapped[str]


class AlertDeliveryRow(Base):
    """How far it has come that an alert is told over a channel."""

    __tablename__ = "alert_deliveries"

    alert_number: Mapped[int] = mapped_column(ForeignKey("alerts.number"), primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    # while somebody is telling it
    claimed_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    # of the last try
    failure: Mapped[str | None]


class ApiTokenRow(Base):
    """A token by which a program of the company's asks over HTTP. Of the token itself there is a digest alone."""

    __tablename__ = "api_tokens"

    name: Mapped[str] = mapped_column(primary_key=True)
    # the part of the token that finds it, which opens nothing
    key_id: Mapped[str] = mapped_column(unique=True)
    digest: Mapped[str]
    scopes: Mapped[list[str]]
    added_at: Mapped[datetime]
    # its row stays: logs have its name
    revoked_at: Mapped[datetime | None]


class PostedRow(Base):
    """The answer to a demand that came over HTTP with a key of its sender's: said again, it is answered alike."""

    __tablename__ = "posted_demands"

    token: Mapped[str] = mapped_column(ForeignKey("api_tokens.name"), primary_key=True)
    key_digest: Mapped[str] = mapped_column(primary_key=True)
    demand_digest: Mapped[str]
    request_number: Mapped[int] = mapped_column(ForeignKey("requests.number"))
    is_new: Mapped[bool]
    due_at: Mapped[datetime]


class DsrRow(Base):
    """A request of OpenDSR: its sender's id, and the request that it stands under."""

    __tablename__ = "opendsr_requests"

    # each sender has ids of its own, and knows no other's
    token: Mapped[str] = mapped_column(ForeignKey("api_tokens.name"), primary_key=True)
    subject_request_id: Mapped[str] = mapped_column(primary_key=True)
    # of all that was sent: said again it is the same
    digest: Mapped[str]
    request_number: Mapped[int] = mapped_column(ForeignKey("requests.number"), index=True)
    # that request and earlier ones, which do a part of it; by their ids
    stands_under: Mapped[list[str]]
    received_at: Mapped[datetime]
    cancelled_at: Mapped[datetime | None]


class DsrCallbackRow(Base):
    """An address that is told what becomes of a request of OpenDSR, and which status it was told last."""

    __tablename__ = "opendsr_callbacks"
    __table_args__ = (
        ForeignKeyConstraint(
            ["token", "subject_request_id"], ["opendsr_requests.token", "opendsr_requests.subject_request_id"]
        ),
    )

    token: Mapped[str] = mapped_column(primary_key=True)
    subject_request_id: Mapped[str] = mapped_column(primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    url: Mapped[str]
    told: Mapped[str] = mapped_column(index=True)
    # that have failed one after the other
    num_tries: Mapped[int]
    # while somebody is telling it
    claimed_at: Mapped[datetime | None]
