"""Taking a demand in: what each model answers, decided from what it holds and what it has forgotten."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import and_, func, insert, select, update
from sqlalchemy.orm import Session

from amun.core.databases import split_chunks
from amun.core.errors import InputError
from amun.core.subject_ids import normalise
from amun.ledger.checks import check_received, check_reference, check_subject, format_request_id, parse_request_id
from amun.ledger.demands import AddedOutcome, AddedRequest, Demand
from amun.ledger.laws import CLOCKS, Law, compute_due, compute_extended_due, stands_still
from amun.ledger.lookups import HOLD_IS_OPEN
from amun.ledger.matching import find_known
from amun.ledger.records import OutcomeState
from amun.ledger.releases import UNAPPROVED, UNVERIFIED, end_doubts
from amun.ledger.schema import LIVE_STATES, ExtensionRow, HoldingRow, HoldRow, InfoRow, ModelRow, OutcomeRow, RequestRow

FEW_PEOPLE = 10  # fewer together are looked at one by one, whatever their share


class Standing(NamedTuple):
    """The request of a subject that decides what a new one would be for a model.

    Attributes:
        state: where it stands.
        number: the request's.
        wave_number: the wave that is at it, or had forgotten the subject.
        due_at: when it is due; less the time for which its clock stands still now.
        law: whose clock it runs by.
        extension_seconds: how much later it would be due once it is extended.
        is_extended: its due date was put off.
        doubted_at: since when nobody knows whether it is the person who asks; None where somebody does.
    """

    state: OutcomeState
    number: int
    wave_number: int | None
    due_at: datetime
    law: Law
    extension_seconds: float
    is_extended: bool
    doubted_at: datetime | None

    def join(self, demand: "Received") -> tuple[datetime, Law]:
        """Returns its due date and law once the person asks again: by the shorter clock of both.

        An extension holds for all demands by its own law. As long as nobody knows who asks, a clock that runs on is
        shorter than one that stands still.
        """
        runs_on = [law for law in (self.law, demand.law) if self.doubted_at is not None and not CLOCKS[law].stops]
        if demand.due_at < self.due_at and not (self.is_extended and demand.law == self.law):
            return demand.due_at, runs_on[0] if runs_on else demand.law
        return self.due_at, runs_on[0] if runs_on else self.law

    def find_extension(self, demand: "Received", due_at: datetime) -> float:
        """Returns by how many seconds its new due date can be put off: until the sooner of both extended terms."""
        extended_due_at = min(self.due_at + timedelta(seconds=self.extension_seconds), demand.extended_due_at)
        return max(extended_due_at - due_at, timedelta()).total_seconds()

    def find_due(self, demand: "Received", now: datetime) -> datetime:
        """Returns when it is due once the person asks again; that moves on as long as its clock stands still."""
        due_at, law = self.join(demand)
        if self.doubted_at is not None and stands_still(law, due_at, self.doubted_at):
            return due_at + (now - self.doubted_at)
        return due_at


Standings = dict[tuple[str, str], Standing]  # by model and subject


class Received(NamedTuple):
    """A demand that was checked; as `Demand` has it, with its due date, and the one once that is put off."""

    subject_id: str
    received_at: datetime
    due_at: datetime
    extended_due_at: datetime
    reference: str | None
    law: Law
    is_verified: bool = True
    num_approvals: int = 0

    @property
    def waits(self) -> bool:
        """Whether somebody has to look before a wave may take it."""
        return not self.is_verified or self.num_approvals > 0

    def join(self, other: "Received") -> "Received":
        """Returns it by the shorter clocks of both."""
        joined = self._replace(extended_due_at=min(self.extended_due_at, other.extended_due_at))
        if other.due_at >= self.due_at:
            return joined
        return joined._replace(received_at=other.received_at, due_at=other.due_at, law=other.law)


class Unknown(NamedTuple):
    """What is done about demands of people whom no model knows.

    Attributes:
        is_confirmed: a person has said that they are right: nothing is held of them.
        max_share: of all demands together; more are not taken, if they are more than a few. None takes any.
    """

    is_confirmed: bool = False
    max_share: float | None = None


class ManyHeldError(InputError):
    """Demands together ask to forget a large part of everybody: whoever made them may have meant others."""

    def __init__(self, num_wanted: int, num_held: int):
        super().__init__(f"it asks to forget {num_wanted} of the {num_held} people whom the models hold")


class UnmatchedError(InputError):
    """Too many demands together match nobody: whoever made them may have meant other ids."""

    def __init__(self, strangers: Sequence[str], num_demands: int, max_share: float):
        super().__init__(
            f"{len(strangers)} of {num_demands} people match nobody in the data, more than intake.max_unmatched_share "
            f"({max_share:g}) allows, so nothing was recorded; spell them as the data do, or take them by "
            "`amun request add --csv FILE --confirm-unknown` where they are right"
        )
        self.strangers = strangers


class Knowledge(NamedTuple):
    """What decides on a subject's demand.

    Attributes:
        standings: of the subject's earlier requests.
        held: whom each model holds, of those who ask; a model without a base may hold anybody.
        known: whom any model is known to hold or to have forgotten, of those whom not every model holds.
        is_confirmed: strangers are right as they are.
        now: the present time.
    """

    standings: Standings
    held: dict[str, set[str]]
    known: set[str]
    is_confirmed: bool
    now: datetime


def check_demands(demands: Iterable[Demand], now: datetime) -> list[Received]:
    """Returns the demands, checked, with ids composed (NFC): each subject's first, by the shortest clock of all theirs.

    Raises:
        InputError: a subject id, time or reference is none.
    """
    checked: dict[str, Received] = {}
    for demand in demands:
        check_subject(demand.subject_id)
        if demand.reference is not None:
            check_reference(demand.reference)
        received_at, subject = check_received(demand.received_at, now), normalise(demand.subject_id)
        terms = compute_due(received_at, demand.law), compute_extended_due(received_at, demand.law)
        waits = demand.is_verified, demand.num_approvals
        received = Received(subject, received_at, *terms, demand.reference, demand.law, *waits)
        kept = checked.get(subject)
        checked[subject] = received if kept is None else kept.join(received)
    return list(checked.values())


def record_demands(
    session: Session,
    demands: Sequence[Received],
    ledger: str,
    now: datetime,
    unknown: Unknown,
    file_number: int | None = None,
    max_held_share: float | None = None,
) -> list[AddedRequest]:
    """Writes a request for each subject that needs one, and returns what becomes of each demand.

    Args:
        session: the transaction.
        demands: one for each subject.
        ledger: its name, for the error.
        now: the present time.
        unknown: what is done about people whom no model knows.
        file_number: the file they came in, if any.
        max_held_share: of all whom the models hold; more are not newly asked for, if they are more than a few.

    Raises:
        InputError: no model is registered.
        UnmatchedError: too many are unknown; nothing was written.
        ManyHeldError: too many are held; nothing was written.
    """
    models = require_models(session, ledger)
    subjects = [demand.subject_id for demand in demands]
    holders = _find_held(session, subjects, [model.name for model in models])
    # until a model's first base is built nobody knows whom it holds: it may be anybody
    held = holders | {model.name: set(subjects) for model in models if model.holdings_wave is None}
    end_doubts(session, {demand.subject_id: demand.num_approvals for demand in demands if demand.is_verified}, now)
    doubtful = [subject for subject in subjects if not all(subject in people for people in held.values())]
    standings, known = _find_standings(session, subjects), find_known(session, doubtful)
    knowledge = Knowledge(standings, held, known, unknown.is_confirmed, now)
    names = [model.name for model in models]
    first_number = session.get_one(InfoRow, 1).next_request
    answers = _answer(demands, names, knowledge, first_number)
    _require_few_strangers(answers, unknown.max_share)
    if max_held_share is not None:
        _require_few_held(session, answers, set().union(*holders.values()), max_held_share)
    _record(session, demands, answers, now, file_number)
    _hasten(session, demands, names, knowledge.standings)
    _count(session, answers)
    return answers


def require_models(session: Session, ledger: str) -> Sequence[ModelRow]:
    """Returns the models that answer a demand, by name.

    Raises:
        InputError: none is registered.
    """
    models = session.scalars(select(ModelRow).order_by(ModelRow.name)).all()
    if not models:
        raise InputError(f"no model is registered in the ledger {ledger}; run `amun init`")
    return models


def _require_few_strangers(answers: Sequence[AddedRequest], max_share: float | None) -> None:
    strangers = [answer.subject_id for answer in answers if answer.is_unmatched]
    if max_share is None or len(strangers) < FEW_PEOPLE:
        return
    if len(strangers) > max_share * len(answers):
        raise UnmatchedError(strangers, len(answers), max_share)


def _require_few_held(session: Session, answers: Iterable[AddedRequest], held: set[str], max_share: float) -> None:
    num_wanted = sum(answer.is_new and answer.subject_id in held for answer in answers)
    num_held = session.scalars(select(func.count(HoldingRow.subject_id.distinct()))).one()
    if num_wanted >= FEW_PEOPLE and num_wanted > max_share * num_held:
        raise ManyHeldError(num_wanted, num_held)


def _find_standings(session: Session, subjects: Sequence[str]) -> Standings:
    """Returns each subject's request that is live, or else completed, for each model."""
    found: Standings = {}
    is_doubted = HoldRow.request_number == RequestRow.number, HOLD_IS_OPEN, HoldRow.kind == "identity"
    for chunk in split_chunks(subjects):
        query = (
            select(
                OutcomeRow.model,
                OutcomeRow.subject_id,
                OutcomeRow.state,
                OutcomeRow.request_number,
                OutcomeRow.wave_number,
                RequestRow.due_at,
                RequestRow.law,
                RequestRow.extension_seconds,
                ExtensionRow.request_number.is_not(None),
                HoldRow.held_at,
            )
            .join(RequestRow, OutcomeRow.request_number == RequestRow.number)
            .join(HoldRow, and_(*is_doubted), isouter=True)
            .join(ExtensionRow, ExtensionRow.request_number == RequestRow.number, isouter=True)
            .where(OutcomeRow.subject_id.in_(chunk), OutcomeRow.state.in_([*LIVE_STATES, "completed"]))
        )
        for model, subject, *standing in session.execute(query):
            found[model, subject] = Standing(*standing)
    return found


