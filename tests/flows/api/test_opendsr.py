"""Requests as privacy suites send them, and what they verify of the answers."""

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from amun.ledger import Ledger
from amun.ledger.api_tokens import SCOPES
from tasks.workspace.workspace import Workspace
from tests.amun.ledger.helpers import MODEL, NOW, claim_wave, complete_wave
from tests.api import Served, make_workspace, serve_api
from tests.flows.api.conftest import ORIGIN, make_processor
from tests.processor import DOMAIN, assert_signed

ID = "a7551968-d5d6-44b2-9831-815ac9017798"
# as the standard's own example has it, but for the kind of identity and the version
REQUEST: dict[str, Any] = {
    "regulation": "ccpa",
    "subject_request_id": ID,
    "subject_request_type": "erasure",
    "submitted_time": "2018-10-02T15:00:00Z",
    "subject_identities": [
        {"identity_type": "email", "identity_value": "ann@example.com", "identity_format": "raw"},
        {"identity_type": "controller_customer_id", "identity_value": "ann", "identity_format": "raw"},
    ],
    "api_version": "2.0",
    "status_callback_urls": [f"{ORIGIN}/callbacks"],
    "extensions": {"other-processor.example.com": {"foo-processor-custom-id": 123456}},
    "group_id": None,
}
PATH = f"/v2/requests/{ID}"


