"""What a report is made of, for tests: a few nights with something of everything, or a year of them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from amun.evidence.attempts import Judged, Summary
from amun.evidence.figures import Comparison, ReportFigures
from amun.ledger import Erasure, Hold, Outcome, OutcomeState, Request, Rollback, Wave, WaveKind
from tasks.views.lineage import Version
from tasks.views.report_curves import FORGOTTEN, UNSEEN, Curves, Histogram, Roc
from tasks.views.report_facts import RaisedAlerts, ReportFacts
from tasks.views.reported_requests import ReportedRequest, report_requests
from tasks.views.wave_rules import Bounds, GateRules

MODEL = "faces"
DAY = timedelta(days=1)
NOW = datetime(2026, 6, 30, 9, tzinfo=UTC)
PERSON = "ann <secret>"
RULES = GateRules(0.02, 0.1, 0.5, None)
BOUNDS = Bounds(RULES, 0.88, 12)


def make_request(
    number: int,
    received_at: datetime,
    state: OutcomeState = "completed",
    *,
    answered_after: int | None = 1,
    erased_after: int | None = 8,
    is_held: bool = False,
    wave: int | None = 1,
    subject: str = "",
    is_sealed: bool = True,
) -> Request:
    """Returns a request that was answered and erased so many days after it came; None for not yet."""
    answered = None if answered_after is None else received_at + answered_after * DAY
    erased = None if erased_after is None else received_at + erased_after * DAY
    erasure = None
    if state == "completed" and answered is not None and is_sealed:
        erasure = Erasure(answered, answered + 7 * DAY, erased, erased, erased)
    outcome = Outcome(
        MODEL, state, wave if state in ("completed", "already_forgotten") else None, answered, None, (), erasure
    )
    holds = (Hold(f"a suit of {PERSON}", received_at, None),) if is_held else ()
    due_at = received_at + 30 * DAY
    return Request(
        f"R-{number:06d}",
        subject or f"{PERSON} {number}",
        received_at,
        due_at,
        f"ticket of {PERSON}",
        None,
        holds,
        (outcome,),
    )


def make_wave(number: int, closed_at: datetime, **changes: Any) -> Wave:
    """Returns a complete wave of twelve people; number 0 is the base."""
    kind: WaveKind = "base" if number == 0 else "deletion"
    test = {"accuracy": 0.9, "num_test": 400, "num_forget": 0 if number == 0 else 60, "ft_auc": 0.5}
    test |= {"memory_left": 0.1, "memory_left_lower": -0.2, "memory_left_upper": 0.4} if number else {}
    passed = Judged(attempt=1, method="never_seen", passed=True, reason="memory left is shown to be small")
    decisions: tuple[Judged, ...] = changes.pop("decisions", (passed,))
    summary = Summary(
        num_subjects=12,
        num_forget=0 if number == 0 else 60,
        num_held_out=4,
        attempt=len(decisions),
        method="none" if number == 0 else decisions[-1].method,
        decisions=decisions,
        insufficient=changes.pop("insufficient", ""),
        test=ReportFigures.model_validate(test | changes.pop("test", {})),
    )
    wave = {"state": "complete", "note": None, "version": str(number + 1), "summary": summary, "comparison": None}
    wave |= {"undone_by": None, "parked_as": None, "parent_version": str(number) if number else None}
    return Wave(
        model=MODEL,
        number=number,
        kind=kind,
        holder="night:boot:123:4.5",
        opened_at=closed_at - DAY / 24,
        closed_at=closed_at,
        attempt=1,
        commit=changes.pop("commit", "c" * 40),
        num_requests=12,
        **(wave | changes),
    )


def make_version(wave: Wave, **changes: Any) -> Version:
    """Returns the version that a wave has registered."""
    facts: dict[str, Any] = {
        "number": wave.number + 1,
        "wave": wave.number,
        "kind": wave.kind,
        "wave_state": wave.state,
        "parent": wave.parent_version,
        "commit": wave.commit,
        "method": "never_seen",
        "attempt": 1,
        "registered_at": wave.closed_at,
        "aliases": (),
        "rolled_back": None,
        "weights_erased_at": None,
        "num_forget": 60,
        "num_subjects": 12 * wave.number,
        "accuracy": 0.9,
        "ft_auc": 0.5,
        "standard_error": 0.03,
    }
    return Version(**(facts | changes))


def list_requests() -> list[ReportedRequest]:
    """Returns a request in each of the ways in which one can stand."""
    start = NOW - 60 * DAY
    requests = [
        make_request(1, start),
        make_request(2, start),
        make_request(3, start, erased_after=31),
        make_request(4, start, erased_after=None),
        make_request(5, NOW - 5 * DAY, "pending", answered_after=None),
        make_request(6, start, "unmatched", answered_after=None),
        make_request(7, start, "held", answered_after=None, is_held=True),
        make_request(8, start, "withdrawn"),
        make_request(9, start, "nothing_held"),
    ]
    return report_requests(requests, MODEL, NOW)


def make_curves(number: int) -> Curves:
    """Returns curves in which two parts are left out."""
    shares = (*(0.0,) * 17, None, None, 0.9)
    histograms = [Histogram(group, moment, shares) for moment in ("before", "after") for group in (FORGOTTEN, UNSEEN)]
    found: dict[str, tuple[float | None, ...]] = {"before": (None, 0.3, 1.0), "after": (0.0, 0.1, 1.0)}
    return Curves(number, tuple(histograms), Roc((0.0, 0.05, 1.0), found))


def make_facts(wave: int | None = None, **changes: Any) -> ReportFacts:
    """Returns the facts of a few nights with something of everything, or of one of its waves."""
    refused = Judged(attempt=1, method="amun", passed=False, reason="memory left 0.80, not within 0.5 of 0")
    exact = Judged(attempt=2, method="retrain", passed=True, reason="exact by construction")
    waves = [
        make_wave(0, NOW - 70 * DAY),
        make_wave(1, NOW - 59 * DAY, comparison=Comparison(accuracy=0.91)),
        make_wave(2, NOW - 50 * DAY, decisions=(refused, exact), insufficient="2 people"),
        make_wave(3, NOW - 40 * DAY, state="parked", note=f"cannot read {PERSON}", parked_as="parked", version=None),
        make_wave(4, NOW - 30 * DAY, undone_by=1),
        make_wave(5, NOW - 20 * DAY, parent_version="2", test={"memory_left_lower": -9.0, "memory_left_upper": 9.0}),
    ]
    versions = [
        make_version(
            one,
            aliases=("champion",) if one.number == 5 else (),
            rolled_back=f"for {PERSON}" if one.undone_by else None,
        )
        for one in waves
        if one.version is not None
    ]
    rollback = Rollback(MODEL, 1, 5, "5", "2", f"{PERSON} has asked", NOW - 25 * DAY, NOW - 20 * DAY, (4,))
    facts: dict[str, Any] = {
        "model": MODEL,
        "written_at": NOW,
        "commit": "e" * 40,
        "wave": None if wave is None else waves[wave],
        "requests": tuple(list_requests()),
        "waves": tuple(waves),
        "versions": tuple(versions),
        "rollbacks": (rollback,),
        "bounds": {one.number: BOUNDS for one in waves},
        "curves": make_curves(5 if wave is None else wave),
        "alerts": (RaisedAlerts("wave-parked", 1, NOW - 40 * DAY),),
        "night": None,
    }
    return ReportFacts(**(facts | changes))


def make_year() -> ReportFacts:
    """Returns the facts of 365 nights and 2,000 requests."""
    waves = [make_wave(number, NOW - (365 - number) * DAY) for number in range(366)]
    received = [NOW - (366 - 365 * number // 2000) * DAY for number in range(2000)]
    requests: Sequence[Request] = [make_request(number, at) for number, at in enumerate(received)]
    return make_facts(
        waves=tuple(waves),
        versions=tuple(make_version(wave) for wave in waves),
        requests=tuple(report_requests(requests, MODEL, NOW)),
        bounds={wave.number: BOUNDS for wave in waves},
    )
