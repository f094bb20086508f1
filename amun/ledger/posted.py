"""Demands that come over HTTP: one at a time, answered alike however often the sender says them again.

The key by which a sender says that a demand is the same one is kept in the transaction of the request: whoever is
killed in between has recorded both, or neither.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from amun.core.errors import InputError
from amun.core.subject_ids import normalise
from amun.ledger.checks import format_request_id, parse_request_id
from amun.ledger.database import Database
from amun.ledger.demands import Demand
from amun.ledger.intake import Unknown, check_demands, record_demands, require_models
from amun.ledger.schema import PostedRow


class KeyReusedError(InputError):
    """A key was given with one demand before, and now with another."""


@dataclass(frozen=True)
class Posted:
    """The answer to a demand, which says nothing of what is held of anybody.

    Attributes:
        request_id: the request it stands under.
        is_new: that request was recorded for it; false where an earlier one still waits or is in the open wave.
        due_at: when that request was due, as it was answered first.
        is_repeated: the demand had come with this key before.
    """

    request_id: str
    is_new: bool
    due_at: datetime
    is_repeated: bool


class PostBook(Database):
    """The part of the ledger that takes demands which come over HTTP."""

    def take_posted(self, demand: Demand, *, token: str, key: str | None, now: datetime) -> Posted:
        """Records a demand as `add_demands` does; said again with the same key it is answered as it was, and no more.

        Args:
            demand: one subject's.
            token: name of the token that it came with; each has keys of its own.
            key: of the sender's choice; None where a demand said again is to be looked at anew.
            now: the present time.

        Raises:
            InputError: as `add_demands`; nothing is recorded.
            KeyReusedError: the key came with another demand before; nothing is recorded.
        """
        (checked,) = check_demands([demand], now)
        place = (token, _digest(key)) if key is not None else None
        digest = _digest_demand(demand)
        with self._write() as session:
            if place is not None and (row := session.get(PostedRow, place)) is not None:
                if row.demand_digest != digest:
                    raise KeyReusedError("the idempotency key came with another demand before; draw a new key for each")
                return Posted(format_request_id(row.request_number), row.is_new, row.due_at, is_repeated=True)
            (added,) = record_demands(session, [checked], self.name, now, Unknown())
            if place is not None:
                row = PostedRow(token=place[0], key_digest=place[1], demand_digest=digest)
                row.request_number, row.is_new = parse_request_id(added.request_id), added.is_new
                row.due_at = added.due_at
                session.add(row)
            return Posted(added.request_id, added.is_new, added.due_at, is_repeated=False)

    def require_models(self) -> None:
        """Refuses a ledger that can take no demand.

        Raises:
            InputError: no model is registered.
        """
        with self._read() as session:
            require_models(session, self.name)


def _digest_demand(demand: Demand) -> str:
    """Returns what is the same for one demand written in several ways: its id composed or not, its time in any zone."""
    at = None if demand.received_at is None else demand.received_at.astimezone(UTC).isoformat()
    return _digest(json.dumps([normalise(demand.subject_id), at, demand.reference, demand.law]))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
