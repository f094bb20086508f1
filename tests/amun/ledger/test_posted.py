"""Demands that come over HTTP: said again with their key they are answered as before, whoever was killed in between."""

import os
import signal
from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import event

from amun.core.errors import InputError
from amun.ledger import Demand, KeyReusedError, Ledger, Posted
from amun.ledger.posted import PostedDemand
from tests.amun.ledger.conftest import MakeUrl
from tests.amun.ledger.helpers import MODEL, NOW, PROCESSES, add, build_base, claim_wave, complete_wave, run_together

LATER = NOW + timedelta(days=40)


@pytest.fixture(autouse=True)
def held(ledger: Ledger) -> None:
    """Three people are held, and two programs have tokens."""
    build_base(ledger, ["ann", "ben", "Zo\u00eb"])
    for name in ("crm", "portal"):
        ledger.add_token(name, ["requests:write"], NOW)


def take(ledger: Ledger, subject: str, key: str | None = None, token: str = "crm") -> Posted:  # noqa: S107 - a name
    return ledger.take_posted(Demand(subject), token=token, key=key, now=NOW)


def test_same_key_and_demand_have_the_same_answer_for_ever(ledger: Ledger) -> None:
    first = take(ledger, "ann", "k-1")
    assert (first.request_id, first.is_new, first.is_repeated) == ("R-000001", True, False)
    claim = claim_wave(ledger)
    complete_wave(ledger, claim)
    again = ledger.take_posted(Demand("ann"), token="crm", key="k-1", now=LATER)  # noqa: S106 - its name
    assert again == replace(first, is_repeated=True)
    # without a key it is a demand of its own: by now she is forgotten
    assert take(ledger, "ann").request_id == "R-000002"
    assert len(ledger.list_requests()) == 2


def test_without_a_key_the_open_request_answers(ledger: Ledger) -> None:
    first, second = take(ledger, "ann"), take(ledger, "ann")
    assert (first.is_new, second.is_new) == (True, False)
    assert (first.request_id, first.due_at) == (second.request_id, second.due_at)
    assert not second.is_repeated


def test_answer_under_an_earlier_request_is_repeated_too(ledger: Ledger) -> None:
    (earlier,) = add(ledger, "ann")
    first = take(ledger, "ann", "k-1")
    assert (first.request_id, first.is_new) == (earlier, False)
    assert take(ledger, "ann", "k-1") == replace(first, is_repeated=True)


def test_key_with_another_demand_is_refused_and_records_nothing(ledger: Ledger) -> None:
    take(ledger, "ann", "k-1")
    for other in (Demand("ben"), Demand("ann", NOW), Demand("ann", None, "T-1")):
        with pytest.raises(KeyReusedError) as refused:
            ledger.take_posted(other, token="crm", key="k-1", now=NOW)  # noqa: S106 - its name
        assert "ben" not in str(refused.value)
    assert len(ledger.list_requests()) == 1
    # each token has keys of its own
    assert take(ledger, "ben", "k-1", "portal").request_id == "R-000002"


def test_one_demand_written_otherwise_is_the_same(ledger: Ledger) -> None:
    east = NOW.astimezone(timezone(timedelta(hours=9)))
    first = ledger.take_posted(Demand("Zo\u00eb", NOW), token="crm", key="k", now=NOW)  # noqa: S106 - its name
    again = ledger.take_posted(Demand("Zoe\u0308", east), token="crm", key="k", now=NOW)  # noqa: S106 - its name
    assert again == replace(first, is_repeated=True)


def test_keys_that_were_told_before_are_found_by_the_index(ledger: Ledger) -> None:
    asked: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        if statement.startswith("SELECT posted_demands."):
            asked.append((statement, parameters))

    event.listen(ledger._engine, "before_cursor_execute", note)
    take(ledger, "ann", "k-1")
    ((statement, parameters),) = asked
    is_sqlite = ledger._engine.dialect.name == "sqlite"
    with ledger._engine.connect() as connection:
        if not is_sqlite:
            # so small a table is read whole otherwise
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        explain = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN"
        plan = "\n".join(str(row) for row in connection.exec_driver_sql(f"{explain} {statement}", parameters).tuples())
    (line,) = [line for line in plan.splitlines() if ("SEARCH" if is_sqlite else "Index Cond") in line]
    assert "token" in line, plan
    assert "key_digest" in line, plan
    assert "SCAN" not in plan


def test_stranger_is_taken_and_waits(ledger: Ledger) -> None:
    posted = take(ledger, "nobody", "k-1")
    assert posted.is_new
    assert ledger.get_request(posted.request_id).outcomes[0].state == "unmatched"


def test_where_no_model_is_registered_nothing_can_be_taken(make_url_of_new: MakeUrl) -> None:
    with Ledger.create(make_url_of_new()) as empty:
        with pytest.raises(InputError, match="no model is registered"):
            empty.require_models()
        with pytest.raises(InputError, match="no model is registered"):
            empty.take_posted(Demand("ann"), token="crm", key=None, now=NOW)  # noqa: S106 - its name


def test_demands_that_come_together_are_answered_as_if_each_came_alone(ledger: Ledger) -> None:
    take(ledger, "ann", "k-0")
    demands = [("ben", "k-1"), ("ben", "k-1"), ("ben", None), ("ann", "k-0"), ("Zo\u00eb", "k-1"), ("Zoe\u0308", "k-2")]
    posted = [PostedDemand(Demand(subject), "crm", key) for subject, key in demands]
    *answers, reused, zoe = ledger.take_all_posted(posted, now=NOW)
    assert isinstance(reused, KeyReusedError)
    assert [(one.request_id, one.is_new, one.is_repeated) for one in [*answers, zoe] if isinstance(one, Posted)] == [
        ("R-000002", True, False),
        ("R-000002", True, True),
        ("R-000002", False, False),
        ("R-000001", True, True),
        ("R-000003", True, False),
    ]
    assert len(ledger.list_requests()) == 3


def test_several_at_once_with_one_key_make_one_request(url: str, ledger: Ledger) -> None:
    answers = run_together(_take_in_process, [(url, "ann", "k-1")] * 2)
    assert len({answer.request_id for answer in answers}) == 1
    assert sorted(answer.is_repeated for answer in answers) == [False, True]
    assert {answer.is_new for answer in answers} == {True}
    assert len(ledger.list_requests(MODEL)) == 1


def test_killed_before_the_answer_the_same_demand_has_the_same_request(url: str, ledger: Ledger) -> None:
    killed = PROCESSES.Process(target=_take_and_die, args=(url, "ann", "k-1"))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    posted = take(ledger, "ann", "k-1")
    assert (posted.request_id, posted.is_new, posted.is_repeated) == ("R-000001", True, True)
    assert len(ledger.list_requests()) == 1


def _take_in_process(url: str, subject: str, key: str) -> Posted:
    with Ledger(url) as ledger:
        return take(ledger, subject, key)


def _take_and_die(url: str, subject: str, key: str) -> None:
    _take_in_process(url, subject, key)
    os.kill(os.getpid(), signal.SIGKILL)
