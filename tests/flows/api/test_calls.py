"""What programs are answered over HTTP, and what nobody is told."""

import json
import socket
from datetime import UTC, datetime
from typing import Any
from unittest.mock import ANY

import httpx
import pytest

from amun.core.log import LOG_VARIABLE
from amun.ledger import Ledger
from flows.api import guard, server
from flows.api.guard import MAX_BODY, RateLimit
from tests.amun.ledger.helpers import MODEL, NOW, claim_wave, complete_wave
from tests.api import Served

PERSON = "ann"


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Checks that an answer is this problem, in the standard's form, and returns it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert (problem["type"], problem["status"], problem["code"]) == ("about:blank", status, code)
    assert "\n" not in problem["detail"]
    return problem


def test_demand_is_taken_and_looked_up(served: Served) -> None:
    answer = served.post({"subject_id": PERSON, "received_at": "2026-01-31T09:30:00+01:00", "reference": "T-1"}, "k-1")
    due = "2026-02-28T08:30:00Z"
    assert (answer.status_code, answer.json()) == (201, {"request_id": "R-000001", "is_new": True, "due_at": due})
    assert answer.headers["Location"] == "/requests/R-000001"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Server" not in answer.headers
    (request,) = served.ledger.list_requests(MODEL)
    assert (request.subject_id, request.reference) == (PERSON, "T-1")
    outcome = {"model": MODEL, "state": "pending", "wave": None, "decided_at": None}
    outcome |= {"erase_after": None, "erased_at": None}
    shown = served.client.get("/requests/R-000001")
    assert (shown.status_code, shown.json()) == (
        200,
        {
            "request_id": "R-000001",
            "received_at": "2026-01-31T08:30:00Z",
            "due_at": due,
            "law": "gdpr",
            "is_extended": False,
            "is_held": False,
            "held_for": None,
            "held_since": None,
            "has_receipt": False,
            "outcomes": [outcome],
        },
    )
    served.ledger.hold_request("R-000001", "evidence against ann", now=NOW)
    served.ledger.extend_request("R-000001", "ann has many images", now=datetime(2026, 2, 1, tzinfo=UTC))
    held = served.client.get("/requests/R-000001")
    assert (held.json()["held_for"], held.json()["held_since"]) == ("legal", NOW.isoformat().replace("+00:00", "Z"))
    assert (held.json()["is_extended"], held.json()["due_at"]) == (True, "2026-04-30T08:30:00Z")
    assert (held.json()["is_held"], held.json()["outcomes"][0]["state"]) == (True, "held")
    assert PERSON not in held.text


def test_demand_runs_by_the_clock_of_its_law(served: Served) -> None:
    body = {"subject_id": PERSON, "received_at": "2026-01-31T09:30:00Z", "law": "ccpa"}
    assert served.post(body, "k-1").json()["due_at"] == "2026-03-17T09:30:00Z"
    assert served.client.get("/requests/R-000001").json()["law"] == "ccpa"
    assert_problem(served.post(body | {"law": "gdpr"}, "k-1"), 409, "key-reused")
    assert_problem(served.post(body | {"law": "lgpd"}), 422, "faulty")


def test_demand_waits_until_it_is_known_to_be_the_persons(served: Served) -> None:
    body = {"subject_id": PERSON, "is_verified": False}
    assert served.post(body, "k-1").status_code == 201
    assert_problem(served.post({"subject_id": PERSON}, "k-1"), 409, "key-reused")
    assert_problem(served.post(body | {"is_verified": "no"}), 422, "faulty")
    shown = served.client.get("/requests/R-000001").json()
    assert (shown["held_for"], shown["outcomes"][0]["state"]) == ("identity", "held")
    served.ledger.deny_request("R-000001", "ann did not answer", now=NOW)
    denied = served.client.get("/requests/R-000001")
    assert (denied.json()["held_for"], denied.json()["outcomes"][0]["state"]) == (None, "denied")
    assert "answer" not in denied.text


def test_demand_said_again(served: Served) -> None:
    first = served.post({"subject_id": PERSON}, "k-1")
    complete_wave(served.ledger, claim_wave(served.ledger))
    again = served.post({"subject_id": PERSON}, "k-1")
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    problem = assert_problem(served.post({"subject_id": "ben"}, "k-1"), 409, "key-reused")
    assert "draw a new key" in problem["detail"]
    assert served.post({"subject_id": "ben"}).status_code == 201
    known = served.post({"subject_id": "ben"})
    assert (known.status_code, known.json()["is_new"]) == (200, False)
    assert [line["outcome"] for line in served.read_log()] == [
        "recorded",
        "repeated",
        "key-reused",
        "recorded",
        "known",
    ]


