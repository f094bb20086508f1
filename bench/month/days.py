"""The days of a month, one after the other: people ask, somebody looks, and the night comes with what goes wrong."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from time import monotonic
from traceback import format_exc
from typing import Literal

from bench.month.clock import Clock
from bench.month.due import Alert, Moment, compute_due, list_due, may_be_told_again
from bench.month.faults import is_failed_night, make_lab, put_in_the_way, run_quietly
from bench.month.kept import Kept, Look
from bench.month.plan import Day, Fault
from bench.month.seen import Seen, SeenRequest, look
from bench.month.told import Receivers
from bench.month.ways import Asked, Desk
from tests.faults.lab import Lab
from tests.workspaces import Site, describe

START = datetime(2027, 3, 1, tzinfo=UTC)  # the first day
LEFT = ("missed", "killed and left")  # nights after which nobody looks before the next one
# whoever is killed after telling, and before it is written down, tells it again
TOLD_AGAIN_AFTER = ("killed at any moment", "killed in its steps", "asked to end", "killed and left")
MAX_QUIET_DAYS = 12  # after the last demand, until everybody is erased
TOLD_CHARACTERS = 3000


@dataclass
class Month:
    """A month that is under way.

    Attributes:
        site: the workspace.
        clock: of all that runs there.
        desk: where demands come in.
        receivers: who is told.
        folder: for what runs say.
        kept: from the first day.
        seed: of what happens when within a night.
        moments: when it was looked what there is to tell.
        strict: numbers of the waves in which an attempt was made that cannot pass.
        meant: demands of files that have to be rejected, and were not yet.
        looks: who could be read in what was kept, on each afternoon.
        struck: faults that came in the way of a night.
        faults: what was not as it has to be.
        num_days: that were lived through.
    """

    site: Site
    clock: Clock
    desk: Desk
    receivers: Receivers
    folder: Path
    kept: Kept
    seed: int
    moments: list[Moment] = field(default_factory=list)
    strict: list[int] = field(default_factory=list)
    meant: list[Asked] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    struck: list[Fault] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    num_days: int = 0
    _confirmed: set[str] = field(default_factory=set)
    _killed: list[datetime] = field(default_factory=list)  # nights in which a run was
    _began: datetime = START  # when the last night did
    _seconds: float = 20.0  # that the last quiet night took: kills are drawn within it

    def live(self, days: Sequence[Day], tell: Callable[[str], None]) -> None:
        """Lives through these days, and then through days on which nobody asks until everybody is erased."""
        for day in days:
            self._live_day(day)
            tell(f"night {day.number}: {day.fault}, {len(day.asks)} asked, {len(self.faults)} wrong so far")
            if not day.is_deaf:  # who was deaf is told of it the next time
                for line in self.compare_alerts():
                    tell(f"  {line}")
        for number in range(len(days) + 1, len(days) + 1 + MAX_QUIET_DAYS):
            if not self.meant and self._is_done(look(self.site.root)):
                break
            self._live_day(Day(number))

    def _live_day(self, day: Day) -> None:
        date, self.num_days = START + timedelta(days=day.number - 1), day.number
        self._go(date, time(10))
        with self._judge(f"day {day.number}"):
            self.desk.take(day.asks)
            if day.misspelled:
                self.meant.append(self.desk.put_bad_file(day.misspelled))
        self._go(date, time(12))
        with self._judge(f"noon of day {day.number}"):
            checked = self.site.start("amun", "alert", "check")
            self._note("check")
            # everybody hears by day
            assert checked.returncode == 0, describe(checked)  # noqa: S101
        self._go(date, time(15))
        with self._judge(f"afternoon of day {day.number}"):
            self.looks.append(Look(self.clock.now, self.kept.find_readable(self.site)))
            self._put_right(date)
        # each night a minute later: who was forgotten seven nights ago is due in it, whatever seconds either took
        self._go(date + timedelta(days=1), time(3, day.number))
        with self._judge(f"night {day.number}, {day.fault}"):
            self._spend_night(day, date + timedelta(days=1))

    def _spend_night(self, day: Day, date: datetime) -> None:
        lab = make_lab(self.folder, self.site, self.seed * 1000 + day.number, self._seconds)
        before, self._began = look(self.site.root), self.clock.now
        self.receivers.be_deaf(day.is_deaf)
        self._killed += [date] if day.fault in TOLD_AGAIN_AFTER else []
        said = self.folder / f"night-{day.number:02d}"
        try:
            with self._be_strict(day), self._judge(f"night {day.number}, {day.fault}"):
                started = monotonic()
                if put_in_the_way(day.fault, lab, self.site, said, self.clock):
                    self.struck.append(day.fault)
                if day.fault == "none" and day.asks:
                    self._seconds = monotonic() - started
        finally:
            self.receivers.be_deaf(False)
        self._require_lines(day, said)
        self._note_night(lab, before, look(self.site.root))
        if lab.endings and lab.endings[-1][1] != 0 and day.fault not in LEFT:
            self._go(date, time(9, day.number))
            before, self._began = look(self.site.root), self.clock.now
            run_quietly(lab, self.site)
            lab.endings = lab.endings[-1:]
            self._note_night(lab, before, look(self.site.root))

    def _note_night(self, lab: Lab, before: Seen, after: Seen) -> None:
        """Notes how each run of a night has ended that has ended by itself, and what there was to tell then."""
        *_, last = lab.endings or [("missed", 0)]
        for what, ended in lab.endings[:-1]:
            if is_failed_night(what, ended):
                # it was killed in a stage: whoever was not forgotten before was waiting then
                waiting = [one for one in after.requests.values() if not before.was_honoured(one.number)]
                self._add("night", after, waiting, has_failed=True)
        if lab.endings and (last[1] == 0 or is_failed_night(*last)):
            self._add("night", after, after.waiting, has_failed=last[1] != 0)

    def _note(self, kind: Literal["night", "check"]) -> None:
        seen = look(self.site.root)
        self._add(kind, seen, seen.waiting, has_failed=False)

    def _add(
        self, kind: Literal["night", "check"], seen: Seen, waiting: Sequence[SeenRequest], *, has_failed: bool = False
    ) -> None:
        now = self.clock.now
        began = min(self._began, now)  # the clock may have gone back meanwhile
        due = self.find_due_dates()
        strays = [one.ask for one in self.desk.asked if one.ask.is_stranger and one.ask.way != "folder"]
        stuck = [one for one in seen.erasures if one.erased_at is None and (one.has_begun or one.erase_after <= began)]
        self.moments.append(
            Moment(
                now,
                kind,
                has_failed,
                [due[one.subject] for one in waiting if one.subject in due],
                sum(one.subject not in self._confirmed for one in strays),
                kind == "night" and bool(stuck),
                list(seen.open_waves.items()),
            )
        )

    def find_due_dates(self) -> dict[str, datetime]:
        """Returns by when each person has to be erased who has asked so far, the earliest of their demands."""
        due: dict[str, datetime] = {}
        for one in self.desk.asked:
            by = compute_due(one.received_at, one.law)
            due[one.ask.subject] = min(by, due.get(one.ask.subject, by))
        return due

    def find_least_days(self) -> float:
        """Returns how many days were left of anybody's term when they were erased, the least."""
        due, seen = self.find_due_dates(), look(self.site.root)
        left = [due[one.subject] - one.erased_at for one in seen.erasures if one.erased_at is not None]
        return min(left, default=timedelta()) / timedelta(days=1)

    def list_alerts_due(self) -> set[Alert]:
        """Returns which alerts were due so far, by what was done."""
        waves = [int(tag.removeprefix("wave/")) for tag in self.site.git("tag", "--list", "wave/*").split()]
        strange = [one.ask.subject for one in self.desk.asked if one.ask.is_stranger and one.ask.way == "folder"]
        files, intake = [], self.desk.intake
        for path in [*intake.glob("done/*/*.csv"), *intake.glob("rejected/*/*.csv")]:
            place, number, _ = path.relative_to(intake).parts
            if place == "rejected" or any(subject in path.read_text(encoding="utf-8") for subject in strange):
                files.append((int(number), place == "rejected"))
        return list_due(self.moments, START, complete=[one for one in waves if one], strict=self.strict, files=files)

    def compare_alerts(self) -> Iterator[str]:
        """Tells what somebody should have been told so far and was not, and the other way round."""
        told = Counter(Alert.of(one.kind, one.object, one.raised_at) for one in self.receivers.list_told())
        due = self.list_alerts_due()
        yield from (f"nobody was told: {alert}" for alert in sorted(due - set(told)))
        yield from (f"told, and it was not due: {alert}" for alert in sorted(set(told) - due))
        yield from (f"told {number} times: {alert}" for alert, number in told.items() if number > 1)

    def find_repeated(self) -> Iterator[str]:
        """Tells what one channel was told twice, and no run was killed that might have told it."""
        for one in self.receivers.list_repeated():
            if not may_be_told_again(one.raised_at, self._killed):
                yield f"told again: {one}"

    def _put_right(self, date: datetime) -> None:
        """Confirms who asked before today and is in no data, and mends the files that were rejected."""
        seen = look(self.site.root)
        strange = {
            one.subject: f"R-{one.number:06d}"
            for one in seen.requests.values()
            if one.state == "unmatched" and one.received_at < date
        }
        if strange:
            self.site.run("amun", "request", "confirm", *strange.values())
            self._confirmed |= set(strange)
        texts = [path.read_text(encoding="utf-8") for path in self.desk.intake.glob("rejected/*/*.csv")]
        for meant in [one for one in self.meant if any(one.ask.subject in text for text in texts)]:
            self.desk.mend(meant)
            self.meant.remove(meant)

    @contextmanager
    def _be_strict(self, day: Day) -> Iterator[None]:
        """Has an attempt made in this night that cannot pass, and notes the wave in which it was."""
        if not day.is_strict:
            yield
            return
        before = look(self.site.root).waves
        self.site.change_params(lambda params: params["gate"].update(insufficient="pass_with_warning"))
        try:
            yield
        finally:
            self.site.change_params(lambda params: params["gate"].update(insufficient="retrain"))
        self.strict += [number for number in look(self.site.root).waves if number not in before]

    def _require_lines(self, day: Day, said: Path) -> None:
        """Sees that no run has said what no person can read."""
        # where its database finds no room, MLflow tells all of its own before our line
        if said.exists() and day.fault != "disk full":
            text = said.read_text(encoding="utf-8", errors="replace")
            if "Traceback" in text:
                self.faults.append(f"night {day.number}, {day.fault}: {text[-TOLD_CHARACTERS:]}")

    def _is_done(self, seen: Seen) -> bool:
        return not seen.waiting and all(one.erased_at for one in seen.erasures)

    def _go(self, date: datetime, hour: time) -> None:
        self.receivers.hear()
        self.clock.set(datetime.combine(date, hour, tzinfo=UTC))

    @contextmanager
    def _judge(self, where: str) -> Iterator[None]:
        """Counts whatever error ends the block as something wrong: the month goes on."""
        try:
            yield
        except Exception:
            self.faults.append(f"{where}: {format_exc()[-TOLD_CHARACTERS:]}")
