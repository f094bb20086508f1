"""The ledger: who asked to be forgotten and what became of it, and the only truth on mutual exclusion."""

from amun.ledger.heartbeat import Heartbeat, heartbeat
from amun.ledger.holder import describe_holder, is_holder_alive
from amun.ledger.overview import Overview
from amun.ledger.records import (
    AddedOutcome,
    AddedRequest,
    Claim,
    Held,
    Holding,
    OpenWave,
    Outcome,
    OutcomeState,
    Request,
    Rollback,
    Status,
    UndoneOutcome,
    Wave,
    WaveKind,
    WaveState,
)
from amun.ledger.requests import RequestBook
from amun.ledger.rollbacks import RollbackBook

__all__ = [
    "AddedOutcome",
    "AddedRequest",
    "Claim",
    "Heartbeat",
    "Held",
    "Holding",
    "Ledger",
    "OpenWave",
    "Outcome",
    "OutcomeState",
    "Request",
    "Rollback",
    "Status",
    "UndoneOutcome",
    "Wave",
    "WaveKind",
    "WaveState",
    "describe_holder",
    "heartbeat",
    "is_holder_alive",
]


class Ledger(RequestBook, RollbackBook, Overview):
    """Requests and waves of every model, in one SQLite file or Postgres database."""
