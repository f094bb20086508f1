"""Requests as privacy suites send them (OpenDSR 2.0): known by their senders' ids; who sent one is told of its end."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import ColumnElement, exists, or_, select, update
from sqlalchemy.orm import Session

from amun.core.databases import split_chunks
from amun.core.errors import InputError
from amun.ledger.checks import format_request_id, parse_request_id
from amun.ledger.demands import Demand
from amun.ledger.intake import Unknown, check_demands, record_demands
from amun.ledger.posted import KeyReusedError
from amun.ledger.records import Outcome, Request
from amun.ledger.requests import RequestBook, read_requests, select_outcomes, withdraw
from amun.ledger.schema import LIVE_STATES, WAITING_STATES, DsrCallbackRow, DsrRow, OutcomeRow, RequestRow

DsrStatus = Literal["pending", "in_progress", "completed", "cancelled"]
FINAL: tuple[DsrStatus, ...] = ("completed", "cancelled")
MAX_TRIES = 14  # of telling one address; a night makes one
CLAIM_TIME = timedelta(minutes=10)  # after which whoever was telling an address is taken for dead
IS_OPEN = DsrCallbackRow.told.not_in(FINAL), DsrCallbackRow.num_tries < MAX_TRIES


class NotPendingError(InputError):
    """A request cannot be cancelled any more."""


@dataclass(frozen=True)
class DsrDemand:
    """What a request of OpenDSR has besides the demand.

    Attributes:
        subject_request_id: its sender's id, a UUID.
        token: name of the token that it came with; its sender is known by that.
        digest: of all that was sent.
        callback_urls: whom to tell.
    """

    subject_request_id: str
    token: str
    digest: str
    callback_urls: Sequence[str] = ()


@dataclass(frozen=True)
class Dsr:
    """Where a request of OpenDSR stands.

    Attributes:
        subject_request_id: its sender's id.
        token: name of the token that it came with.
        request_id: the request it stands under.
        received_at: when it came here.
        due_at: when that request is due, as things stand.
        status: in the standard's words.
    """

    subject_request_id: str
    token: str
    request_id: str
    received_at: datetime
    due_at: datetime
    status: DsrStatus


@dataclass(frozen=True)
class Callback:
    """What an address is to be told.

    Attributes:
        dsr: the request, as it stands.
        place: of the address, among those of the request.
        url: the address.
        told: the status that it was told last.
        num_tries: that have failed since.
    """

    dsr: Dsr
    place: int
    url: str
    told: str
    num_tries: int


class DsrBook(RequestBook):
    """The part of the ledger that keeps requests of OpenDSR."""

    def take_dsr(self, demand: Demand, dsr: DsrDemand, *, now: datetime) -> Dsr:
        """Records a demand as `add_demands` does, under its sender's id; said again it is answered, and no more.

        Raises:
            InputError: as `add_demands`; nothing is recorded.
            KeyReusedError: the id came with another request before, or with one that was cancelled.
        """
        checked = check_demands([demand], now)
        with self._write() as session:
            if (known := session.get(DsrRow, (dsr.token, dsr.subject_request_id))) is not None:
                if known.digest != dsr.digest:
                    raise KeyReusedError("this subject_request_id came with another request before; draw a new one")
                if known.cancelled_at is not None:
                    raise KeyReusedError("this request was cancelled; draw a new subject_request_id")
                return _describe(session, [known], now)[0]
            (added,) = record_demands(session, checked, self.name, now, Unknown())
            row = DsrRow(
                token=dsr.token,
                subject_request_id=dsr.subject_request_id,
                digest=dsr.digest,
                request_number=parse_request_id(added.request_id),
                stands_under=sorted({one.request_id for one in added.outcomes}, key=parse_request_id),
                received_at=now,
            )
            session.add(row)
            session.flush()
            for place, url in enumerate(dsr.callback_urls):
                # the answer to the request has told the first status
                told = {"place": place, "url": url, "told": "pending", "num_tries": 0}
                session.add(DsrCallbackRow(token=row.token, subject_request_id=row.subject_request_id, **told))
            return _describe(session, [row], now)[0]

    def find_dsr(self, token: str, subject_request_id: str, *, now: datetime) -> Dsr | None:
        """Returns a request by its sender and that sender's id; None where there is none, or another has sent it."""
        with self._read() as session:
            row = session.get(DsrRow, (token, subject_request_id))
            return None if row is None else _describe(session, [row], now)[0]

    def cancel_dsr(self, token: str, subject_request_id: str, *, now: datetime) -> Dsr | None:
        """Cancels a request that is still pending, and returns it as it then stands; None as `find_dsr`.

        A request that it stands under is withdrawn once every demand that stands under that is cancelled.

        Raises:
            NotPendingError: it is under way, or over.
        """
        with self._write() as session:
            row = session.get(DsrRow, (token, subject_request_id))
            if row is None:
                return None
            (dsr,) = _describe(session, [row], now)
            if dsr.status != "pending":
                raise NotPendingError(f"it is {dsr.status}; only a pending request can be cancelled")
            row.cancelled_at = now
            for request_id in row.stands_under:
                _take_back(session, self.name, request_id, now)
            session.flush()
            return _describe(session, [row], now)[0]

    def has_callbacks(self) -> bool:
        """Tells whether an address is still to be told of something, now or later."""
        with self._read() as session:
            return session.scalar(select(DsrCallbackRow).where(*IS_OPEN).limit(1)) is not None

    def list_callbacks(self, now: datetime) -> list[Callback]:
        """Returns whom to tell of a status that they have not been told, but for those whom somebody tells just now."""
        query = (
            select(DsrCallbackRow, DsrRow)
            .join(DsrRow)
            .where(*IS_OPEN, _is_free(now))
            .order_by(DsrRow.request_number, DsrCallbackRow.place)
        )
        with self._read() as session:
            rows = session.execute(query).tuples().all()
            described = _describe(session, [row for _, row in rows], now)
            return [
                Callback(dsr, row.place, row.url, row.told, row.num_tries)
                for (row, _), dsr in zip(rows, described, strict=True)
                if dsr.status != row.told
            ]

    def claim_callback(self, callback: Callback, now: datetime) -> bool:
        """Keeps others from telling it; False where somebody tells it, or has tried to since it was listed."""
        is_as_listed = DsrCallbackRow.told == callback.told, DsrCallbackRow.num_tries == callback.num_tries
        return self._change(callback, [_is_free(now), *is_as_listed], claimed_at=now)

    def settle_callback(self, callback: Callback, claimed_at: datetime, *, is_told: bool) -> None:
        """Records that it was told, or is to be told again; nothing where others have taken it for theirs since."""
        came_of_it = {"told": callback.dsr.status, "num_tries": 0} if is_told else {"num_tries": callback.num_tries + 1}
        self._change(callback, [DsrCallbackRow.claimed_at == claimed_at], claimed_at=None, **came_of_it)

    def _change(
        self, callback: Callback, conditions: Iterable[ColumnElement[bool]], **values: str | int | datetime | None
    ) -> bool:
        """Changes its row where all this is so, and tells whether it was."""
        is_meant = (
            DsrCallbackRow.token == callback.dsr.token,
            DsrCallbackRow.subject_request_id == callback.dsr.subject_request_id,
            DsrCallbackRow.place == callback.place,
        )
        changed = update(DsrCallbackRow).where(*is_meant, *conditions).values(**values)
        with self._write() as session:
            return session.execute(changed.returning(DsrCallbackRow.place)).first() is not None