def _find_held(session: Session, subjects: Sequence[str], models: Iterable[str]) -> dict[str, set[str]]:
    """Returns which models hold which of the subjects."""
    held: dict[str, set[str]] = {model: set() for model in models}
    for chunk in split_chunks(subjects):
        query = select(HoldingRow.model, HoldingRow.subject_id).where(HoldingRow.subject_id.in_(chunk))
        # the ids that are there already, not the database's copies of a million
        own = {subject: subject for subject in chunk}
        for model, subject in session.execute(query).tuples():
            held[model].add(own[subject])
    return held


def _answer(
    demands: Iterable[Received], models: Sequence[str], knowledge: Knowledge, first_number: int
) -> list[AddedRequest]:
    """Returns what becomes of each subject's demand; new requests are numbered from `first_number`."""
    answers: list[AddedRequest] = []
    number = first_number
    for demand in demands:
        request_id = format_request_id(number)
        outcomes = tuple(_decide(model, demand, knowledge, request_id) for model in models)
        is_new = any(outcome.is_new for outcome in outcomes)
        number += is_new
        shown = next(
            filter(lambda outcome: outcome.is_new, outcomes), min(outcomes, key=lambda outcome: outcome.due_at)
        )
        answers.append(AddedRequest(demand.subject_id, is_new, shown.request_id, shown.due_at, outcomes))
    return answers


