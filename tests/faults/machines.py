"""Two machines that share a ledger on Postgres: both begin a night at once, and one of them is killed."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from mlflow import MlflowClient
from sqlalchemy import create_engine, delete, func, insert, select

from amun.core.paths import LEDGER, UNLEARNED
from amun.ledger import Ledger
from amun.ledger.columns import Base
from tests.company import assert_up_to_date, join, share
from tests.faults.lab import Lab
from tests.postgres import run_postgres, run_statements
from tests.trap import FAILED, KILLED, open_trap, read_all
from tests.workspaces import MODEL, Site, choose_people, describe

NEVER = "100000"
# as if whoever has the wave were on a machine of which this one knows nothing
ELSEWHERE = "UPDATE waves SET holder = 'elsewhere:0:1:1' WHERE state = 'open'"
EXPIRED = "UPDATE waves SET lease_expires_at = opened_at WHERE state = 'open'"


def share_a_ledger(lab: Lab, site: Site, _: Path) -> None:
    """Has two clones of a copy begin a wave at once and kills one, as its machine would die; the other ends it."""
    folder = site.root.parent / "machines"
    with run_postgres() as url:
        shared = share(site.copy(folder / "first"), folder / "company")
        copy_ledger(f"sqlite:///{folder / 'company' / LEDGER.name}", url)
        first = Site(shared.root, shared.variables | {"AMUN_LEDGER_URL": url})
        first.run("amun", "init", "--git-remote", "company")
        second = join(first, "second")
        _begin_at_once(lab, first, second, folder)
        if first.load("wave", "list")[-1]["state"] == "open":
            run_statements(url, ELSEWHERE)
            waiting = second.start("amun", "wave", "run")
            assert "elsewhere" in describe(waiting), describe(waiting)
            assert first.load("wave", "list")[-1]["state"] == "open"
            run_statements(url, EXPIRED)
        second.run("amun", "wave", "run")
        _judge(lab, first, second)


def _begin_at_once(lab: Lab, first: Site, second: Site, folder: Path) -> None:
    """Runs a wave in both clones; all programs of the first are killed at a moment drawn by chance."""
    with (
        (folder / "first.said").open("w+", encoding="utf-8") as said,
        (folder / "second.said").open("w+", encoding="utf-8") as others,
        open_trap(first, said, "wave", "run") as run_first,
        open_trap(second, others, "wave", "run") as run_second,
        ThreadPoolExecutor(1) as thread,
    ):
        running = thread.submit(run_second, "in", NEVER)
        ended = run_first("group", f"{lab.random.uniform(0, lab.seconds):.3f}")
        assert ended in (0, KILLED, FAILED), read_all(said)
        assert running.result() == 0, read_all(others)
        lab.tally.kills[share_a_ledger.__name__] += ended != 0


def _judge(lab: Lab, first: Site, second: Site) -> None:
    """Sees that there is one wave, by one commit and one version, in both clones."""
    people = choose_people(lab.zero)
    for site in (first, second):
        assert "nothing to do" in site.run("amun", "wave", "run")
        assert_up_to_date(site)
    assert first.git("rev-parse", "HEAD") == second.git("rev-parse", "wave/0001^{commit}")
    requests = first.load("request", "list")
    assert sorted(request["subject_id"] for request in requests) == sorted(people)
    outcomes = [outcome for request in requests for outcome in request["outcomes"]]
    assert {(outcome["state"], outcome["wave_number"]) for outcome in outcomes} == {("completed", 1)}
    client = MlflowClient(tracking_uri=first.variables["MLFLOW_TRACKING_URI"])
    assert len(client.search_model_versions(f"name = '{MODEL}'")) == 2
    weights, others = first.read_weights(UNLEARNED), lab.one.read_weights(UNLEARNED)
    assert all(torch.equal(weights[name], others[name]) for name in others), "it has other weights"


def copy_ledger(source: str, target: str) -> None:
    """Copies a ledger into another database, whose next numbers are then those of the first."""
    Ledger.create(target).close()
    engines = create_engine(source), create_engine(target)
    with engines[0].connect() as reading, engines[1].begin() as writing:
        for table in reversed(Base.metadata.sorted_tables):
            writing.execute(delete(table))
        for table in Base.metadata.sorted_tables:
            if rows := [dict(row) for row in reading.execute(select(table)).mappings()]:
                writing.execute(insert(table), rows)
            for column in table.primary_key.columns:
                sequence = func.pg_get_serial_sequence(table.name, column.name)
                if writing.execute(select(sequence)).scalar() is not None:
                    last = select(func.max(column)).scalar_subquery()
                    writing.execute(select(func.setval(sequence, last)))
    for engine in engines:
        engine.dispose()
