"""What needs a person is found from the ledger alone, told once, and never with a name."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from amun.core.network import TIMEOUT_VARIABLE
from amun.core.params import read_params
from amun.evidence.attempts import Judged, Receipt, Summary
from amun.evidence.earlier import BRINGS_BACK, EarlierFigures
from amun.ledger import Alert, FileId, Ledger
from amun.ledger.demands import Demand
from tasks.tools.environment import LEDGER_VARIABLE
from tasks.tools.mail import SMTP_VARIABLE
from tasks.tools.webhook import HEARTBEAT_VARIABLE, WEBHOOK_KEY_VARIABLE, WEBHOOK_VARIABLE
from tasks.workspace.alert_finding import find_alerts
from tasks.workspace.alert_kinds import ADVICE, advise, locate
from tasks.workspace.alerting import end_night, send_heartbeat, tell_alerts, tell_failures, write_message
from tasks.workspace.scrubbing import Scrubbed
from tasks.workspace.workspace import Workspace
from tests.amun.ledger.helpers import MODEL, add, build_base, claim_wave, complete_wave
from tests.tasks.tools.receivers import Mailbox, Posts, run_smtp, run_web
from tests.workspaces import ROOT, set_key

PEOPLE = ["ann", "bob", "joe", "zoe"]
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
# of the real clock, as what ends a night has it
NOW = datetime.now(UTC)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """A ledger with a base that is as old as the world."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    monkeypatch.setenv(LEDGER_VARIABLE, url)
    for name in (WEBHOOK_VARIABLE, HEARTBEAT_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    with Ledger.create(url) as opened:
        build_base(opened, PEOPLE)
        yield opened


@pytest.fixture
def webhook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Posts]:
    """What a webhook was told, and the heartbeat's address was asked."""
    key = tmp_path / "webhook-key"
    key.write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", encoding="ascii")
    key.chmod(0o400)
    monkeypatch.setenv(WEBHOOK_KEY_VARIABLE, f"file:{key}")
    with run_web(posts := Posts()) as port:
        monkeypatch.setenv(WEBHOOK_VARIABLE, f"http://127.0.0.1:{port}/alerts")
        monkeypatch.setenv(HEARTBEAT_VARIABLE, f"http://127.0.0.1:{port}/ping")
        yield posts


def open_with(tmp_path: Path, max_requests: int | None = None, **changes: Any) -> Workspace:
    """Returns a workspace with the shipped parameters, these of the section `alerts`, and so many requests a wave."""
    params = read_params(ROOT / "params.yaml").model_dump()
    for key, value in changes.items():
        set_key(params, f"alerts.{key}", value)
    set_key(params, "wave.max_requests", max_requests)
    return Workspace(tmp_path, type(read_params(ROOT / "params.yaml")).model_validate(params))


def list_kinds(posts: Posts) -> list[list[str]]:
    """Returns the kinds that each message told."""
    bodies = [json.loads(body) for method, _, _, body in posts.asked if method == "POST"]
    return [[told["kind"] for told in body["alerts"]] for body in bodies]


def find(workspace: Workspace, ledger: Ledger, now: datetime = NOW, *, is_night_over: bool = True) -> dict[str, str]:
    """Returns the lines of what is to be told, by kind."""
    found = find_alerts(workspace, ledger, now, is_night_over=is_night_over)
    assert not any(name in f"{alert.line}{alert.object}" for alert in found for name in [*PEOPLE, "stranger"])
    return {alert.kind: alert.line for alert in found}


def test_nothing_is_told_of_a_quiet_model(tmp_path: Path, ledger: Ledger) -> None:
    ledger.record_night(MODEL, NOW, is_good=True)
    add(ledger, "ann", now=NOW)
    assert find(open_with(tmp_path), ledger) == find(open_with(tmp_path), ledger, is_night_over=False) == {}