def test_answer_is_one_for_whom_nothing_is_held(served: Served) -> None:
    answers = [served.post({"subject_id": subject}) for subject in (PERSON, "stranger")]
    assert {answer.status_code for answer in answers} == {201}
    assert {frozenset(answer.json()) for answer in answers} == {frozenset({"request_id", "is_new", "due_at"})}
    assert served.ledger.get_request("R-000002").outcomes[0].state == "unmatched"


FAULTY: list[tuple[Any, str]] = [
    ({}, "#/subject_id"),
    ({"subject_id": ""}, "#/subject_id"),
    ({"subject_id": " zed7"}, "#/subject_id"),
    ({"subject_id": "zed7\u200b"}, "#/subject_id"),
    ({"subject_id": "a" * 501}, "#/subject_id"),
    ({"subject_id": 7}, "#/subject_id"),
    ({"subject_id": ["zed7", "ben"]}, "#/subject_id"),
    ({"subject_id": "zed7", "received_at": "2026-01-31"}, "#/received_at"),
    ({"subject_id": "zed7", "received_at": "2026-01-31T09:00:00"}, "#/received_at"),
    ({"subject_id": "zed7", "received_at": "2026-02-31T09:00:00Z"}, "#/received_at"),
    ({"subject_id": "zed7", "received_at": "9999-12-31T23:59:59-12:00"}, "#/received_at"),
    ({"subject_id": "zed7", "received_at": "0001-01-01T00:00:00+12:00"}, "#/received_at"),
    ({"subject_id": "zed7", "received_at": "9998-01-31T09:00:00Z"}, "#/received_at"),
    ({"subject_id": "zed7", "received_at": 1769850000}, "#/received_at"),
    ({"subject_id": "zed7", "reference": " "}, "#/reference"),
    ({"subject_id": "zed7", "reference": "T\n1"}, "#/reference"),
    ({"subject_id": "zed7", "reference": "x" * 501}, "#/reference"),
    ({"subject_id": "zed7", "image": "aGVsbG8="}, "#"),
    ({"subject_id": "zed7", "samples": [[0.1]], "label": 3}, "#"),
    ([{"subject_id": "zed7"}], "#"),
    ("zed7", "#"),
]


def test_faulty_demand_is_told_where_and_never_repeated(served: Served) -> None:
    for body, pointer in FAULTY:
        answer = served.post(body, "k-1")
        problem = assert_problem(answer, 422, "faulty")
        assert {fault["pointer"] for fault in problem["errors"]} == {pointer}, body
        assert "zed7" not in answer.text, body
        # but for the example that it gives
        assert "9998" not in answer.text, body
    for content in (b"", b"{", b"\xff", b"subject_id=zed7", b'{"subject_id": "\\ud800zed7"}'):
        answer = served.client.post("/requests", content=content, headers={"Content-Type": "application/json"})
        assert_problem(answer, 400 if content == b"\xff" else 422, "faulty")
        assert "zed7" not in answer.text
    for key in ("", "with blanks", "x" * 256, "\u00e9"):
        told: Any = {"Idempotency-Key": key.encode("latin-1")}
        assert_problem(served.client.post("/requests", json={"subject_id": "zed7"}, headers=told), 422, "faulty")
    assert served.ledger.list_requests(MODEL) == []


def test_head_of_a_demand_is_told_what_is_wrong_with_it(served: Served) -> None:
    content, key = b'{"subject_id": "zed7"}', ("Idempotency-Key", "k-1")
    for kind in (None, "text/plain", "application/x-www-form-urlencoded"):
        head = [key] if kind is None else [key, ("Content-Type", kind)]
        problem = assert_problem(served.client.post("/requests", content=content, headers=head), 415, "no-json")
        assert "Content-Type: application/json" in problem["detail"]
    json_head = ("Content-Type", "application/json; charset=utf-8")
    twice = [json_head, key, ("Idempotency-Key", "k-2")]
    problem = assert_problem(served.client.post("/requests", content=content, headers=twice), 422, "faulty")
    assert "there are several" in problem["detail"]
    problem = assert_problem(served.client.post("/requests", content=content, headers=[json_head]), 422, "faulty")
    assert problem["errors"] == [{"pointer": "header Idempotency-Key", "detail": ANY}]
    assert "it is missing or none" in problem["detail"]
    problem = assert_problem(served.client.get("/requests/zed7"), 422, "faulty")
    assert problem["detail"].endswith("write it as it was answered: R-000001")
    assert served.ledger.list_requests(MODEL) == []


