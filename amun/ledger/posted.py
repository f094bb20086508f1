"""Demands that come over HTTP: each answered alike however often its sender says it again.

The key by which a sender says that a demand is the same one is kept in the transaction of the request: whoever is
killed in between has recorded both, or neither.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from amun.core.databases import split_chunks
from amun.core.errors import InputError
from amun.core.subject_ids import normalise
from amun.ledger.checks import format_request_id, parse_request_id
from amun.ledger.database import Database
from amun.ledger.demands import AddedRequest, Demand
from amun.ledger.intake import Received, Unknown, check_demands, record_demands, require_models
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


class PostedDemand(NamedTuple):
    """A demand with the name of the token that it came with, and the key of its sender's, if any."""

    demand: Demand
    token: str
    key: str | None


Place = tuple[str, str]  # token and digest of a key


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
        (answer,) = self.take_all_posted([PostedDemand(demand, token, key)], now=now)
        if isinstance(answer, KeyReusedError):
            raise answer
        return answer

    def take_all_posted(self, posted: Sequence[PostedDemand], *, now: datetime) -> list[Posted | KeyReusedError]:
        """Records demands that have come at the same time, in one transaction; each is answered as if it came alone.

        Raises:
            InputError: as `add_demands`; nothing is recorded.
        """
        checked = [check_demands([one.demand], now)[0] for one in posted]
        answers: list[Posted | KeyReusedError | None] = [None] * len(posted)
        with self._write() as session:
            while waiting := [place for place, answer in enumerate(answers) if answer is None]:
                known = _find_known(session, [posted[place] for place in waiting])
                for place in waiting:
                    answers[place] = _repeat(posted[place], known)
                # of one person, or with one key, the first is recorded, and the others are answered by what it made
                new = _choose_distinct([place for place in waiting if answers[place] is None], posted, checked)
                if new:
                    taken = [checked[place] for place in new]
                    added = record_demands(session, taken, self.name, now, Unknown())
                    _record(session, [posted[place] for place in new], added)
                    for place, one in zip(new, added, strict=True):
                        answers[place] = Posted(one.request_id, one.is_new, one.due_at, is_repeated=False)
        return [answer for answer in answers if answer is not None]

    def require_models(self) -> None:
        """Refuses a ledger that can take no demand.

        Raises:
            InputError: no model is registered.
        """
        with self._read() as session:
            require_models(session, self.name)


def _locate(posted: PostedDemand) -> Place | None:
    return None if posted.key is None else (posted.token, _digest(posted.key))


def _find_known(session: Session, posted: Sequence[PostedDemand]) -> dict[Place, PostedRow]:
    """Returns what was answered before to demands with these keys."""
    digests: dict[str, list[str]] = {}
    for place in filter(None, map(_locate, posted)):
        digests.setdefault(place[0], []).append(place[1])
    found: dict[Place, PostedRow] = {}
    # the token comes first in the table's index: without it each demand would read all keys there are
    for token, of_token in digests.items():
        for chunk in split_chunks(of_token):
            query = select(PostedRow).where(PostedRow.token == token, PostedRow.key_digest.in_(chunk))
            found.update({(row.token, row.key_digest): row for row in session.scalars(query)})
    return found


def _repeat(posted: PostedDemand, known: Mapping[Place, PostedRow]) -> Posted | KeyReusedError | None:
    """Returns the answer to a demand whose key is known."""
    place = _locate(posted)
    if place is None or (row := known.get(place)) is None:
        return None
    if row.demand_digest != _digest_demand(posted.demand):
        return KeyReusedError("the idempotency key came with another demand before; draw a new key for each")
    return Posted(format_request_id(row.request_number), row.is_new, row.due_at, is_repeated=True)


def _choose_distinct(places: Sequence[int], posted: Sequence[PostedDemand], checked: Sequence[Received]) -> list[int]:
    """Returns the first of those demands that are of one person or have one key."""
    chosen: list[int] = []
    people, keys = set[str](), set[Place]()
    for number in places:
        subject, place = checked[number].subject_id, _locate(posted[number])
        if subject not in people and place not in keys:
            chosen.append(number)
        people.add(subject)
        if place is not None:
            keys.add(place)
    return chosen


def _record(session: Session, posted: Sequence[PostedDemand], added: Sequence[AddedRequest]) -> None:
    rows = [
        {
            "token": place[0],
            "key_digest": place[1],
            "demand_digest": _digest_demand(one.demand),
            "request_number": parse_request_id(answer.request_id),
            "is_new": answer.is_new,
            "due_at": answer.due_at,
        }
        for one, answer in zip(posted, added, strict=True)
        if (place := _locate(one)) is not None
    ]
    if rows:
        session.execute(insert(PostedRow), rows)


def _digest_demand(demand: Demand) -> str:
    """Returns what is the same for one demand written in several ways: its id composed or not, its time in any zone."""
    at = None if demand.received_at is None else demand.received_at.astimezone(UTC).isoformat()
    told: list[str | None] = [normalise(demand.subject_id), at, demand.reference, demand.law]
    return _digest(json.dumps(told if demand.is_verified else [*told, "unverified"]))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