def test_requests_are_told_before_the_last_night_and_after_the_due_date(tmp_path: Path, ledger: Ledger) -> None:
    workspace = open_with(tmp_path, due_days=5)
    ann, _ = add(ledger, "ann", "bob", now=NOW)
    due = ledger.get_request(ann).due_at
    # seven days of waiting, three nights that may fail, one in which the model is retrained
    last_night = due - 11 * DAY
    assert find(workspace, ledger, last_night - 5 * DAY - HOUR) == {}
    near = {"request-near": "2 requests have at most 5 days left to a night that is still in time"}
    assert find(workspace, ledger, last_night - 5 * DAY) == near
    add(ledger, "stranger", now=NOW + 3 * DAY)
    assert find(workspace, ledger, due + HOUR) == {
        "request-overdue": "2 requests are past the due date",
        "request-near": "1 request has at most 5 days left to a night that is still in time",
        "request-unmatched": "1 request matches nobody in the data",
    }
    add(ledger, "stranger 2", now=NOW + 3 * DAY)
    assert find(workspace, ledger, due + HOUR)["request-unmatched"] == "2 requests match nobody in the data"
    ledger.hold_request(ann, "a court says so", now=due)
    assert find(workspace, ledger, due + HOUR)["request-overdue"] == "1 request is past the due date"


def test_requests_that_a_bound_leaves_to_their_last_night_are_told(tmp_path: Path, ledger: Ledger) -> None:
    ann, *_ = add(ledger, "ann", "bob", "joe", "zoe", now=NOW)
    last_night = ledger.get_request(ann).due_at - 11 * DAY
    workspace, wider = open_with(tmp_path, max_requests=1, due_days=2), open_with(tmp_path, max_requests=2, due_days=2)
    # a night for each of them
    assert find(workspace, ledger, last_night - 3 * DAY) == {}
    left = "`wave` in params.yaml leaves 1 request to the last night in time, on which no bound counts"
    assert find(workspace, ledger, last_night - 2 * DAY - HOUR) == {"request-near": left}
    near = "4 requests have at most 2 days left to a night that is still in time"
    assert find(workspace, ledger, last_night - 2 * DAY) == {"request-near": f"{near}; {left}"}
    assert find(wider, ledger, last_night - 2 * DAY) == {"request-near": near}


@pytest.mark.parametrize(
    ("parked_as", "kind"), [("parked", "wave-parked"), ("waiting", "wave-insufficient"), ("nothing", None)]
)
def test_a_parked_wave_is_told(tmp_path: Path, ledger: Ledger, parked_as: Any, kind: str | None) -> None:
    add(ledger, "ann", now=NOW)
    ledger.park_wave(claim_wave(ledger, now=NOW), "ann, says the note", NOW, parked_as)
    assert list(find(open_with(tmp_path), ledger)) == ([] if kind is None else [kind])
    assert find(open_with(tmp_path), ledger, NOW + 3 * DAY) == {}


def test_a_wave_that_was_parked_for_people_of_earlier_waves_says_so(tmp_path: Path, ledger: Ledger) -> None:
    add(ledger, "ann", now=NOW)
    ledger.park_wave(claim_wave(ledger, now=NOW), f"no attempt passed the gate; {BRINGS_BACK}: memory left 0.9", NOW)
    told = find(open_with(tmp_path), ledger)
    assert list(told) == ["wave-parked", "earlier-remembered"]
    assert told["earlier-remembered"].endswith(
        "brought people of earlier waves back, and was refused; no version is new"
    )


def complete(ledger: Ledger, *decisions: Judged, **figures: Any) -> None:
    """Completes a wave that has forgotten one person with these decisions of the gate."""
    add(ledger, "ann", now=NOW)
    summary = Summary(method="retrain", decisions=decisions, **figures)
    ledger.complete_wave(
        claim_wave(ledger, now=NOW),
        version="2",
        parent_version="1",
        commit="c0ffee",
        summary=summary,
        receipt=Receipt(),
        erase_after=NOW + 7 * DAY,
        now=NOW,
    )


PASSED = Judged(attempt=2, method="retrain", passed=True, reason="exact")
REFUSED = Judged(attempt=1, method="never_seen", passed=False, reason="memory left")


def test_a_wave_as_it_should_be_is_not_told(tmp_path: Path, ledger: Ledger) -> None:
    complete(ledger, PASSED)
    assert find(open_with(tmp_path), ledger) == {}


def test_what_the_gate_refused_is_told(tmp_path: Path, ledger: Ledger) -> None:
    complete(ledger, REFUSED, PASSED)
    line = "wave 1: the gate has refused attempt 1 (never_seen); retrain is what serves"
    assert find(open_with(tmp_path), ledger) == {"wave-refused": line}


def test_a_report_that_contradicts_is_told(tmp_path: Path, ledger: Ledger) -> None:
    complete(ledger, REFUSED.model_copy(update={"overruled": True}), PASSED)
    line = "wave 1: the test half does not confirm what the gate has decided"
    assert find(open_with(tmp_path), ledger) == {"report-contradicts": line}