def _decide(model: str, demand: Received, knowledge: Knowledge, request_id: str) -> AddedOutcome:
    subject, due_at = demand.subject_id, demand.due_at
    match standing := knowledge.standings.get((model, subject)):
        case None:
            state = _choose_state(model, subject, knowledge)
            if state == "pending" and demand.waits:
                state = "held"
            return AddedOutcome(model, state, True, request_id, due_at, None)
        case Standing(state="completed"):
            return AddedOutcome(model, "already_forgotten", True, request_id, due_at, standing.wave_number)
        case _:
            earlier_id = format_request_id(standing.number)
            earlier_due = standing.find_due(demand, knowledge.now)
            return AddedOutcome(model, standing.state, False, earlier_id, earlier_due, standing.wave_number)


def _choose_state(model: str, subject: str, knowledge: Knowledge) -> OutcomeState:
    """Returns the state of a demand for a model to which this subject has made none before."""
    if subject in knowledge.held[model]:
        return "pending"
    # whoever one model knows is known; an id that no model knows may be spelled otherwise in the data
    return "nothing_held" if subject in knowledge.known or knowledge.is_confirmed else "unmatched"


def _hasten(session: Session, demands: Iterable[Received], models: Sequence[str], standings: Standings) -> None:
    """Lets open requests run by the clock of a later demand that is due sooner: each demand has its own term."""
    for demand in demands:
        for model in models:
            standing = standings.get((model, demand.subject_id))
            if standing is None or standing.state == "completed":
                continue
            due_at, law = standing.join(demand)
            extension = standing.find_extension(demand, due_at)
            if (due_at, law) != (standing.due_at, standing.law):
                request = session.get_one(RequestRow, standing.number)
                request.received_at = min(request.received_at, demand.received_at)
                request.law, request.due_at, request.extension_seconds = law, due_at, extension
            elif extension < standing.extension_seconds:
                session.get_one(RequestRow, standing.number).extension_seconds = extension