def test_many_faults_are_told_briefly(served: Served) -> None:
    body = {"subject_id": "zed7"} | {f"field-{number}": 1 for number in range(500)}
    assert len(assert_problem(served.post(body), 422, "faulty")["errors"]) == 1


def test_request_has_one_spelling_in_the_log(served: Served) -> None:
    served.post({"subject_id": PERSON})
    assert served.client.get("/requests/R-000000001").json()["request_id"] == "R-000001"
    served.client.get("/requests/R-000000001/receipt")
    assert [line["request"] for line in served.read_log()] == ["R-000001"] * 3
    assert served.client.head("/healthz").status_code == 200


def test_log_is_as_all_lines_are_where_json_is_asked_for(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LOG_VARIABLE, "json")
    served.post({"subject_id": PERSON})
    (line,) = served.read_log()
    assert [*line][:3] == ["time", "level", "message"]
    assert (line["level"], line["message"], line["request"], "at" in line) == ("info", "call", "R-000001", False)


def test_without_a_token_there_is_nothing(served: Served) -> None:
    with httpx.Client(base_url=served.client.base_url, trust_env=False) as client:
        for path in ("/requests/R-000001", "/requests/R-000001/receipt", "/requests", "/nothing"):
            for given in (None, "", "Bearer", "Bearer x", "Basic YW5uOng=", "Bearer amun_0123456789abcdef_x"):
                answer = client.get(path, headers={} if given is None else {"Authorization": given})
                assert_problem(answer, 401, "no-token")
                assert answer.headers["WWW-Authenticate"] == 'Bearer realm="amun"'
    assert {line["token"] for line in served.read_log()} == {None}


def test_token_may_do_what_its_scopes_say_until_it_is_revoked(served: Served) -> None:
    served.post({"subject_id": PERSON})
    calls = {
        "requests:write": ("POST", "/requests"),
        "requests:read": ("GET", "/requests/R-000001"),
        "receipts:read": ("GET", "/requests/R-000001/receipt"),
    }
    for number, scope in enumerate(calls):
        headers = served.add_token(f"t-{number}", [scope])
        for other, (method, path) in calls.items():
            body = {"subject_id": "ben"} if method == "POST" else None
            answer = served.client.request(method, path, headers=headers, json=body)
            assert (answer.status_code == 403) == (other != scope), answer.text
            if other != scope:
                assert_problem(answer, 403, "no-scope")
                assert f'scope="{other}"' in answer.headers["WWW-Authenticate"]
        served.ledger.revoke_token(f"t-{number}", NOW)
        assert_problem(served.client.get("/requests/R-000001", headers=headers), 401, "no-token")


def test_what_is_not_there_is_told(served: Served) -> None:
    assert_problem(served.client.get("/requests/R-000009"), 404, "no-such-request")
    assert_problem(served.client.get("/requests/R-000009/receipt"), 404, "no-such-request")
    served.post({"subject_id": PERSON})
    assert_problem(served.client.get("/requests/R-000001/receipt"), 404, "no-receipt")
    assert_problem(served.client.get("/people/ann"), 404, "no-such-path")
    assert_problem(served.client.get("/docs"), 404, "no-such-path")
    answer = served.client.delete("/requests/R-000001")
    assert_problem(answer, 405, "no-such-method")
    assert answer.headers["Allow"] == "GET"


