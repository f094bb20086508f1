"""What is shown of many waves, and of one that was undone."""

from datetime import UTC, datetime

import pytest

from amun.evidence.attempts import Judged, Summary
from amun.ledger import Request, Wave
from flows.pages.wave_tables import print_latest, print_status, print_wave

NIGHT = datetime(2026, 1, 31, 3, tzinfo=UTC)


def make_wave(number: int, *, undone_by: int | None = None, note: str | None = None) -> Wave:
    decisions = (
        Judged(attempt=1, method="amun", passed=False, reason="too far from 0.5"),
        Judged(attempt=2, method="retrain", passed=True, reason="exact by construction"),
    )
    return Wave(
        model="model",
        number=number,
        kind="deletion",
        state="parked" if note else "complete",
        holder="host:boot:1:2",
        opened_at=NIGHT,
        closed_at=NIGHT,
        attempt=2,
        note=note,
        parent_version=str(number),
        version=str(number + 1),
        commit="c" * 40,
        summary=None if note else Summary(num_forget=30, method="retrain", decisions=decisions),
        comparison=None,
        num_requests=12,
        undone_by=undone_by,
    )


def test_many_waves_are_cut_to_the_latest(capsys: pytest.CaptureFixture[str]) -> None:
    print_latest([make_wave(number, undone_by=1 if number == 99 else None) for number in range(100)])
    *_, last, note = capsys.readouterr().out.splitlines()
    assert last.split()[:3] == ["99", "2026-01-31", "undone"]
    assert note == "70 earlier waves; `amun wave list --all` shows them"


def test_wave_tells_its_decisions_and_counts_its_requests(capsys: pytest.CaptureFixture[str]) -> None:
    requests = [Request(f"R-{number:06d}", "person", NIGHT, NIGHT, None, None, (), ()) for number in range(1, 13)]
    print_wave(make_wave(7, undone_by=2), requests)
    shown = " ".join(capsys.readouterr().out.split())
    assert "attempt 1 amun refused: too far from 0.5" in shown
    assert "attempt 2 retrain passed: exact by construction" in shown
    assert "requests 12, from R-000001 to R-000012" in shown
    assert "undone by rollback 2" in shown


def test_status_tells_how_the_last_wave_ended(capsys: pytest.CaptureFixture[str]) -> None:
    status = {"model": "model", "champion": 7, "pending": 0, "overdue": 0, "unmatched": 3, "held": 0, "next_due": None}
    print_status(status | {"open_wave": None, "last_wave": make_wave(8, note="no attempt passed the gate")})
    shown = capsys.readouterr().out
    assert "last wave  8, parked 2026-01-31 03:00 UTC: no attempt passed the gate" in shown
    assert "unmatched  3 requests of nobody in the data" in shown
