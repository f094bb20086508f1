"""Privacy suites are told what became of their requests: once, signed, at no other place than those that are named."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from amun.core.errors import InputError
from amun.ledger import Demand, Ledger
from amun.ledger.opendsr import CLAIM_TIME, MAX_TRIES, DsrDemand
from tasks.tools.environment import LEDGER_VARIABLE
from tasks.tools.processor_key import CERTIFICATE_VARIABLE, KEY_VARIABLE
from tasks.workspace.callbacks import CALLBACKS_VARIABLE, is_allowed, read_origins, send_callbacks
from tests.amun.ledger.helpers import NOW, build_base, claim_wave, complete_wave
from tests.processor import assert_signed, name_key
from tests.tasks.tools.receivers import Posts, run_web

ID = "a7551968-d5d6-44b2-9831-815ac901779"
PATH = "/callbacks?suite=1"


@pytest.fixture
def posts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Posts]:
    """What the suite was told, at the one place that is named."""
    told = Posts()
    with run_web(told) as port:
        monkeypatch.setenv(CALLBACKS_VARIABLE, f"https://else.example.org http://127.0.0.1:{port}")
        yield told


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, posts: Posts) -> Iterator[Ledger]:
    """A ledger in which a suite has asked for ann and ben, and for joe at a place that nobody has named."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    monkeypatch.setenv(LEDGER_VARIABLE, url)
    name_key(tmp_path, monkeypatch)
    place = read_origins()[1]
    with Ledger.create(url) as opened:
        build_base(opened, ["ann", "ben", "joe"])
        opened.add_token("suite", ["requests:write"], NOW)
        for number, (person, origin) in enumerate(
            [("ann", place), ("ben", place), ("joe", "https://gone.example.org")]
        ):
            asked = DsrDemand(f"{ID}{number}", "suite", "digest", [f"{origin}{PATH}"])
            opened.take_dsr(Demand(person), asked, now=NOW)
        yield opened
    # in a signature any three letters may stand by chance
    told = str([(path, {**headers, "x-opendsr-signature": ""}, body) for _, path, headers, body in posts.asked])
    assert [person for person in ("ann", "ben", "joe") if person in told] == []


def forget(ledger: Ledger) -> None:
    complete_wave(ledger, claim_wave(ledger))


def test_suite_is_told_once_of_the_end(ledger: Ledger, posts: Posts, tmp_path: Path) -> None:
    assert send_callbacks() == []
    assert posts.asked == []
    ledger.cancel_dsr("suite", f"{ID}1", now=NOW)
    forget(ledger)
    (line,) = send_callbacks()
    assert line == ("warning: 1 callback not sent: AMUN_OPENDSR_CALLBACKS does not name https://gone.example.org here")
    told = {}
    certificate = (tmp_path / "dsr-certificate.pem").read_text(encoding="ascii")
    for method, path, headers, body in posts.asked:
        assert (method, path) == ("POST", PATH)
        names = ("X-OpenDSR-Processor-Domain", "X-OpenDSR-Signature")
        assert_signed({name: headers[name.lower()] for name in names}, body, certificate)
        content = json.loads(body)
        told[content["subject_request_id"]] = content
    assert {number: content["request_status"] for number, content in told.items()} == {
        f"{ID}0": "completed",
        f"{ID}1": "cancelled",
    }
    assert told[f"{ID}0"] == {
        "controller_id": "suite",
        "expected_completion_time": "2026-02-28T09:30:00+00:00",
        "status_callback_url": f"{read_origins()[1]}{PATH}",
        "subject_request_id": f"{ID}0",
        "request_status": "completed",
    }
    # nobody is told again, and the place that is not named has cost no try
    send_callbacks()
    assert len(posts.asked) == 2
    assert [(one.url, one.num_tries) for one in ledger.list_callbacks(NOW)] == [(f"https://gone.example.org{PATH}", 0)]


def test_nobody_tries_for_ever(ledger: Ledger, posts: Posts) -> None:
    forget(ledger)
    posts.status = 500
    for _ in range(MAX_TRIES):
        assert "2 callbacks not taken" in send_callbacks()[0]
    posts.asked = []
    assert "1 callback not sent" in send_callbacks()[0]
    assert posts.asked == []


@pytest.mark.parametrize("status", [500, 302])
def test_who_does_not_take_it_is_told_the_next_night(status: int, ledger: Ledger, posts: Posts) -> None:
    forget(ledger)
    posts.status = status
    assert f"says {status}" in send_callbacks()[0]
    assert {path for _, path, _, _ in posts.asked} == {PATH}
    posts.status, posts.asked = 204, []
    send_callbacks()
    assert sorted(json.loads(body)["subject_request_id"] for _, _, _, body in posts.asked) == [f"{ID}0", f"{ID}1"]


