"""Requests by CSV and from a folder of the company's own, and a legal hold, in a workspace of its own."""

from pathlib import Path

import pytest

from tests.workspaces import Site, choose_people, describe, dump_ledger, read_tree, set_key


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "requests"
    folder.mkdir()
    return folder


@pytest.fixture
def site(wave_zero: Site, tmp_path: Path, source: Path) -> Site:
    """A workspace with a base and an intake source."""
    copied = wave_zero.copy(tmp_path / "workspace")
    copied.change_params(lambda params: set_key(params, "intake.source", str(source)))
    return copied


def list_states(site: Site) -> dict[str, str]:
    """Returns by subject how their request stands."""
    return {request["subject_id"]: request["outcomes"][0]["state"] for request in site.load("request", "list")}


def test_faulty_csv_file_is_refused_line_by_line(site: Site, tmp_path: Path) -> None:
    before = dump_ledger(site)
    path = tmp_path / "faulty.csv"
    path.write_text("subject_id,received_at\nann,2999-01-01\n,\n", encoding="utf-8")
    refused = site.start("amun", "request", "add", "--csv", str(path))
    assert (refused.returncode, refused.stdout) == (2, ""), describe(refused)
    head, *faults = refused.stderr.splitlines()
    assert head == f"amun: {path}: 2 faulty lines, nothing was recorded"
    assert [fault.partition(": ")[0] for fault in faults] == ["line 2, received_at", "line 3, subject_id"]
    for arguments, word in (
        (("--csv", str(tmp_path / "nowhere.csv")), "No such file"),
        (("ann", "--csv", str(path)), "one of the two"),
        ((), "one of the two"),
    ):
        refused = site.start("amun", "request", "add", *arguments)
        assert refused.returncode == 2
        assert word in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    assert dump_ledger(site) == before


@pytest.mark.long
def test_requests_come_in_by_themselves_but_for_those_on_hold(site: Site, source: Path, tmp_path: Path) -> None:
    held, by_csv, *others = choose_people(site)
    path = tmp_path / "two.csv"
    path.write_text(f"reference,subject_id,received_at\nT-1,{held},2026-01-31\nT-2,{by_csv},\n", encoding="utf-8")
    assert "T-1" not in site.run("amun", "request", "add", "--csv", str(path))
    assert "T-1" in site.run("amun", "request", "list")
    assert "a lawsuit" in site.run("amun", "request", "hold", "R-000001", "--reason", "a lawsuit")
    assert "on hold    1 request, past the due date: 1" in site.run("amun", "status")
    (source / "good.csv").write_text("\n".join(["subject_id", *others]), encoding="utf-8")
    (source / "bad.csv").write_text(f"subject\n{held}\n", encoding="utf-8")
    (source / "unfinished.csv.tmp").write_text("subject_id\nsomeb", encoding="utf-8")

    before = dump_ledger(site), read_tree(source)
    plan = site.run("amun", "wave", "run", "--dry-run")
    assert f"would first take 2 files of requests from {source}" in plan
    assert "wave 1 would forget 1 person" in plan
    assert (dump_ledger(site), read_tree(source)) == before

    said = site.run("amun", "wave", "run")
    assert f"intake: 1 file taken, {len(others)} new requests" in said
    assert "1 file of requests rejected: see rejected/ in the intake source" in said.splitlines()[-1]
    assert [person for person in (held, by_csv, *others) if person in said] == []
    assert sorted(read_tree(source)) == [
        "done/000002/good.csv",
        "rejected/000001/bad.csv",
        "rejected/000001/bad.csv.reason.txt",
        "unfinished.csv.tmp",
    ]
    assert list_states(site) == {held: "held"} | dict.fromkeys((by_csv, *others), "completed")
    assert "nothing to do" in site.run("amun", "wave", "run")

    # the night goes on for those who are pending, and fails for what may wait where it cannot look
    released = site.run("amun", "request", "release", "R-000001")
    assert "pending" in released
    assert "2026-02-28" in released
    source.rename(tmp_path / "elsewhere")
    failed = site.start("amun", "wave", "run")
    assert failed.returncode == 2, describe(failed)
    assert failed.stderr == f"amun: intake.source: {source} is no folder; make it, or write null\n"
    assert "wave 2 complete" in failed.stdout
    assert list_states(site)[held] == "completed"
