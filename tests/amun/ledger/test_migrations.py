"""A ledger of an earlier release is brought up to date by whoever opens it, and nothing in it is lost."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect

from amun.evidence.attempts import Receipt
from amun.ledger import Ledger
from amun.ledger.laws import compute_extended_due
from amun.ledger.schema import SCHEMA_VERSION, InfoRow
from tests.amun.ledger.conftest import MakeUrl
from tests.amun.ledger.helpers import MODEL, NOW, add, list_states, run_together

COMPOSED, DECOMPOSED = "Zo\u00eb", "Zoe\u0308"
AT = "2026-01-31 09:30:00"
# as the release with schema version 2 has made it, on SQLite
SCHEMA = (Path(__file__).parent / "version_2.sql").read_text(encoding="utf-8")
WAVE = f"'h', 't', '{AT}', '{AT}', '{AT}', '{AT}', 1, NULL, NULL"
CONTENT = f"""
INSERT INTO ledger_info VALUES (1, 2, 6);
INSERT INTO models VALUES ('{MODEL}', 0);
INSERT INTO holdings VALUES ('ann', '{MODEL}', 2, 1);
INSERT INTO holdings VALUES ('{COMPOSED}', '{MODEL}', 2, 1);
INSERT INTO holdings VALUES ('{DECOMPOSED}', '{MODEL}', 3, 0);
INSERT INTO holdings VALUES ('Jose\u0301', '{MODEL}', 1, 0);
INSERT INTO waves VALUES ('{MODEL}', 0, 'base', 'complete', {WAVE}, '1', 'c0', NULL, NULL);
INSERT INTO waves VALUES ('{MODEL}', 1, 'deletion', 'complete', {WAVE}, '2', 'c1', NULL, NULL);
INSERT INTO requests VALUES (1, 'ann', '{AT}', '{AT}', 'T-1', NULL);
INSERT INTO requests VALUES (2, 'Jose\u0301', '{AT}', '{AT}', NULL, NULL);
INSERT INTO requests VALUES (3, '{COMPOSED}', '{AT}', '{AT}', NULL, NULL);
INSERT INTO requests VALUES (4, '{DECOMPOSED}', '{AT}', '{AT}', NULL, NULL);
INSERT INTO requests VALUES (5, 'eve', '{AT}', '{AT}', NULL, NULL);
INSERT INTO request_outcomes VALUES (1, '{MODEL}', 'ann', 'completed', 1, '{AT}', '{{"tag": "wave/0001"}}');
INSERT INTO request_outcomes VALUES (2, '{MODEL}', 'Jose\u0301', 'pending', NULL, NULL, NULL);
INSERT INTO request_outcomes VALUES (3, '{MODEL}', '{COMPOSED}', 'pending', NULL, NULL, NULL);
INSERT INTO request_outcomes VALUES (4, '{MODEL}', '{DECOMPOSED}', 'pending', NULL, NULL, NULL);
INSERT INTO request_outcomes VALUES (5, '{MODEL}', 'eve', 'nothing_held', NULL, '{AT}', NULL);
INSERT INTO rollbacks VALUES ('{MODEL}', 1, 1, '2', '1', 'why', '{AT}', '{AT}');
INSERT INTO undone_outcomes VALUES (1, '{MODEL}', 1, 'completed', 1, '{AT}', '{{"tag": "wave/0000"}}');
"""  # noqa: S608 - our own values


@pytest.fixture
def url_of_2(make_url_of_new: MakeUrl) -> str:
    """The url of a ledger of schema version 2 with something in every table that changes."""
    url = make_url_of_new()
    statements = (SCHEMA + CONTENT).replace("\n", " ")
    if url.startswith("postgresql"):
        statements = statements.replace("DATETIME", "TIMESTAMP WITH TIME ZONE").replace(f"{AT}'", f"{AT}+00'")
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in filter(None, map(str.strip, statements.split(";"))):
            connection.exec_driver_sql(statement.replace("%", "%%"))
    engine.dispose()
    return url


def describe_table(url: str, name: str) -> dict[str, Any]:
    """Returns all that the database keeps to of a table."""
    engine = create_engine(url)
    found = inspect(engine)
    described = {
        "columns": [(column["name"], str(column["type"]), column["nullable"]) for column in found.get_columns(name)],
        "key": found.get_pk_constraint(name)["constrained_columns"],
        "checks": sorted(
            (check["name"], " ".join(check["sqltext"].split())) for check in found.get_check_constraints(name)
        ),
        "references": sorted(
            (key["constrained_columns"], key["referred_table"]) for key in found.get_foreign_keys(name)
        ),
        "indexes": sorted(
            (
                index["name"],
                index["column_names"],
                index["unique"],
                [str(value) for value in index["dialect_options"].values()],
            )
            for index in found.get_indexes(name)
        ),
    }
    engine.dispose()
    return described


def test_earlier_ledger_is_brought_up_to_date_when_it_is_opened(url_of_2: str, make_url_of_new: MakeUrl) -> None:
    with Ledger(url_of_2) as ledger:
        ann, jose, composed, decomposed, eve = ledger.list_requests(MODEL)
        assert [request.subject_id for request in (ann, jose, composed, eve)] == ["ann", "Jos\u00e9", COMPOSED, "eve"]
        assert {(request.law, request.extension) for request in ledger.list_requests()} == {("gdpr", None)}
        assert (ann.reference, ann.received_at, ann.outcomes[0].receipt) == ("T-1", NOW, Receipt(tag="wave/0001"))
        assert [(kept.state, kept.receipt) for kept in ann.outcomes[0].undone] == [
            ("completed", Receipt(tag="wave/0000"))
        ]
        # two that wait for one person stay two
        assert decomposed.subject_id == DECOMPOSED
        held, _ = ledger.find_holding(MODEL, DECOMPOSED)
        assert held is not None
        assert (held.subject_id, held.num_train, held.num_held_out) == (COMPOSED, 5, 1)
        assert add(ledger, "Jose\u0301", "stranger") == ["R-000002", "R-000006"]
        assert list_states(ledger)[-2:] == [("R-000005", "nothing_held"), ("R-000006", "unmatched")]
        # who was forgotten before was promised no erasure
        assert ann.outcomes[0].erasure is None
        assert (ledger.list_erasures(MODEL, NOW), ledger.count_status(MODEL, NOW).never_erased) == ([], 1)
        # counted from the receipt
        assert ledger.extend_request("R-000002", "why", now=NOW).due_at == compute_extended_due(NOW, "gdpr")
        with ledger._read() as session:
            assert session.get_one(InfoRow, 1).schema_version == SCHEMA_VERSION
    fresh = make_url_of_new()
    Ledger.create(fresh).close()
    for table in (
        "waves",
        "request_outcomes",
        "undone_outcomes",
        "erasures",
        "receipt_drafts",
        "receipts",
        "reproductions",
        "consumers",
        "clear_waves",
        "nights",
        "alerts",
        "alert_deliveries",
        "requests",
        "extensions",
        "api_tokens",
        "posted_demands",
        "opendsr_requests",
        "opendsr_callbacks",
        "holds",
        "denials",
        "approvals",
    ):
        assert describe_table(url_of_2, table) == describe_table(fresh, table)


def test_several_processes_bring_it_up_to_date_once(url_of_2: str) -> None:
    assert run_together(_count, [(url_of_2,)] * 3) == [5, 5, 5]


def _count(url: str) -> int:
    with Ledger(url) as ledger:
        return len(ledger.list_requests())
