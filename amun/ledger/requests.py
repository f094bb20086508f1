"""Requests: who asked to be forgotten, when it is due, and where it stands for each model."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, Literal

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from amun.core.databases import split_chunks
from amun.core.errors import InputError
from amun.core.near_ids import suggest_ids
from amun.evidence.attempts import Receipt
from amun.ledger.checks import check_reason, format_request_id, parse_request_id
from amun.ledger.choosing import choose_requests, select_numbers
from amun.ledger.database import Database
from amun.ledger.demands import AddedRequest, Demand
from amun.ledger.intake import Unknown, check_demands, record_demands
from amun.ledger.lookups import HOLD_IS_OPEN, check_model
from amun.ledger.matching import select_known
from amun.ledger.records import (
    Approval,
    Denial,
    Erasure,
    Extension,
    Hold,
    Outcome,
    Request,
    SourceDeletion,
    UndoneOutcome,
)
from amun.ledger.schema import (
    WAITING_STATES,
    ApprovalRow,
    DenialRow,
    ErasureRow,
    ExtensionRow,
    HoldRow,
    ModelRow,
    OutcomeRow,
    RequestRow,
    RollbackRow,
    UndoneOutcomeRow,
)

# by request number and model
Undone = dict[tuple[int, str], list[UndoneOutcome]]
Erasures = dict[tuple[int, str], Erasure]


class RequestBook(Database):
    """The part of the ledger that takes and answers requests."""

    def register_model(self, name: str) -> None:
        """Makes the ledger keep requests and waves of a model; twice is once."""
        with self._write() as session:
            if session.get(ModelRow, name) is None:
                session.add(ModelRow(name=name))

    def add_requests(
        self, subject_ids: Sequence[str], *, received_at: datetime | None, now: datetime
    ) -> list[AddedRequest]:
        """Records a demand of each subject, all received at the same time; see `add_demands`."""
        return self.add_demands([Demand(subject, received_at) for subject in subject_ids], now=now)

    def add_demands(
        self,
        demands: Iterable[Demand],
        *,
        now: datetime,
        confirm_unknown: bool = False,
        max_unmatched_share: float | None = None,
        max_held_share: float | None = None,
    ) -> list[AddedRequest]:
        """Records the demands for every registered model, all or none, and returns the answers.

        For each model:

        - a subject with a request that waits, or is in the open wave, is not added again;
        - one already forgotten, or of whom only other models hold something, is answered as such;
        - one whom no model knows is unmatched, until a person confirms that nothing is held;
        - else the request is pending.

        A subject given twice, or in two spellings of the same letters, counts once. A model whose holdings were never
        recorded may hold anybody.

        Args:
            demands: the demands, in the order of the queue.
            now: the present time.
            confirm_unknown: a person has said that nothing is held of those whom no model knows.
            max_unmatched_share: how many of the demands may match nobody, where it is more than a few.
            max_held_share: how many of all whom the models hold may be asked for anew, where it is more than a few.

        Raises:
            InputError: no model is registered, a subject id or reference is empty or unprintable, or `received_at`
                has no zone or lies in the future; nothing is recorded.
            UnmatchedError: too many match nobody; nothing is recorded.
            ManyHeldError: too many are asked for; nothing is recorded.
        """
        checked, unknown = check_demands(demands, now), Unknown(confirm_unknown, max_unmatched_share)
        with self._write() as session:
            return record_demands(session, checked, self.name, now, unknown, max_held_share=max_held_share)

    def suggest_ids(self, subject_ids: Iterable[str]) -> dict[str, list[str]]:
        """Returns for each unknown id the few known ones that may be meant. They name other people."""
        with self._read() as session:
            return suggest_ids(subject_ids, session.scalars(select_known()))

    def confirm_requests(self, request_ids: Sequence[str], *, now: datetime) -> list[Request]:
        """Closes requests that match nobody, all or none, as a person says that nothing is held of them.

        Raises:
            InputError: there is no such request, or it does not wait for this: the line says where it stands.
        """
        with self._write() as session:
            for request_id in request_ids:
                request = self._get_request(session, request_id)
                if not any(outcome.state == "unmatched" for outcome in request.outcomes):
                    raise InputError(
                        f"request {request_id} is {tell_states(request.outcomes)}; only an unmatched one is confirmed"
                    )
            numbers = [parse_request_id(request_id) for request_id in request_ids]
            for chunk in split_chunks(numbers):
                meant = OutcomeRow.request_number.in_(chunk), OutcomeRow.state == "unmatched"
                session.execute(update(OutcomeRow).where(*meant).values(state="nothing_held", decided_at=now))
            for request_id in request_ids:
                end_hold(session, request_id, now)
            return [self._get_request(session, request_id) for request_id in dict.fromkeys(request_ids)]

    def list_requests(
        self,
        model: str | None = None,
        state: str | None = None,
        *,
        search: str = "",
        limit: int | None = None,
        num_later: int = 0,
    ) -> list[Request]:
        """Returns the requests with an outcome of this model and state, in the order of the queue.

        Their `outcomes` are the matching ones only.

        Args:
            model: one of the registered ones; None is any.
            state: None is any.
            search: what id, subject or reference holds, in whatever case; empty for every request.
            limit: the most to return, the latest ones; None is all.
            num_later: how many of the latest are left out before.

        Raises:
            InputError: the model or the state is unknown.
        """
        conditions = choose_requests(model, state, search)
        query = select_outcomes().where(*conditions)
        if limit is not None:
            numbers = select_numbers(conditions).order_by(RequestRow.number.desc()).limit(limit).offset(num_later)
            query = query.where(RequestRow.number.in_(numbers))
        with self._read() as session:
            if model is not None:
                check_model(session, model, self.name)
            return read_requests(session, query)

    def count_requests(self, model: str, state: str | None = None, *, search: str = "") -> int:
        """Returns how many requests `list_requests` has without a limit; raises as it does."""
        numbers = select_numbers(choose_requests(model, state, search)).subquery()
        with self._read() as session:
            check_model(session, model, self.name)
            return session.scalars(select(func.count()).select_from(numbers)).one()

    def get_request(self, request_id: str) -> Request:
        """Returns a request with all its outcomes.

        Raises:
            InputError: there is no such request.
        """
        with self._read() as session:
            return self._get_request(session, request_id)

    def withdraw_request(self, request_id: str, model: str | None = None, *, now: datetime) -> Request:
        """Withdraws a request where it waits, for one model or all, and returns it as it then stands.

        Raises:
            InputError: there is no such request, or it waits nowhere: the line says where it stands.
        """
        with self._write() as session:
            return withdraw(session, self.name, request_id, model, now)

    def deny_request(self, request_id: str, reason: str, *, now: datetime) -> Request:
        """Closes a request where it waits, for every model, as one that is not honoured; returned as it then stands.

        That the person is told why, and where to complain, is the company's to do (GDPR article 12(4)).

        Raises:
            InputError: there is no such request, no reason is given, it waits nowhere, or a model is at it or has
                honoured it.
        """
        check_reason(reason)
        with self._write() as session:
            request = self._get_request(session, request_id)
            if any(outcome.state in ("in_wave", "completed") for outcome in request.outcomes):
                raise InputError(
                    f"request {request_id} is {tell_states(request.outcomes)}; it cannot be denied any more"
                )
            withdraw(session, self.name, request_id, None, now, "denied")
            session.add(DenialRow(request_number=parse_request_id(request_id), reason=reason, denied_at=now))
            session.flush()
            return self._get_request(session, request_id)

    def _get_request(self, session: Session, request_id: str) -> Request:
        return find_request(session, self.name, request_id)


def find_request(session: Session, ledger: str, request_id: str) -> Request:
    """Returns a request with all its outcomes.

    Raises:
        InputError: there is no such request.
    """
    found = read_requests(session, select_outcomes().where(RequestRow.number == parse_request_id(request_id)))
    if not found:
        raise InputError(f"no request {request_id} in the ledger {ledger}; `amun request list` shows them")
    return found[0]


def withdraw(
    session: Session,
    ledger: str,
    request_id: str,
    model: str | None,
    now: datetime,
    state: Literal["withdrawn", "denied"] = "withdrawn",
) -> Request:
    """Closes a request where it waits; see `RequestBook.withdraw_request`."""
    request = find_request(session, ledger, request_id)
    asked = [outcome for outcome in request.outcomes if model in (None, outcome.model)]
    waiting = [outcome.model for outcome in asked if outcome.state in WAITING_STATES]
    if not waiting:
        states = tell_states(asked) or f"not open for {model}"
        raise InputError(f"request {request_id} is {states}; only a pending request can be {state}")
    for name in waiting:
        row = session.get_one(OutcomeRow, (parse_request_id(request_id), name))
        row.state, row.decided_at = state, now
    session.flush()
    withdrawn = find_request(session, ledger, request_id)
    if not any(outcome.state == "held" or is_erasable(outcome) for outcome in withdrawn.outcomes):
        end_hold(session, request_id, now)
    return find_request(session, ledger, request_id)


def select_outcomes() -> Select[tuple[RequestRow, OutcomeRow]]:
    """Returns the query of all requests with their outcomes, in the order of the queue."""
    joined = select(RequestRow, OutcomeRow).join(OutcomeRow, OutcomeRow.request_number == RequestRow.number)
    return joined.order_by(RequestRow.number, OutcomeRow.model)


def read_requests(session: Session, query: Select[tuple[RequestRow, OutcomeRow]]) -> list[Request]:
    """Returns the requests of such a query, outcomes and holds gathered."""
    rows = session.execute(query).tuples().all()
    numbers = [request.number for request, _ in rows]
    undone, holds = _find_undone(session, numbers), _find_holds(session, numbers)
    erasures, extensions = _find_erasures(session, numbers), _find_extensions(session, numbers)
    denials = _find_denials(session, numbers)
    return [
        Request(
            format_request_id(request.number),
            request.subject_id,
            request.received_at,
            request.due_at,
            request.reference,
            request.file_number,
            tuple(holds.get(request.number, ())),
            tuple(_describe_outcome(outcome, undone, erasures) for _, outcome in group),
            request.law,
            extensions.get(request.number),
            denials.get(request.number),
        )
        for request, group in groupby(rows, key=lambda row: row[0])
    ]


def _find_undone(session: Session, numbers: Sequence[int]) -> Undone:
    """Returns the undone outcomes of requests that are numbered in this order, by request and model."""
    if not numbers:
        return {}
    query = (
        select(UndoneOutcomeRow, RollbackRow)
        .join(RollbackRow)
        .where(UndoneOutcomeRow.request_number.between(numbers[0], numbers[-1]))
        .order_by(UndoneOutcomeRow.rollback_number)
    )
    found: Undone = defaultdict(list)
    for row, rollback in session.execute(query).tuples():
        outcome = UndoneOutcome(
            row.state, row.wave_number, row.decided_at, _read(row.receipt), rollback.started_at, rollback.reason
        )
        found[row.request_number, row.model].append(outcome)
    return found


def _find_holds(session: Session, numbers: Sequence[int]) -> dict[int, list[Hold]]:
    """Returns the holds on requests that are numbered in this order, by request."""
    if not numbers:
        return {}
    is_meant = HoldRow.request_number.between(numbers[0], numbers[-1])
    approvals: dict[int, list[Approval]] = defaultdict(list)
    given = select(ApprovalRow).join(HoldRow).where(is_meant).order_by(ApprovalRow.approved_at)
    for approval in session.scalars(given):
        approvals[approval.hold_number].append(Approval(approval.name, approval.approved_at))
    query = select(HoldRow).where(is_meant).order_by(HoldRow.number)
    found: dict[int, list[Hold]] = defaultdict(list)
    for row in session.scalars(query):
        told = tuple(approvals.get(row.number, ()))
        hold = Hold(row.reason, row.held_at, row.released_at, row.kind, row.num_approvals, told)
        found[row.request_number].append(hold)
    return found


def _find_extensions(session: Session, numbers: Sequence[int]) -> dict[int, Extension]:
    """Returns the extensions of requests that are numbered in this order, by request."""
    if not numbers:
        return {}
    query = select(ExtensionRow).where(ExtensionRow.request_number.between(numbers[0], numbers[-1]))
    return {
        row.request_number: Extension(row.reason, row.extended_at, row.due_before) for row in session.scalars(query)
    }


def _find_denials(session: Session, numbers: Sequence[int]) -> dict[int, Denial]:
    """Returns the denials of requests that are numbered in this order, by request."""
    if not numbers:
        return {}
    query = select(DenialRow).where(DenialRow.request_number.between(numbers[0], numbers[-1]))
    return {row.request_number: Denial(row.reason, row.denied_at) for row in session.scalars(query)}


def _find_erasures(session: Session, numbers: Sequence[int]) -> Erasures:
    """Returns the erasures of requests, by request and model."""
    return {
        (row.request_number, row.model): describe_erasure(row)
        for chunk in split_chunks(numbers)
        for row in session.scalars(select(ErasureRow).where(ErasureRow.request_number.in_(chunk)))
    }


def describe_erasure(row: ErasureRow) -> Erasure:
    """Returns how far an erasure has come."""
    source = None
    if row.source_begun_at is not None:
        source = SourceDeletion(row.source_begun_at, row.source_deleted_at, tuple(row.source_left or ()))
    return Erasure(row.intended_at, row.erase_after, row.started_at, row.keys_destroyed_at, row.erased_at, source)


def is_erasable(outcome: Outcome) -> bool:
    """Tells whether a legal hold can still stop that the person's keys are destroyed."""
    return outcome.erasure is not None and outcome.erasure.started_at is None


def _describe_outcome(row: OutcomeRow, undone: Undone, erasures: Erasures) -> Outcome:
    key = row.request_number, row.model
    history = tuple(undone.get(key, ()))
    return Outcome(
        row.model, row.state, row.wave_number, row.decided_at, _read(row.receipt), history, erasures.get(key)
    )


def _read(receipt: Mapping[str, Any] | None) -> Receipt | None:
    return None if receipt is None else Receipt.model_validate(receipt)


def tell_states(outcomes: Iterable[Outcome]) -> str:
    """Returns where a request stands for each model, in one line."""
    return ", ".join(f"{outcome.state} for {outcome.model}" for outcome in outcomes)


def end_hold(session: Session, request_id: str, now: datetime) -> None:
    """Closes the request's hold, if it has one."""
    is_open = HoldRow.request_number == parse_request_id(request_id), HOLD_IS_OPEN
    session.execute(update(HoldRow).where(*is_open).values(released_at=now))
