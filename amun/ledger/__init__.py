"""The ledger: who asked to be forgotten and what became of it, and the only truth on mutual exclusion."""

from amun.ledger.alert_records import Alert, AlertDelivery, FileNews, NewAlert, Night
from amun.ledger.alerts import AlertBook
from amun.ledger.api_tokens import ApiToken, TokenBook
from amun.ledger.bounds import Bounds, Pace
from amun.ledger.causes import CauseBook
from amun.ledger.clear_waves import ClearBook
from amun.ledger.clock import ClockBook
from amun.ledger.consumers import ConsumerBook
from amun.ledger.demands import AddedOutcome, AddedRequest, Demand, FileId, TakenFile
from amun.ledger.erasures import ErasureBook
from amun.ledger.extensions import ExtensionBook
from amun.ledger.files import FileBook
from amun.ledger.fleet import FleetBook, ModelStanding
from amun.ledger.heartbeat import Heartbeat, heartbeat
from amun.ledger.holder import describe_holder, is_holder_alive
from amun.ledger.holds import HoldBook
from amun.ledger.intake import UnmatchedError
from amun.ledger.opendsr import DsrBook
from amun.ledger.pending import PendingBook
from amun.ledger.posted import KeyReusedError, PostBook, Posted
from amun.ledger.receipts import ReceiptBook
from amun.ledger.records import (
    Claim,
    ClearedWave,
    Consumer,
    DraftedReceipt,
    Erasure,
    Extension,
    Hold,
    Holding,
    IssuedReceipt,
    OpenWave,
    Outcome,
    OutcomeState,
    ParkedAs,
    PlannedErasure,
    Request,
    Rollback,
    SourceDeletion,
    Status,
    UndoneOutcome,
    Wave,
    WaveBusy,
    WaveKind,
    WaveState,
)
from amun.ledger.rollbacks import RollbackBook
from amun.ledger.source_deletions import SourceBook

__all__ = [
    "AddedOutcome",
    "AddedRequest",
    "Alert",
    "AlertDelivery",
    "ApiToken",
    "Bounds",
    "Claim",
    "ClearedWave",
    "Consumer",
    "Demand",
    "DraftedReceipt",
    "Erasure",
    "Extension",
    "FileId",
    "FileNews",
    "Heartbeat",
    "Hold",
    "Holding",
    "IssuedReceipt",
    "KeyReusedError",
    "Ledger",
    "ModelStanding",
    "NewAlert",
    "Night",
    "OpenWave",
    "Outcome",
    "OutcomeState",
    "Pace",
    "ParkedAs",
    "PlannedErasure",
    "Posted",
    "Request",
    "Rollback",
    "SourceDeletion",
    "Status",
    "TakenFile",
    "UndoneOutcome",
    "UnmatchedError",
    "Wave",
    "WaveBusy",
    "WaveKind",
    "WaveState",
    "describe_holder",
    "heartbeat",
    "is_holder_alive",
]


class Ledger(
    HoldBook,
    ExtensionBook,
    FileBook,
    RollbackBook,
    ErasureBook,
    ReceiptBook,
    SourceBook,
    ConsumerBook,
    ClearBook,
    ClockBook,
    AlertBook,
    CauseBook,
    TokenBook,
    PostBook,
    DsrBook,
    FleetBook,
    PendingBook,
):
    """Requests, waves and receipts of every model, in one SQLite file or Postgres database."""