def _count(session: Session, answers: Sequence[AddedRequest]) -> None:
    """Counts the demands that stand under earlier requests."""
    ids = {outcome.request_id for answer in answers for outcome in answer.outcomes if not outcome.is_new}
    for chunk in split_chunks(sorted(map(parse_request_id, ids))):
        more = update(RequestRow).where(RequestRow.number.in_(chunk))
        session.execute(more.values(num_demands=RequestRow.num_demands + 1))


def _record(
    session: Session,
    demands: Sequence[Received],
    answers: Sequence[AddedRequest],
    now: datetime,
    file_number: int | None,
) -> None:
    """Writes new requests and their new outcomes, and counts their numbers as used."""
    # of a million rows the database's own copies take more memory than all else
    for asked, answered in zip(split_chunks(demands), split_chunks(answers), strict=True):
        new = [pair for pair in zip(asked, answered, strict=True) if pair[1].is_new]
        if not new:
            continue
        requests: list[dict[str, Any]] = [
            {"number": parse_request_id(answer.request_id), **_list_columns(demand), "file_number": file_number}
            for demand, answer in new
        ]
        outcomes: list[dict[str, Any]] = [
            {
                "request_number": parse_request_id(answer.request_id),
                "model": outcome.model,
                "subject_id": answer.subject_id,
                "state": outcome.state,
                "wave_number": outcome.wave_number,
                "decided_at": None if outcome.state in LIVE_STATES else now,
            }
            for _, answer in new
            for outcome in answer.outcomes
            if outcome.is_new
        ]
        session.execute(insert(RequestRow), requests)
        session.execute(insert(OutcomeRow), outcomes)
        _hold_new(session, new, now)
        session.get_one(InfoRow, 1).next_request += len(new)


def _list_columns(demand: Received) -> dict[str, Any]:
    """Returns what a request's row has of its demand."""
    columns = demand._asdict()
    del columns["is_verified"], columns["num_approvals"], columns["extended_due_at"]
    return columns | {"extension_seconds": (demand.extended_due_at - demand.due_at).total_seconds()}


def _hold_new(session: Session, new: Iterable[tuple[Received, AddedRequest]], now: datetime) -> None:
    """Keeps back those at whom somebody has to look first; of whom something is or may be held."""
    holds = [
        {
            "request_number": parse_request_id(answer.request_id),
            "kind": "approval" if demand.is_verified else "identity",
            "reason": UNAPPROVED if demand.is_verified else UNVERIFIED,
            "held_at": now,
            "num_approvals": demand.num_approvals,
        }
        for demand, answer in new
        if demand.waits and any(outcome.is_new and outcome.state in LIVE_STATES for outcome in answer.outcomes)
    ]
    if holds:
        session.execute(insert(HoldRow), holds)
