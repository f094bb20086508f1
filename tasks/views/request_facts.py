"""Everything about one request that its record tells: for each model what was done, shown and decided, what is left."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from amun.core.paths import PARAMS
from amun.ledger import Hold, IssuedReceipt, Outcome, Request, Wave
from tasks.tools.git import has_commit, read_committed, run_git
from tasks.views.copies import Copy, list_copies
from tasks.views.trace import Trace, TracedVersion, trace_subject
from tasks.views.wave_rules import GateRules, parse_rules
from tasks.workspace.twins import SharedPictures, find_shared
from tasks.workspace.workspace import Workspace, open_ledger

BEGUN = {
    "legal": "kept back by a legal hold",
    "identity": "kept back until it is known that the person asks",
    "approval": "kept back until it is approved",
}
ENDED = {"legal": "released from the hold", "identity": "known to be the person's", "approval": "approved"}


@dataclass(frozen=True)
class Event:
    """Something that happened to a request."""

    at: datetime
    what: str


@dataclass(frozen=True)
class Thresholds:
    """The gate's bounds of a wave, and who set them.

    Attributes:
        rules: the bounds.
        commit: the last one before the wave that changed `params.yaml`.
        author: of that commit.
        changed_at: its date.
    """

    rules: GateRules
    commit: str
    author: str
    changed_at: str


@dataclass(frozen=True)
class ModelFacts:
    """What one model did about a request.

    Attributes:
        outcome: where it stands for this model.
        due_at: the request's.
        wave: that handled it, if one did.
        versions: of this workspace's model alone, what each has to do with the person.
        copies: of this workspace's model alone, what still holds copies; None for another model.
        twins: of this workspace's model alone, what other people have of the person's pictures, or had in that wave.
        thresholds: None where the wave's commit is not in this clone, or has no `params.yaml`.
        events: what happened, oldest first.
    """

    outcome: Outcome
    due_at: datetime
    wave: Wave | None
    versions: list[TracedVersion]
    copies: list[Copy] | None
    twins: SharedPictures | None
    thresholds: Thresholds | None
    events: list[Event]


@dataclass(frozen=True)
class RequestFacts:
    """A request's record.

    Attributes:
        request: as the ledger has it.
        models: one for each model that it concerns.
        written_at: now.
        workspace_model: the model of the workspace that wrote the record.
        commit: of that workspace.
    """

    request: Request
    models: list[ModelFacts]
    written_at: datetime
    workspace_model: str
    commit: str


def gather_facts(workspace: Workspace, request_id: str) -> RequestFacts:
    """Returns everything about one request.

    Raises:
        InputError: there is no such request.
    """
    now = datetime.now(UTC)
    with open_ledger() as ledger:
        request = ledger.get_request(request_id).see(now)
        waves = {
            outcome.model: ledger.get_wave(outcome.model, outcome.wave_number)
            for outcome in request.outcomes
            if outcome.wave_number is not None
        }
        receipts = {outcome.model: ledger.find_receipt(outcome.model, request_id) for outcome in request.outcomes}
    trace = trace_subject(workspace, request.subject_id)
    return RequestFacts(
        request=request,
        models=[
            _describe(workspace, request, outcome, waves.get(outcome.model), receipts[outcome.model], trace)
            for outcome in request.outcomes
        ],
        written_at=now,
        workspace_model=workspace.model,
        commit=run_git(workspace.root, "rev-parse", "HEAD"),
    )


def _describe(
    workspace: Workspace,
    request: Request,
    outcome: Outcome,
    wave: Wave | None,
    receipt: IssuedReceipt | None,
    trace: Trace,
) -> ModelFacts:
    is_own = outcome.model == workspace.model
    return ModelFacts(
        outcome=outcome,
        due_at=request.due_at,
        wave=wave,
        versions=trace.versions if is_own else [],
        copies=list_copies(workspace, trace) if is_own else None,
        twins=find_shared(workspace, request.subject_id, wave) if is_own else None,
        thresholds=read_thresholds(workspace.root, None if wave is None else wave.commit),
        events=sorted(
            [*_list_events(request, outcome, wave), *_list_receipt_events(receipt)], key=lambda event: event.at
        ),
    )


def read_thresholds(root: Path, commit: str | None) -> Thresholds | None:
    """Returns the gate's bounds at a wave's commit; None where that is not in this clone, or has no parameters.

    Raises:
        AmunError: they are damaged.
    """
    if commit is None or not has_commit(root, commit):
        return None
    committed = read_committed(root, PARAMS, commit)
    if committed is None:
        return None
    rules = parse_rules(committed, f"{commit}:{PARAMS}")
    changed, author, date = run_git(root, "log", "-1", "--format=%H%n%an%n%cs", commit, "--", str(PARAMS)).splitlines()
    return Thresholds(rules, changed, author, date)


def _list_events(request: Request, outcome: Outcome, wave: Wave | None) -> Iterator[Event]:
    yield Event(request.received_at, "received")
    yield from _list_delays(request)
    for undone in outcome.undone:
        if undone.decided_at is not None:
            made = f" by wave {undone.wave_number}" if undone.wave_number is not None else ""
            yield Event(undone.decided_at, f"{undone.state.replace('_', ' ')}{made}")
        yield Event(undone.undone_at, f"opened again, because an earlier version of the model serves: {undone.reason}")
    if wave is not None and outcome.state in ("in_wave", "completed"):
        yield Event(wave.opened_at, f"wave {wave.number} took it in")
    if outcome.decided_at is not None and outcome.state != "denied":
        made = f" by wave {outcome.wave_number}" if outcome.wave_number is not None else ""
        yield Event(outcome.decided_at, f"{outcome.state.replace('_', ' ')}{made}")
    if outcome.erasure is not None and outcome.erasure.keys_destroyed_at is not None:
        yield Event(outcome.erasure.keys_destroyed_at, "the keys of this person were destroyed")
    if outcome.erasure is not None and outcome.erasure.erased_at is not None:
        yield Event(outcome.erasure.erased_at, "erased: no sealed copy could be opened any more")
    if outcome.erasure is not None and (source := outcome.erasure.source) is not None and source.deleted_at is not None:
        yield Event(source.deleted_at, "the person's files in the source were deleted")


def _list_delays(request: Request) -> Iterator[Event]:
    for hold in request.holds:
        yield Event(hold.held_at, f"{BEGUN[hold.kind]}: {hold.told}")
        if hold.released_at is not None and _is_released(request, hold):
            yield Event(hold.released_at, ENDED[hold.kind])
    if request.denial is not None:
        yield Event(request.denial.denied_at, f"denied: {request.denial.reason}")
    if request.extension is not None:
        yield Event(request.extension.extended_at, f"its due date was put off: {request.extension.reason}")


def _is_released(request: Request, hold: Hold) -> bool:
    """Tells whether a hold has ended as it was meant to; else something else has ended it, which is told by itself."""
    if hold.kind == "approval":
        return len(hold.approvals) >= hold.num_approvals
    # it ends with what it is of: withdrawn, denied, or confirmed to be nobody's
    return all(outcome.decided_at != hold.released_at for outcome in request.outcomes)


def _list_receipt_events(receipt: IssuedReceipt | None) -> Iterator[Event]:
    if receipt is None:
        return
    yield Event(receipt.entry.issued_at, f"a receipt was issued, number {receipt.entry.number} of the chain")
    if receipt.destroyed_at is not None:
        yield Event(receipt.destroyed_at, "what the receipt said was destroyed, at the end of its retention")
