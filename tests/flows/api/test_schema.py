"""The application keeps to its own schema: schemathesis makes calls of it, right ones and wrong ones."""

import re
from datetime import UTC, datetime
from typing import Any

import httpx
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from amun.core.subject_ids import find_fault
from amun.ledger.checks import UNFIT_CHARACTERS
from flows.api.log import OPEN_PATHS
from tests.api import Served

NUM_EXAMPLES = 6  # of each operation, right ones and wrong ones


def tell_time(moment: datetime) -> str:
    return moment.isoformat()


TEXT = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=50)
FORMATS = {
    "callback-url": st.from_regex(r"https://suite\.example\.org/[a-z]{1,20}", fullmatch=True),
    "subject-id": TEXT.filter(lambda text: not find_fault(text)),
    "reference": TEXT.filter(lambda text: not UNFIT_CHARACTERS.search(text) and bool(text.strip())),
    "past-date-time": st.datetimes(datetime(1970, 1, 2), datetime(2020, 1, 1), timezones=st.just(UTC)).map(tell_time),
}


def test_application_keeps_to_its_schema(suite: Served) -> None:
    import schemathesis
    from schemathesis import GenerationMode

    for name, strategy in FORMATS.items():
        schemathesis.openapi.format(name, strategy)
    schema: Any = schemathesis.openapi.from_url(f"{suite.client.base_url}/openapi.json")
    operations: list[Any] = [found.ok() for found in schema.get_all_operations()]
    for operation in operations:
        check_operation(operation, GenerationMode.POSITIVE, suite)
        # the others take nothing that could be wrong
        if operation.path.startswith(("/requests", "/v2/requests")):
            check_operation(operation, GenerationMode.NEGATIVE, suite)
    assert [f"{operation.method.upper()} {operation.path}" for operation in operations] == [
        "POST /requests",
        "GET /requests/{request_id}",
        "GET /requests/{request_id}/receipt",
        "GET /healthz",
        "GET /v2/discovery",
        "GET /v2/certificate.pem",
        "POST /v2/requests",
        "GET /v2/requests/{subject_request_id}",
        "DELETE /v2/requests/{subject_request_id}",
    ]
    statuses = {(line["route"], line["status"]) for line in suite.read_log()}
    assert {("/v2/requests", 201), ("/v2/requests", 400), ("/v2/requests/{subject_request_id}", 404)} <= statuses
    assert {("/requests", 201), ("/requests", 422), ("/requests/{request_id}", 404)} <= statuses


def test_who_has_no_token_may_call_what_needs_none_and_nothing_else(suite: Served) -> None:
    url = str(suite.client.base_url)
    told = {
        (method.upper(), path): "security" in operation
        for path, methods in httpx.get(f"{url}/openapi.json").json()["paths"].items()
        for method, operation in methods.items()
    }
    assert {path for (_, path), is_guarded in told.items() if not is_guarded} == {
        path for path in OPEN_PATHS if not path.endswith("/")
    } - {"/openapi.json"}
    assert sum(told.values()) == 6
    for (method, path), is_guarded in told.items():
        status = httpx.request(method, url + re.sub(r"{\w+}", "1", path)).status_code
        assert (status == 401) is is_guarded, (method, path)


def check_operation(operation: Any, mode: Any, served: Served) -> None:
    """Makes calls of an operation that are right, or wrong, by its schema."""

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=NUM_EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Any) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {served.token}"})

    check()