def test_nobody_stands_in_an_address_or_in_the_log(
    served: Served, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    name = "zebedee-4711"
    served.post({"subject_id": name}, name)
    served.post({"subject_id": f" {name}"})
    served.post({name: name})
    paths = (f"/requests/{name}", f"/requests?subject_id={name}", f"/{name}", f"/requests/R-000001?{name}")
    for path in (*paths, f"/requests/{name}/"):
        answer = served.client.get(path)
        assert answer.status_code >= 400
        assert name not in f"{answer.text} {answer.headers}"
    assert_problem(served.client.get(f"/healthz?{name}"), 400, "query")
    served.client.request(name.upper(), "/requests")
    log = served.read_log()
    assert len(log) == 10
    assert log[0] == {
        "at": ANY,
        "token": "all",
        "method": "POST",
        "route": "/requests",
        "request": "R-000001",
        "status": 201,
        "outcome": "recorded",
        "ms": ANY,
    }
    assert abs((datetime.fromisoformat(log[0]["at"]) - datetime.now(UTC)).total_seconds()) < 600
    assert [line["route"] for line in log[3:5]] == ["/requests/{request_id}", None]
    assert [line["method"] for line in log[-1:]] == ["other"]
    told = "\n".join([*served.lines, *capfd.readouterr(), caplog.text]).lower()
    assert name not in told


def test_fault_of_ours_is_a_problem_and_quotes_nothing(
    served: Served, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError(f"what {PERSON} wants")

    monkeypatch.setattr(Ledger, "take_all_posted", fail)
    assert_problem(served.post({"subject_id": PERSON}), 500, "failed")
    told = capfd.readouterr()
    assert told.out == ""
    (line,) = told.err.splitlines()
    assert line.startswith("amun: a call failed: ValueError at ")
    assert PERSON not in line.split("/")[0]
    assert [(entry["status"], entry["outcome"]) for entry in served.read_log()] == [(500, "failed")]


def test_ledger_that_does_not_answer_is_told(served: Served, capfd: pytest.CaptureFixture[str]) -> None:
    assert served.client.get("/healthz", headers={"Authorization": ""}).json() == {"status": "ok"}
    served.ledger._path.rename(served.ledger._path.with_suffix(".away"))  # type: ignore[union-attr]
    served.ledger.close()
    for answer in (served.client.get("/healthz"), served.post({"subject_id": PERSON})):
        assert_problem(answer, 503, "unavailable")
        assert answer.headers["Retry-After"] == "5"
    assert capfd.readouterr().err.startswith("amun: the ledger sqlite:///")


def test_body_has_a_bound(served: Served) -> None:
    long = json.dumps({"subject_id": "a" * MAX_BODY}).encode()
    assert_problem(served.client.post("/requests", content=long), 413, "too-long")
    # without its length told before
    assert_problem(served.client.post("/requests", content=iter([long[:9], long[9:]])), 413, "too-long")


def test_rate_is_bounded_for_each_token(monkeypatch: pytest.MonkeyPatch, served: Served) -> None:
    monkeypatch.setattr(RateLimit, "take", lambda self, name, now: 2.5 if name == "slow" else 0.0)  # noqa: ARG005
    answer = served.client.get("/requests/R-000001", headers=served.add_token("slow", ["requests:read"]))
    assert_problem(answer, 429, "too-many")
    assert answer.headers["Retry-After"] == "3"
    assert served.client.get("/requests/R-000001").status_code == 404


def test_rate_in_numbers() -> None:
    limit = RateLimit(10.0)
    assert [limit.take("a", 100.0) for _ in range(21)] == [0.0] * 20 + [pytest.approx(0.1)]
    assert limit.take("b", 100.0) == 0.0
    assert [limit.take("a", 100.25) for _ in range(3)] == [0.0, 0.0, pytest.approx(0.05)]
    assert [limit.take("a", 1000.0) for _ in range(21)] == [0.0] * 20 + [pytest.approx(0.1)]
    assert [RateLimit(0.1).take("a", 0.0), *[0.0]] == [0.0, 0.0]


def read_all(connection: socket.socket) -> bytes:
    """Returns what comes until the other side ends, however it does."""
    said = b""
    try:
        while part := connection.recv(1 << 16):
            said += part
    except ConnectionResetError:
        pass
    return said


def test_who_is_slow_is_dropped(monkeypatch: pytest.MonkeyPatch, served: Served) -> None:
    monkeypatch.setattr(server, "WAIT_SECONDS", 0.3)
    monkeypatch.setattr(guard, "WAIT_SECONDS", 0.3)
    address = "127.0.0.1", served.client.base_url.port
    head = f"POST /requests HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.token}\r\nContent-Length: 9\r\n"
    for sent, words in (("", b""), (head, b""), (f"{head}\r\n{{", b'"code":"too-slow"}')):
        with socket.create_connection(address, 60) as connection:
            connection.sendall(sent.encode())
            said = read_all(connection)
        assert said.endswith(words), said
        assert bool(said) == bool(words)
    with socket.create_connection(address, 60) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        said = b""
        while not said.endswith(b'"ok"}'):
            said += connection.recv(1 << 16)
        connection.sendall(head.encode())
        assert read_all(connection) == b""