def test_people_of_earlier_waves_who_were_brought_back_are_told_as_that_alone(tmp_path: Path, ledger: Ledger) -> None:
    seen = EarlierFigures(num_people=40, num_held=200, memory_left=0.9, brings_back=True)
    complete(ledger, REFUSED.model_copy(update={"overruled": True, "earlier": seen}), PASSED)
    line = "wave 1: an attempt brought people of earlier waves back, and was refused; retrain is what serves"
    assert find(open_with(tmp_path), ledger) == {"earlier-remembered": line}


def test_people_of_earlier_waves_who_stay_forgotten_are_not_told(tmp_path: Path, ledger: Ledger) -> None:
    seen = EarlierFigures(num_people=40, num_held=200, memory_left=0.1)
    complete(ledger, PASSED.model_copy(update={"earlier": seen}))
    assert find(open_with(tmp_path), ledger) == {}


def test_an_alarm_on_the_test_half_is_told(tmp_path: Path, ledger: Ledger) -> None:
    complete(ledger, PASSED, warning="the test half does not confirm the gate: FT AUC 0.7")
    assert list(find(open_with(tmp_path), ledger)) == ["report-contradicts"]


def test_a_night_too_small_is_told(tmp_path: Path, ledger: Ledger) -> None:
    complete(ledger, PASSED, insufficient="2 people are too few")
    line = "wave 1 was too small to show that its people are forgotten; retrain is what serves"
    assert find(open_with(tmp_path), ledger) == {"wave-insufficient": line}


def test_an_open_wave_is_told_once_it_is_late(tmp_path: Path, ledger: Ledger) -> None:
    workspace = open_with(tmp_path, silent_hours=30)
    ledger.record_night(MODEL, NOW + 30 * HOUR, is_good=True)
    add(ledger, "ann", now=NOW)
    claim_wave(ledger, now=NOW)
    assert find(workspace, ledger, NOW + 30 * HOUR) == {}
    late = find(workspace, ledger, NOW + 31 * HOUR)
    assert late == {"wave-late": f"wave 1 is open since {NOW:%Y-%m-%d %H:%M} UTC"}


def test_files_are_told_by_number(tmp_path: Path, ledger: Ledger) -> None:
    ledger.reject_file(FileId("/in", "ann.csv", "", "1", NOW), "ann.csv: row 2: ann", now=NOW)
    ledger.take_file(FileId("/in", "bob.csv", "", "2", NOW), [Demand("bob"), Demand("stranger")], now=NOW)
    params = open_with(tmp_path).params.model_dump()
    set_key(params, "intake.source", "/in")
    workspace = Workspace(tmp_path, type(read_params(ROOT / "params.yaml")).model_validate(params))
    assert find(workspace, ledger) == {
        "file-rejected": "file 1 of requests is rejected: none of its lines counts",
        "file-unmatched": "1 request of file 2 matches nobody in the data",
    }


@pytest.mark.parametrize("source", ["s3://", "~nobody-here/requests"])
def test_a_source_that_is_none_keeps_nothing_from_being_told(tmp_path: Path, ledger: Ledger, source: str) -> None:
    ledger.take_file(FileId("/in", "bob.csv", "", "2", NOW), [Demand("bob"), Demand("stranger")], now=NOW)
    params = open_with(tmp_path).params.model_dump()
    set_key(params, "intake.source", source)
    workspace = Workspace(tmp_path, type(read_params(ROOT / "params.yaml")).model_validate(params))
    assert list(find(workspace, ledger)) == ["file-unmatched"]


def test_erasures_that_should_be_done_are_told(tmp_path: Path, ledger: Ledger) -> None:
    add(ledger, "ann", "bob", now=NOW)
    complete_wave(ledger, claim_wave(ledger, now=NOW), now=NOW, erase_after=NOW + DAY)
    workspace = open_with(tmp_path)
    line = {"erasure-failed": "the people of 2 requests should be erased, and are not"}
    assert find(workspace, ledger, NOW + DAY - HOUR) == {}
    assert find(workspace, ledger, NOW + DAY) == line
    # before the night nobody could have done it yet
    ledger.record_night(MODEL, NOW + DAY, is_good=True)
    assert find(workspace, ledger, NOW + DAY + 26 * HOUR, is_night_over=False) == line
    assert find(workspace, ledger, NOW + DAY + 25 * HOUR, is_night_over=False) == {}
    begun = ledger.start_erasures(MODEL, now=NOW + DAY)
    assert find(workspace, ledger, NOW + DAY) == line
    ledger.record_destroyed(MODEL, [one.request_id for one in begun], NOW + DAY)
    ledger.finish_erasures(MODEL, [one.request_id for one in begun], NOW + DAY)
    assert find(workspace, ledger, NOW + DAY) == {}