def _is_free(now: datetime) -> ColumnElement[bool]:
    return or_(DsrCallbackRow.claimed_at.is_(None), DsrCallbackRow.claimed_at <= now - CLAIM_TIME)


def _take_back(session: Session, ledger: str, request_id: str, now: datetime) -> None:
    """Takes one demand of those that stand under a request; after the last one it is withdrawn where it waits."""
    row = session.get_one(RequestRow, parse_request_id(request_id))
    row.num_demands -= 1
    session.flush()
    waits = OutcomeRow.request_number == row.number, OutcomeRow.state.in_(WAITING_STATES)
    if not row.num_demands and session.scalar(select(exists().where(*waits))):
        withdraw(session, ledger, request_id, None, now)


def _describe(session: Session, rows: Sequence[DsrRow], now: datetime) -> list[Dsr]:
    numbers = sorted({row.request_number for row in rows})
    people: dict[str, list[Request]] = defaultdict(list)
    of_numbers: dict[str, Request] = {}
    for chunk in split_chunks(numbers):
        same = select(RequestRow.subject_id).where(RequestRow.number.in_(chunk)).correlate(None)
        for request in read_requests(session, select_outcomes().where(OutcomeRow.subject_id.in_(same))):
            if request.request_id not in of_numbers:
                people[request.subject_id].append(request)
            of_numbers[request.request_id] = request
    described = []
    for row in rows:
        request = of_numbers[format_request_id(row.request_number)]
        under = [of_numbers[request_id] for request_id in row.stands_under]
        status = choose_status(under, people[request.subject_id]) if row.cancelled_at is None else "cancelled"
        due_at = request.find_due(now)
        described.append(Dsr(row.subject_request_id, row.token, request.request_id, row.received_at, due_at, status))
    return described


def choose_status(under: Sequence[Request], of_person: Sequence[Request]) -> DsrStatus:
    """Returns where a demand stands, for all models together.

    It is completed once every model has forgotten the person, and whose data were sealed is erased. It is cancelled
    where somebody has taken back or denied a part of it, and nothing of it is left to be done.

    Args:
        under: what it stands under, oldest first: earlier requests may do a part of it.
        of_person: all requests of the person, oldest first.
    """
    outcomes = {outcome.model: outcome for request in under for outcome in request.outcomes}
    stands = [_find_stand(outcome, of_person) for outcome in outcomes.values()]
    if any(one.state in LIVE_STATES for one in stands):
        concerned = [one for one in stands if one.state in (*LIVE_STATES, "completed")]
        return "pending" if all(one.state in WAITING_STATES for one in concerned) else "in_progress"
    if any(one.state in ("withdrawn", "denied") for one in stands):
        return "cancelled"
    is_erased = [one.erasure is None or one.erasure.erased_at is not None for one in stands if one.state == "completed"]
    return "completed" if all(is_erased) else "in_progress"


def _find_stand(outcome: Outcome, of_person: Sequence[Request]) -> Outcome:
    """Returns what decides for a model: of whom it had forgotten before, the request that had it done."""
    if outcome.state != "already_forgotten":
        return outcome
    every = [one for each in of_person for one in each.outcomes if one.model == outcome.model]
    done = [one for one in every if one.state != "already_forgotten"]
    # a rollback may have opened that one, and somebody have taken it back
    return next((one for one in reversed(done) if one.state not in ("denied", "withdrawn")), done[-1])