def test_address_that_is_gone_silences_no_other_at_its_place(ledger: Ledger, posts: Posts) -> None:
    place = read_origins()[1]
    posts.gone = ["/gone"]
    for number in range(10, 30):
        # those that are gone come first
        path = "/gone" if number < 20 else PATH
        ledger.take_dsr(Demand("ann"), DsrDemand(f"{ID}{number}", "suite", "digest", [f"{place}{path}"]), now=NOW)
    forget(ledger)
    send_callbacks()
    assert [path for _, path, _, _ in posts.asked].count(PATH) == 12


def test_place_that_does_not_answer_is_asked_by_few_and_costs_the_others_no_try(
    ledger: Ledger, posts: Posts, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(ledger)
    monkeypatch.setattr("tasks.workspace.callbacks.NUM_THREADS", 1)
    posts.status = 0
    send_callbacks()
    for _ in range(MAX_TRIES - 1):
        settle(ledger, is_told=False)
    assert {json.loads(body)["subject_request_id"] for _, _, _, body in posts.asked} == {f"{ID}0"}
    posts.status, posts.asked = 204, []
    assert len(send_callbacks()) == 1
    assert [json.loads(body)["subject_request_id"] for _, _, _, body in posts.asked] == [f"{ID}1"]


def test_without_a_key_that_is_told(ledger: Ledger, posts: Posts, monkeypatch: pytest.MonkeyPatch) -> None:
    forget(ledger)
    monkeypatch.delenv(KEY_VARIABLE)
    monkeypatch.delenv(CERTIFICATE_VARIABLE)
    assert send_callbacks() == [
        "warning: privacy suites were told nothing: AMUN_OPENDSR_CERTIFICATE: not set where the nights run"
    ]
    assert posts.asked == []


def test_places_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("http://suite.example.org", "suite.example.org", "https://", "https://a.example.org/path"):
        monkeypatch.setenv(CALLBACKS_VARIABLE, wrong)
        with pytest.raises(InputError, match=f"{CALLBACKS_VARIABLE}: .* is no place"):
            read_origins()
    origins = ("https://a.example.org", "https://b.example.org:8443")
    for url, is_there in {
        "https://a.example.org/x": True,
        "https://A.example.org?x": True,
        "https://b.example.org:8443/x": True,
        "http://a.example.org/x": False,
        "https://a.example.org:8443/x": False,
        "https://a.example.org@evil.example/x": False,
        "https://a.example.org\\@evil.example/x": False,
        "https://a.example.org/x\r\nHost: y": False,
        "https://b.example.org/x": False,
    }.items():
        assert is_allowed(url, origins) is is_there, url


def settle(ledger: Ledger, *, is_told: bool) -> None:
    """Does as a night that tells everybody."""
    for one in ledger.list_callbacks(NOW):
        assert ledger.claim_callback(one, NOW)
        ledger.settle_callback(one, NOW, is_told=is_told)


def test_what_one_tells_another_does_not(ledger: Ledger) -> None:
    forget(ledger)
    first, *others = ledger.list_callbacks(NOW)
    assert ledger.claim_callback(first, NOW)
    assert not ledger.claim_callback(first, NOW)
    assert ledger.list_callbacks(NOW) == others
    # nor what another has told, or failed to, since it was listed
    settle(ledger, is_told=False)
    assert [ledger.claim_callback(one, NOW) for one in others] == [False, False]


def test_claim_that_another_night_has_taken_over_is_that_night_s(ledger: Ledger) -> None:
    forget(ledger)
    first, *_ = ledger.list_callbacks(NOW)
    later = NOW + CLAIM_TIME
    assert ledger.claim_callback(first, NOW)
    assert ledger.claim_callback(first, later)
    # the slow one changes nothing any more
    ledger.settle_callback(first, NOW, is_told=False)
    assert len(ledger.list_callbacks(later)) == 2
    ledger.settle_callback(first, later, is_told=True)
    assert [one.num_tries for one in ledger.list_callbacks(later)] == [0, 0]


def test_night_does_not_tell_what_another_is_at(ledger: Ledger, posts: Posts, monkeypatch: pytest.MonkeyPatch) -> None:
    forget(ledger)
    monkeypatch.setattr("tasks.workspace.callbacks.NUM_THREADS", 1)

    def claim_the_rest() -> None:
        now = datetime.now(UTC)
        assert [ledger.claim_callback(one, now) for one in ledger.list_callbacks(now)] == [True, True]

    posts.do_before = claim_the_rest
    send_callbacks()
    assert [json.loads(body)["subject_request_id"] for *_, body in posts.asked] == [f"{ID}0"]


def test_ledger_that_fails_in_between_is_told(
    ledger: Ledger, posts: Posts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    forget(ledger)
    monkeypatch.setattr("tasks.workspace.callbacks.NUM_THREADS", 1)

    def spoil() -> None:
        with closing(sqlite3.connect(tmp_path / "ledger.db")) as database:
            database.execute("ALTER TABLE opendsr_callbacks RENAME TO lost")

    posts.do_before = spoil
    failed, _ = send_callbacks()
    assert failed.startswith("warning: 2 callbacks not taken: the ledger: ")
    assert len(posts.asked) == 1