def test_a_consumer_that_holds_an_erasure_up_is_told(tmp_path: Path, ledger: Ledger) -> None:
    add(ledger, "ann", now=NOW)
    complete_wave(ledger, claim_wave(ledger, now=NOW), now=NOW, erase_after=NOW + DAY)
    ledger.add_consumer(MODEL, "replica-3", NOW)
    assert find(open_with(tmp_path), ledger, NOW + HOUR) == {}
    found = find(open_with(tmp_path), ledger, NOW + DAY)
    assert list(found) == ["consumer-behind"]
    assert "replica-3 has not reported a version yet" in found["consumer-behind"]


def test_silence_is_told_where_it_is_looked_for_from_outside(tmp_path: Path, ledger: Ledger) -> None:
    workspace = open_with(tmp_path, silent_hours=26)
    # no night yet: one should have followed the base
    assert "night-missing" in find(workspace, ledger, is_night_over=False)
    ledger.record_night(MODEL, NOW, is_good=False)
    assert find(workspace, ledger, NOW + 26 * HOUR, is_night_over=False) == {}
    line = {"night-missing": "no night has ended for 27 hours"}
    assert find(workspace, ledger, NOW + 27 * HOUR, is_night_over=False) == line
    assert find(workspace, ledger, NOW + 27 * HOUR) == {}


def test_a_wave_of_a_release_that_recorded_no_nights_was_one(tmp_path: Path, ledger: Ledger) -> None:
    complete(ledger, PASSED)
    assert ledger.find_night(MODEL) is None
    workspace = open_with(tmp_path, silent_hours=26)
    assert find(workspace, ledger, NOW + 26 * HOUR, is_night_over=False) == {}
    line = {"night-missing": "no night has ended for 27 hours"}
    assert find(workspace, ledger, NOW + 27 * HOUR, is_night_over=False) == line


def test_a_day_is_the_schedule_s(tmp_path: Path, ledger: Ledger) -> None:
    params = read_params(ROOT / "params.yaml").model_dump()
    set_key(params, "schedule.timezone", "Pacific/Kiritimati")
    workspace = Workspace(tmp_path, type(read_params(ROOT / "params.yaml")).model_validate(params))
    add(ledger, "ann", now=datetime(2026, 1, 1, tzinfo=UTC))
    (alert,) = find_alerts(workspace, ledger, datetime(2026, 2, 28, 12, tzinfo=UTC), is_night_over=True)
    assert (alert.kind, alert.day) == ("request-overdue", "2026-03-01")


def test_the_end_of_a_night_is_told_once_and_the_heartbeat_after_a_good_one(
    tmp_path: Path, ledger: Ledger, webhook: Posts
) -> None:
    workspace = open_with(tmp_path)
    add(ledger, "ann", now=NOW)
    ledger.park_wave(claim_wave(ledger, now=NOW), "why", NOW)
    assert end_night(workspace, has_failed=True, is_parked=True) == []
    assert list_kinds(webhook) == [["wave-parked"]]
    night = ledger.find_night(MODEL)
    assert night is not None
    assert night.good_at is None
    assert end_night(workspace, has_failed=True) == []
    assert list_kinds(webhook) == [["wave-parked"], ["night-failed"]]
    assert end_night(workspace, has_failed=False) == []
    assert [path for _, path, _, _ in webhook.asked] == ["/alerts", "/alerts", "/ping"]
    night = ledger.find_night(MODEL)
    assert night is not None
    assert night.good_at == night.ended_at
    (told, _) = ledger.list_alerts(MODEL)
    assert [(one.channel, one.failure) for one in told.deliveries] == [("webhook", None)]