def assert_refused(answer: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    """Checks that an answer is refused in the standard's form, and returns the error."""
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert (error["code"], error["errors"][0]["reason"]) == (status, reason)
    assert {"message", "domain"} <= set(error["errors"][0])
    assert "ann" not in answer.text
    return error


def tell_status(suite: Served) -> str:
    status: str = suite.client.get(PATH).json()["request_status"]
    return status


def test_request_is_taken_signed_and_followed(suite: Served) -> None:
    found = httpx.get(f"{suite.client.base_url}/v2/discovery/", trust_env=False)
    assert found.json() == {
        "api_version": "2.0",
        "supported_identities": [{"identity_type": "controller_customer_id", "identity_format": "raw"}],
        "supported_subject_request_types": ["erasure"],
        "processor_certificate": f"https://{DOMAIN}/v2/certificate.pem",
    }
    certificate = httpx.get(f"{suite.client.base_url}/v2/certificate.pem", trust_env=False).text
    body = json.dumps(REQUEST, indent=2).encode()
    head = {"Content-Type": "application/json"}
    answer = suite.client.post("/v2/requests/", content=body, headers=head)
    assert answer.status_code == 201, answer.text
    assert_signed(answer.headers, answer.content, certificate)
    taken = answer.json()
    assert base64.b64decode(taken["encoded_request"]) == body
    assert (taken["controller_id"], taken["subject_request_id"]) == ("all", ID)
    assert taken["expected_completion_time"] == "2018-11-16T15:00:00Z"
    (request,) = suite.ledger.list_requests(MODEL)
    assert (request.subject_id, request.law, request.reference) == ("ann", "ccpa", ID)

    again = suite.client.post("/v2/requests", json=REQUEST)
    assert (again.status_code, again.json()["received_time"]) == (201, taken["received_time"])
    assert_refused(suite.client.post("/v2/requests", json=REQUEST | {"regulation": "gdpr"}), 409, "key-reused")
    assert len(suite.ledger.list_requests(MODEL)) == 1

    shown = suite.client.get(PATH)
    assert_signed(shown.headers, shown.content, certificate)
    assert shown.json() == {
        "controller_id": "all",
        "expected_completion_time": "2018-11-16T15:00:00Z",
        "subject_request_id": ID,
        "request_status": "pending",
        "api_version": "2.0",
    }
    claim = claim_wave(suite.ledger)
    assert tell_status(suite) == "in_progress"
    assert_refused(suite.client.delete(PATH), 400, "not-pending")
    complete_wave(suite.ledger, claim, erase_after=NOW + timedelta(days=7))
    # the keys are still there
    assert tell_status(suite) == "in_progress"
    suite.ledger.record_destroyed(MODEL, ["R-000001"], NOW)
    suite.ledger.finish_erasures(MODEL, ["R-000001"], NOW)
    assert tell_status(suite) == "completed"


FAULTY: list[tuple[dict[str, Any], str]] = [
    ({"subject_request_type": "access"}, "#/subject_request_type"),
    ({"subject_request_id": ID.upper()}, "#/subject_request_id"),
    ({"regulation": "lgpd"}, "#/regulation"),
    ({"submitted_time": "2018-10-02"}, "#/submitted_time"),
    ({"submitted_time": None}, "#/submitted_time"),
    ({"api_version": "1.0"}, "#/api_version"),
    ({"subject_identities": []}, "#/subject_identities"),
    ({"subject_identities": REQUEST["subject_identities"][:1]}, "request"),
    ({"subject_identities": REQUEST["subject_identities"][1:] * 2}, "request"),
    ({"subject_identities": [REQUEST["subject_identities"][1] | {"identity_format": "sha256"}]}, "request"),
    ({"status_callback_urls": ["https://169.254.169.254/latest"]}, "request"),
    ({"status_callback_urls": [f"{ORIGIN}@evil.example/x"]}, "request"),
]


def test_faulty_request_is_refused_in_the_form_of_the_standard(suite: Served) -> None:
    for change, domain in FAULTY:
        error = assert_refused(suite.client.post("/v2/requests", json=REQUEST | change), 400, "faulty")
        assert {part["domain"] for part in error["errors"]} == {domain}, change
    assert_refused(suite.client.post("/v2/requests", content=b"{"), 415, "no-json")
    head = {"Content-Type": "application/json"}
    assert_refused(suite.client.post("/v2/requests", content=b"{", headers=head), 400, "faulty")
    assert_refused(suite.client.get("/v2/requests/x"), 400, "faulty")
    assert_refused(suite.client.get(PATH), 404, "no-such-request")
    assert_refused(suite.client.delete(PATH), 404, "no-such-request")
    assert_refused(suite.client.get(PATH, headers={"Authorization": ""}), 401, "no-token")
    reader = suite.add_token("reader", ["requests:read"])
    assert_refused(suite.client.post("/v2/requests", json=REQUEST, headers=reader), 403, "no-scope")
    assert_refused(suite.client.delete(PATH, headers=reader), 403, "no-scope")
    assert suite.ledger.list_requests(MODEL) == []


def test_cancelled_request_is_withdrawn_unless_somebody_else_has_asked(suite: Served) -> None:
    suite.client.post("/v2/requests", json=REQUEST)
    answer = suite.client.delete(PATH)
    assert (answer.status_code, answer.json()["subject_request_id"]) == (202, ID)
    assert tell_status(suite) == "cancelled"
    assert suite.ledger.get_request("R-000001").outcomes[0].state == "withdrawn"
    assert_refused(suite.client.delete(PATH), 400, "not-pending")

    assert_refused(suite.client.post("/v2/requests", json=REQUEST), 409, "key-reused")
    # each sender has ids of its own, and is told of no other's
    senders = [suite.add_token(f"t-{number}", SCOPES) for number in (1, 2)]
    for number, headers in enumerate(senders, 1):
        changed = REQUEST | {"submitted_time": f"2018-10-0{number}T15:00:00Z"}
        taken = suite.client.post("/v2/requests", json=changed, headers=headers)
        assert (taken.status_code, taken.json()["controller_id"]) == (201, f"t-{number}")
    stranger = suite.add_token("t-3", SCOPES)
    assert_refused(suite.client.get(PATH, headers=stranger), 404, "no-such-request")
    assert_refused(suite.client.delete(PATH, headers=stranger), 404, "no-such-request")
    # both stand under one request
    for headers, state in zip(senders, ("pending", "withdrawn"), strict=True):
        assert suite.client.delete(PATH, headers=headers).status_code == 202
        assert suite.ledger.get_request("R-000002").outcomes[0].state == state
    log = suite.read_log()
    assert [(line["method"], line["route"], line["request"], line["outcome"]) for line in log[-1:]] == [
        ("DELETE", "/v2/requests/{subject_request_id}", "R-000002", "cancelled")
    ]
    assert [word for word in ("ann", "example.com") if word in "".join(suite.lines)] == []


def test_requests_wait_for_approval_where_the_parameters_say_so(
    own_ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = make_workspace().params
    intake = shipped.intake.model_copy(update={"approvals": 2})
    careful = Workspace(tmp_path, shipped.model_copy(update={"intake": intake}))
    with serve_api(careful, own_ledger, processor=make_processor(tmp_path, monkeypatch)) as suite:
        assert suite.client.post("/v2/requests", json=REQUEST).status_code == 201
        assert suite.post({"subject_id": "ben"}).status_code == 201
        assert tell_status(suite) == "pending"
        found = [suite.client.get(f"/requests/R-00000{number}").json() for number in (1, 2)]
    assert [(one["held_for"], one["outcomes"][0]["state"]) for one in found] == [("approval", "held")] * 2


@pytest.mark.parametrize("path", ["/v2/discovery", "/v2/certificate.pem", PATH])
def test_without_a_key_there_is_nothing(path: str, served: Served) -> None:
    assert_refused(served.client.get(path), 404, "no-such-path")
