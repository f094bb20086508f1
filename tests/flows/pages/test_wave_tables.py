"""What is shown of many waves, and of one that was undone."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from amun.core.errors import InputError
from amun.evidence.attempts import Judged, Summary
from amun.evidence.earlier import EarlierFigures
from amun.evidence.figures import AuditFigures, Comparison, ReportFigures
from amun.evidence.worst import PersonScore, Worst
from amun.ledger import Consumer, OpenWave, Request, Wave
from flows.pages.listing import View
from flows.pages.table import CUT
from flows.pages.wave_tables import choose_waves, print_list, print_status, print_wave
from tasks.views.status import WorkspaceStatus

NIGHT = datetime(2026, 1, 31, 3, tzinfo=UTC)


STATUS = WorkspaceStatus(
    model="model",
    champion=7,
    pending=0,
    overdue=0,
    unmatched=3,
    held=0,
    next_due=None,
    last_night=None,
    to_erase=3,
    erase_next=NIGHT,
    erase_late=1,
    erase_overdue=2,
    never_erased=0,
    num_listed=0,
    consumers=[],
    source_waiting=0,
    clear_bases=[],
    open_wave=None,
    last_wave=None,
    held_overdue=0,
)


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


def show_list(capsys: pytest.CaptureFixture[str], waves: list[Wave], view: View) -> list[str]:
    page, num_waves = choose_waves(waves, view)
    print_list(page, view, num_waves)
    return capsys.readouterr().out.splitlines()


def test_many_waves_are_cut_to_pages(capsys: pytest.CaptureFixture[str]) -> None:
    waves = [make_wave(number, undone_by=1 if number == 99 else None) for number in range(100)]
    *_, last, note = show_list(capsys, waves, View())
    assert last.split()[:3] == ["99", "2026-01-31", "undone"]
    assert note == "70 earlier waves: `--page 2` goes on there, `--all` shows all"
    _, _, first, *rest = show_list(capsys, waves, View(page=4))
    assert (first.split()[0], rest[-1].split()[0], len(rest)) == ("0", "9", 9)
    assert len(show_list(capsys, waves, View(limit=None))) == 102
    _, _, only = show_list(capsys, waves, View(search="UNDONE"))
    assert only.split()[0] == "99"
    assert show_list(capsys, waves, View(search="nowhere"))[-1] == "no row holds 'nowhere'"
    with pytest.raises(InputError, match="--page 5: the list ends with page 4"):
        choose_waves(waves, View(page=5))


def make_measured_wave() -> Wave:
    """A wave of which every column has something to say."""
    figures = {"memory_left": 0.05, "memory_left_lower": -0.3, "memory_left_upper": 0.4, "ft_auc": 0.5, "trace": 0.9}
    figures["trace_by_person"] = 0.97
    test = ReportFigures.model_validate(figures | {"accuracy_base": 0.9, "accuracy": 0.89, "ft_auc_base": 0.7})
    comparison = Comparison.model_validate(figures | {"accuracy": 0.88})
    summary = Summary(num_forget=30, method="boundary_shrink", test=test)
    return replace(make_wave(123456), summary=summary, comparison=comparison, version="654321")


@pytest.mark.parametrize("width", [20, 80, 120, 170, 220])
def test_columns_give_way_and_keys_are_whole(
    width: int, capsys: pytest.CaptureFixture[str], open_terminal: Callable[[int], None]
) -> None:
    open_terminal(width)
    shown = show_list(capsys, [make_measured_wave()], View())
    place = next(place for place, line in enumerate(shown) if line.startswith("123456"))
    titles, row, note = shown[place - 1], shown[place], shown[place + 1 :]
    assert max(map(len, shown[: place + 1])) <= width
    assert (titles.split()[0], titles.split()[-1]) == ("wave", "version")
    assert (row.split()[0], row.split()[-1]) == ("123456", "654321")
    assert CUT not in row
    assert bool(note) == (width < 220)
    if width == 80:
        assert "0.05 [-0.30, 0.40]" in row
        assert re.search("no room for .*, trace-by-person, seconds: `--columns` chooses, a wider ", note[0])


def test_columns_are_chosen(capsys: pytest.CaptureFixture[str], open_terminal: Callable[[int], None]) -> None:
    open_terminal(10)
    shown = show_list(capsys, [make_measured_wave()], View(columns=("trace-after", "wave", "ft-auc-retrained")))
    assert [line.split() for line in shown] == [
        ["trace", "FT", "AUC"],
        ["after", "wave", "retrained"],
        ["0.900", "123456", "0.500"],
    ]
    with pytest.raises(InputError, match=r"--columns: there is no column 'trace'; there are wave,closed,"):
        show_list(capsys, [], View(columns=("trace",)))


def test_people_who_stand_out_are_named_to_whoever_asks(capsys: pytest.CaptureFixture[str]) -> None:
    people = tuple(PersonScore(subject_id=name, score=score) for name, score in (("erika", 4.21), ("max", 1.5)))
    print_wave(make_wave(7), [], Worst(bound=3.3, num_people=150, people=people))
    shown = capsys.readouterr().out
    assert "of 150; by chance alone somebody has more than 3.30 in one wave of twenty" in shown
    assert [line.split() for line in shown.splitlines()[-2:]] == [["erika", "4.21", "yes"], ["max", "1.50"]]


def test_wave_tells_its_decisions_and_counts_its_requests(capsys: pytest.CaptureFixture[str]) -> None:
    requests = [Request(f"R-{number:06d}", "person", NIGHT, NIGHT, None, None, (), ()) for number in range(1, 13)]
    print_wave(make_wave(7, undone_by=2), requests)
    shown = " ".join(capsys.readouterr().out.split())
    assert "attempt 1 amun refused: too far from 0.5" in shown
    assert "attempt 2 retrain passed: exact by construction" in shown
    assert "requests 12, from R-000001 to R-000012" in shown
    assert "undone by rollback 2" in shown
    assert "warning" not in shown


def test_wave_tells_every_warning(capsys: pytest.CaptureFixture[str]) -> None:
    decisions = (Judged(attempt=1, method="amun", passed=True, reason="5 people", warning="too few to show it"),)
    summary = Summary(num_forget=30, decisions=decisions, warning="FT AUC 0.700")
    print_wave(replace(make_wave(7), summary=summary), [])
    shown = " ".join(capsys.readouterr().out.split())
    assert "warning on attempt 1 too few to show it" in shown
    assert "noticed" not in shown
    assert "warning FT AUC 0.700" in shown


def test_wave_tells_what_it_would_have_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    print_wave(replace(make_wave(7), summary=Summary(calibration=AuditFigures(noticed=0.2))), [])
    shown = " ".join(capsys.readouterr().out.split())
    assert "noticed 20% of the people not forgotten at all, with a chance of 80%" in shown


def test_wave_tells_what_it_has_left_of_earlier_waves(capsys: pytest.CaptureFixture[str]) -> None:
    seen = EarlierFigures(num_people=40, num_held=210, memory_left=0.1, memory_left_lower=-0.05, memory_left_upper=0.25)
    made = Judged(attempt=1, method="never_seen", passed=True, reason="memory left 0.2", earlier=seen)
    print_wave(replace(make_wave(7), summary=Summary(decisions=(made,))), [])
    shown = " ".join(capsys.readouterr().out.split())
    assert "earlier waves memory left 0.10 [-0.05, 0.25] of 40 of 210 people whom earlier waves have forgotten" in shown


@pytest.mark.parametrize("is_abandoned", [True, False])
def test_status_tells_who_runs_the_open_wave(capsys: pytest.CaptureFixture[str], *, is_abandoned: bool) -> None:
    wave = OpenWave("model", 3, "deletion", "vm:boot:17:0.5", NIGHT, NIGHT, NIGHT, is_abandoned, 1, 2)
    print_status(replace(STATUS, open_wave=wave, last_wave=None))
    told = capsys.readouterr().out
    assert "open wave  3 (deletion), run by process 17 on vm" in told
    assert ("which is gone" in told) == is_abandoned


def test_status_tells_how_the_last_wave_ended(capsys: pytest.CaptureFixture[str]) -> None:
    print_status(replace(STATUS, last_wave=make_wave(8, note="no attempt passed the gate")))
    shown = capsys.readouterr().out
    assert "last wave  8, parked 2026-01-31 03:00 UTC: no attempt passed the gate" in shown
    assert "unmatched  3 requests of nobody in the data" in shown
    assert "to erase   3 requests, the first after 2026-01-31; `amun erase list`" in shown
    assert "warning    1 request: the person is erased not before its due date; `amun erase run --now`" in shown
    assert "warning    2 requests: the person is erased not yet, and past its due date" in shown
    assert "in clear" not in shown
    assert "listed" not in shown
    assert "in the source" not in shown
    print_status(replace(STATUS, never_erased=4, num_listed=1, source_waiting=1))
    shown = capsys.readouterr().out
    assert "warning    files of 1 request are not deleted in the source yet; `amun erase run` goes on" in shown
    assert "in clear   4 requests of people of whom copies stay unsealed" in shown
    assert "listed     1 entry of erased people on the suppression list, which keeps them out" in shown
    print_status(replace(STATUS, clear_bases=[0, 4]))
    assert (
        "in clear   this workspace keeps clear copies, of the base of waves 0 and 4; `amun erase adopt`"
        in capsys.readouterr().out
    )
    print_status(replace(STATUS, num_listed=None))
    assert "listed     not known: the key store does not answer" in capsys.readouterr().out
    late = Consumer("model", "replica-1", NIGHT, "6", NIGHT, NIGHT, num_awaited=3, num_held_up=2, num_remembered=1)
    print_status(replace(STATUS, consumers=[late]))
    shown = capsys.readouterr().out
    assert "warning    consumer replica-1 still serves version 6, and holds up the erasure of the people of 2" in shown
    assert "warning    consumer replica-1 still serves version 6, which remembers the people of 1 request;" in shown