def test_a_channel_that_is_down_is_told_and_tried_again(tmp_path: Path, ledger: Ledger, webhook: Posts) -> None:
    assert ledger.list_alerts(MODEL) == []
    workspace = open_with(tmp_path, command=["sh", "-c", "exit 3"])
    webhook.status = 503
    first = end_night(workspace, has_failed=True)
    assert [line.partition(":")[0] for line in first] == ["warning"] * 2
    assert any("by webhook: http://127.0.0.1" in line and "503" in line for line in first)
    assert any("by command: sh ended with exit code 3; it is tried again" in line for line in first)
    webhook.status = 204
    second = end_night(workspace, has_failed=False)
    assert [line.partition(": ")[2].partition(":")[0] for line in second] == ["nobody was alerted by command"]
    third = end_night(workspace, has_failed=False)
    assert third == second
    assert list_kinds(webhook) == [["night-failed"], ["night-failed"]]
    ids = [json.loads(body)["id"] for method, _, _, body in webhook.asked if method == "POST"]
    assert len(set(ids)) == 1, "a reader knows it again"


def test_who_is_told_is_not_told_again_for_an_address_that_nobody_has(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = ["dpo@example.org", "gone@example.org"]
    workspace = open_with(tmp_path, mail_to=people, mail_from="amun@example.org")
    assert ledger.list_alerts(MODEL) == []
    with run_smtp(box := Mailbox(refused=("gone@example.org",))) as port:
        monkeypatch.setenv(SMTP_VARIABLE, f"smtp://127.0.0.1:{port}")
        where = f"127.0.0.1:{port} refuses gone@example.org, and has taken it for the others"
        assert end_night(workspace, has_failed=True) == [f"warning: not everybody was alerted by e-mail: {where}"]
        assert end_night(workspace, has_failed=False) == []
    assert box.recipients == [["dpo@example.org"]]


def test_what_was_raised_before_it_was_muted_is_not_told(tmp_path: Path, ledger: Ledger, webhook: Posts) -> None:
    assert ledger.list_alerts(MODEL) == []
    webhook.status = 503
    end_night(open_with(tmp_path), has_failed=True)
    webhook.status = 204
    assert end_night(open_with(tmp_path, mute=["night-failed"]), has_failed=False) == []
    assert list_kinds(webhook) == [["night-failed"]]


def test_an_error_that_is_not_ours_is_not_quoted(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ledger.find_night(MODEL) is None
    monkeypatch.setattr(
        "tasks.workspace.alerting.find_alerts", lambda *_, **__: Path(tmp_path, "ann.csv").read_text(encoding="utf-8")
    )
    assert end_night(open_with(tmp_path), has_failed=False) == ["warning: nobody was alerted: FileNotFoundError"]


def test_a_failed_night_is_told_where_the_ledger_can_keep_nothing(
    tmp_path: Path, ledger: Ledger, webhook: Posts, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ledger.find_night(MODEL) is None
    monkeypatch.setenv(LEDGER_VARIABLE, f"sqlite:///{tmp_path}/gone/ledger.db")
    (line,) = end_night(open_with(tmp_path), has_failed=True)
    assert line.startswith("warning: the ledger keeps nothing of this night: ")
    assert list_kinds(webhook) == [["night-failed"]]
    assert json.loads(webhook.asked[0][3])["alerts"][0]["number"] == 0
    # what nobody wants to hear, what has an alert of its own, and a good night, of which nothing is known without it
    assert len(end_night(open_with(tmp_path, mute=["night-failed"]), has_failed=True)) == 1
    for has_failed, is_parked in ((True, True), (False, False)):
        (line,) = end_night(open_with(tmp_path), has_failed=has_failed, is_parked=is_parked)
        assert line.startswith("warning: nobody was alerted: ")
    assert len(webhook.asked) == 1
    webhook.status = 503
    (_, line) = end_night(open_with(tmp_path), has_failed=True)
    assert line.startswith("warning: nobody was alerted by webhook: ")


def test_a_heartbeat_that_cannot_be_sent_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TIMEOUT_VARIABLE, "soon")
    (line,) = send_heartbeat()
    assert line.startswith(f"warning: no heartbeat was sent: {TIMEOUT_VARIABLE}")


def test_a_heartbeat_that_is_not_taken_is_told(tmp_path: Path, ledger: Ledger, webhook: Posts) -> None:
    webhook.status = 404
    (line,) = end_night(open_with(tmp_path), has_failed=False)
    assert line.startswith("warning: no heartbeat was sent: http://127.0.0.1")
    assert ledger.find_night(MODEL) is not None


def test_a_night_whose_erasure_failed_sends_no_heartbeat_even_if_nobody_wants_to_hear_of_it(
    tmp_path: Path, ledger: Ledger, webhook: Posts
) -> None:
    add(ledger, "ann", now=NOW)
    complete_wave(ledger, claim_wave(ledger, now=NOW), now=NOW, erase_after=NOW)
    assert end_night(open_with(tmp_path, mute=["erasure-failed"]), has_failed=False) == []
    assert webhook.asked == []


@pytest.mark.parametrize(
    ("scrubbed", "line"),
    [
        (Scrubbed(("one",), (), ()), "1 copy that DVC keeps was damaged or missing: mended from another place"),
        (
            Scrubbed(("one",), ("two", "six"), ()),
            "3 copies that DVC keeps were damaged or missing: 2 could not be mended",
        ),
        (Scrubbed((), (), ("the remote is away",)), None),
    ],
)
def test_copies_that_a_night_has_found_damaged_are_told_and_spoil_no_night(
    tmp_path: Path, ledger: Ledger, webhook: Posts, scrubbed: Scrubbed, line: str | None
) -> None:
    for _ in range(2):
        assert end_night(open_with(tmp_path), has_failed=False, scrubbed=scrubbed) == []
    assert list_kinds(webhook) == ([] if line is None else [["copy-damaged"]])
    assert [alert.line for alert in ledger.list_alerts(MODEL)] == ([] if line is None else [line])
    assert [path for _, path, _, _ in webhook.asked].count("/ping") == 2


def test_whoever_became_due_while_the_night_erased_is_the_next_night_s(
    tmp_path: Path, ledger: Ledger, webhook: Posts
) -> None:
    add(ledger, "ann", now=NOW)
    complete_wave(ledger, claim_wave(ledger, now=NOW), now=NOW, erase_after=NOW)
    workspace = open_with(tmp_path)
    assert end_night(workspace, has_failed=False, due_at=NOW - HOUR) == []
    assert [path for _, path, _, _ in webhook.asked] == ["/ping"]
    # what this night has begun it should have ended
    ledger.start_erasures(MODEL, now=NOW)
    assert end_night(workspace, has_failed=False, due_at=NOW - HOUR) == []
    assert list_kinds(webhook) == [["erasure-failed"]]
    assert len(webhook.asked) == 2


def test_a_ledger_that_is_away_fails_no_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LEDGER_VARIABLE, f"sqlite:///{tmp_path / 'nothing.db'}")
    (line,) = end_night(open_with(tmp_path), has_failed=False)
    assert line.startswith("warning: nobody was alerted: no ledger at")


def test_two_workspaces_on_one_ledger_tell_once(tmp_path: Path, ledger: Ledger, webhook: Posts) -> None:
    add(ledger, "ann", now=NOW)
    ledger.park_wave(claim_wave(ledger, now=NOW), "why", NOW)
    for workspace in (open_with(tmp_path / "one"), open_with(tmp_path / "two")):
        found = find_alerts(workspace, ledger, NOW, is_night_over=True)
        assert tell_failures(tell_alerts(workspace, ledger, found, NOW)) == []
    assert list_kinds(webhook) == [["wave-parked"]]


def test_each_kind_has_advice_and_a_section_in_the_runbook() -> None:
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    sections = [line.removeprefix("### ") for line in page.splitlines() if line.startswith("### ")]
    schema = read_params(ROOT / "params.yaml").alerts.model_json_schema()
    kinds = schema["properties"]["mute"]["items"]["enum"]
    assert list(ADVICE) == kinds
    assert [kind for kind in kinds if sections.count(kind) != 1] == []
    assert advise("wave-parked", "7").startswith("`amun wave show 7`")
    assert locate("wave-parked") == "docs/operations.md#wave-parked"
    assert advise("of a later release", "") == "see docs/operations.md#of a later release"


def test_message_is_known_again_whatever_zone_its_times_are_in() -> None:
    alert = Alert(3, MODEL, "wave-parked", "7", NOW, "wave 7 is parked")
    there = replace(alert, raised_at=NOW.astimezone(timezone(timedelta(hours=2))))
    first, again = (write_message([one], NOW) for one in (alert, there))
    assert (first.message_id, first.told[0].raised_at[-6:]) == (again.message_id, "+00:00")
    assert first.told == again.told
