"""Taking a demand in: what each model answers, decided from what it holds and what it has forgotten."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import and_, insert, select, update
from sqlalchemy.orm import Session

from amun.core.databases import split_chunks
from amun.core.errors import InputError
from amun.core.subject_ids import normalise
from amun.ledger.checks import check_received, check_reference, check_subject, format_request_id, parse_request_id
from amun.ledger.demands import AddedOutcome, AddedRequest, Demand
from amun.ledger.laws import CLOCKS, Law, compute_due, stands_still
from amun.ledger.matching import find_known
from amun.ledger.records import OutcomeState
from amun.ledger.releases import end_doubts, make_approval_hold
from amun.ledger.schema import LIVE_STATES, ExtensionRow, HoldingRow, HoldRow, InfoRow, ModelRow, OutcomeRow, RequestRow

UNVERIFIED = "the identity is not verified"  # the reason of a hold that begins with its request
FEW_STRANGERS = 10  # fewer together are looked at one by one, whatever their share


class Standing(NamedTuple):
    """The request of a subject that decides what a new one would be for a model.

    Attributes:
        state: where it stands.
        number: the request's.
        wave_number: the wave that is at it, or had forgotten the subject.
        due_at: when it is due; less the time for which its clock stands still now.
        law: whose clock it runs by.
        is_extended: its due date was put off.
        doubted_at: since when nobody knows whether it is the person who asks; None where somebody does.
    """

    state: OutcomeState
    number: int
    wave_number: int | None
    due_at: datetime
    law: Law
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

    def find_due(self, demand: "Received", now: datetime) -> datetime:
        """Returns when it is due once the person asks again; that moves on as long as its clock stands still."""
        due_at, law = self.join(demand)
        if self.doubted_at is not None and stands_still(law, due_at, self.doubted_at):
            return due_at + (now - self.doubted_at)
        return due_at


Standings = dict[tuple[str, str], Standing]  # by model and subject


class Received(NamedTuple):
    """A demand that was checked; as `Demand` has it, with its due date."""

    subject_id: str
    received_at: datetime
    due_at: datetime
    reference: str | None
    law: Law
    is_verified: bool = True
    num_approvals: int = 0

    @property
    def waits(self) -> bool:
        """Whether somebody has to look before a wave may take it."""
        return not self.is_verified or self.num_approvals > 0


class Unknown(NamedTuple):
    """What is done about demands of people whom no model knows.

    Attributes:
        is_confirmed: a person has said that they are right: nothing is held of them.
        max_share: of all demands together; more are not taken, if they are more than a few. None takes any.
    """

    is_confirmed: bool = False
    max_share: float | None = None


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
        held: which models hold whom; a model without a base may hold anybody.
        known: whom any model is known to hold or to have forgotten.
        is_confirmed: strangers are right as they are.
        now: the present time.
    """

    standings: Standings
    held: set[tuple[str, str]]
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
        due_at = compute_due(received_at, demand.law)
        waits = demand.is_verified, demand.num_approvals
        received = Received(subject, received_at, due_at, demand.reference, demand.law, *waits)
        kept = checked.setdefault(subject, received)
        if due_at < kept.due_at:
            checked[subject] = kept._replace(received_at=received_at, due_at=due_at, law=demand.law)
    return list(checked.values())


def record_demands(
    session: Session,
    demands: Sequence[Received],
    ledger: str,
    now: datetime,
    unknown: Unknown,
    file_number: int | None = None,
) -> list[AddedRequest]:
    """Writes a request for each subject that needs one, and returns what becomes of each demand.

    Args:
        session: the transaction.
        demands: one for each subject.
        ledger: its name, for the error.
        now: the present time.
        unknown: what is done about people whom no model knows.
        file_number: the file they came in, if any.

    Raises:
        InputError: no model is registered.
        UnmatchedError: too many are unknown; nothing was written.
    """
    models = require_models(session, ledger)
    subjects = [demand.subject_id for demand in demands]
    held = _find_held(session, subjects)
    # until a model's first base is built nobody knows whom it holds: it may be anybody
    held |= {(model.name, subject) for model in models if model.holdings_wave is None for subject in subjects}
    end_doubts(session, {demand.subject_id: demand.num_approvals for demand in demands if demand.is_verified}, now)
    standings, known = _find_standings(session, subjects), find_known(session, subjects)
    knowledge = Knowledge(standings, held, known, unknown.is_confirmed, now)
    names = [model.name for model in models]
    first_number = session.get_one(InfoRow, 1).next_request
    answers = _answer(demands, names, knowledge, first_number)
    _require_few_strangers(answers, unknown.max_share)
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
    if max_share is None or len(strangers) < FEW_STRANGERS:
        return
    if len(strangers) > max_share * len(answers):
        raise UnmatchedError(strangers, len(answers), max_share)


def _find_standings(session: Session, subjects: Sequence[str]) -> Standings:
    """Returns each subject's request that is live, or else completed, for each model."""
    found: Standings = {}
    is_doubted = HoldRow.request_number == RequestRow.number, HoldRow.released_at.is_(None), HoldRow.kind == "identity"
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


def _find_held(session: Session, subjects: Sequence[str]) -> set[tuple[str, str]]:
    """Returns which models hold which of the subjects."""
    held: set[tuple[str, str]] = set()
    for chunk in split_chunks(subjects):
        query = select(HoldingRow.model, HoldingRow.subject_id).where(HoldingRow.subject_id.in_(chunk))
        held.update((model, subject) for model, subject in session.execute(query))
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
    if (model, subject) in knowledge.held:
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
            if (due_at, law) != (standing.due_at, standing.law):
                request = session.get_one(RequestRow, standing.number)
                # an extension counts from the first receipt: no term of either demand is passed by it
                request.received_at = min(request.received_at, demand.received_at)
                request.law, request.due_at = law, due_at


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
    requests: list[dict[str, Any]] = [
        {"number": parse_request_id(answer.request_id), **_list_columns(demand), "file_number": file_number}
        for demand, answer in zip(demands, answers, strict=True)
        if answer.is_new
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
        for answer in answers
        if answer.is_new
        for outcome in answer.outcomes
        if outcome.is_new
    ]
    if requests:
        session.execute(insert(RequestRow), requests)
        session.execute(insert(OutcomeRow), outcomes)
        _hold_new(session, demands, answers, now)
        session.get_one(InfoRow, 1).next_request += len(requests)


def _list_columns(demand: Received) -> dict[str, Any]:
    """Returns what a request's row has of its demand."""
    columns = demand._asdict()
    del columns["is_verified"], columns["num_approvals"]
    return columns


def _hold_new(session: Session, demands: Sequence[Received], answers: Sequence[AddedRequest], now: datetime) -> None:
    """Keeps back those at whom somebody has to look first; of whom something is or may be held."""
    for demand, answer in zip(demands, answers, strict=True):
        is_open = any(outcome.is_new and outcome.state in LIVE_STATES for outcome in answer.outcomes)
        if not (answer.is_new and demand.waits and is_open):
            continue
        hold = make_approval_hold(parse_request_id(answer.request_id), demand.num_approvals, now)
        if not demand.is_verified:
            hold.kind, hold.reason = "identity", UNVERIFIED
        session.add(hold)
