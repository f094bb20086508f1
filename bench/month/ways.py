"""How people ask: by hand, in a file that somebody names, in a file in the intake folder, by HTTP."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_hex

import httpx

from bench.month.clock import Clock
from bench.month.plan import Ask, Law
from tasks.tools.environment import find_free_port
from tests.processes import wait_until
from tests.workspaces import BIN, Site, describe

UNMATCHED = 3  # exit code of `amun request add`
START_SECONDS = 180.0
HEADER = "subject_id,received_at,reference,law"


@dataclass(frozen=True)
class Asked:
    """A demand that was made.

    Attributes:
        ask: who asked how.
        received_at: when it reached the company.
        law: whose clock runs.
    """

    ask: Ask
    received_at: datetime

    @property
    def law(self) -> Law:
        """Whose clock runs."""
        return self.ask.law


class Desk:
    """Where demands come in.

    Attributes:
        intake: the folder from which a night takes files.
        asked: all that were made so far.
    """

    def __init__(self, site: Site, clock: Clock, folder: Path, intake: Path, client: httpx.Client):
        """Takes the workspace, its clock, a folder for files, the intake folder, and who asks by HTTP."""
        self._site, self._clock, self._folder, self.intake, self._client = site, clock, folder, intake, client
        self._num_files = 0
        self.asked: list[Asked] = []

    def take(self, asks: Sequence[Ask]) -> None:
        """Makes these demands, those of one file together; who asks again does it in another one.

        Raises:
            AssertionError: one was not taken as it should have been.
        """
        for part in ([one for one in asks if not one.is_again], [one for one in asks if one.is_again]):
            made = [Asked(one, self._clock.now - timedelta(days=one.days_ago)) for one in part]
            self._add_by_hand([one for one in made if one.ask.way == "hand"])
            self._add_file([one for one in made if one.ask.way == "csv"])
            self._put_file([one for one in made if one.ask.way == "folder"])
            self._post([one for one in made if one.ask.way == "http"])
            self.asked += made

    def put_bad_file(self, subject: str) -> Asked:
        """Puts a file into the intake folder whose only date is none, and returns what was meant."""
        self._write(self._name_file(self.intake), f"subject_id,received_at\n{subject},31.02.2027\n")
        return Asked(Ask(subject, "hand"), self._clock.now)

    def mend(self, meant: Asked) -> None:
        """Makes by hand the demand that a bad file was meant for."""
        self._add_by_hand([meant], is_late=True)
        self.asked.append(meant)

    def _add_by_hand(self, made: Sequence[Asked], *, is_late: bool = False) -> None:
        for one in made:
            received = ["--received", one.received_at.isoformat()] if one.ask.days_ago or is_late else []
            finished = self._site.start("amun", "request", "add", one.ask.subject, "--law", one.law, *received)
            assert finished.returncode == UNMATCHED * one.ask.is_stranger, describe(finished)  # noqa: S101

    def _add_file(self, made: Sequence[Asked]) -> None:
        if made:
            path = self._name_file(self._folder)
            self._write(path, _write_table(made))
            finished = self._site.start("amun", "request", "add", "--csv", str(path))
            has_strangers = any(one.ask.is_stranger for one in made)
            assert finished.returncode == UNMATCHED * has_strangers, describe(finished)  # noqa: S101

    def _put_file(self, made: Sequence[Asked]) -> None:
        if made:
            self._write(self._name_file(self.intake), _write_table(made))

    def _post(self, made: Sequence[Asked]) -> None:
        for one in made:
            body = {"subject_id": one.ask.subject, "law": one.law}
            body |= {"received_at": one.received_at.isoformat()} if one.ask.days_ago else {}
            # said again with its key, as a program does whose answer was lost
            key = token_hex(8)
            answers = [self._client.post("/requests", json=body, headers={"Idempotency-Key": key}) for _ in range(2)]
            assert [one.status_code for one in answers] in ([201, 201], [200, 200]), answers[0].text  # noqa: S101
            assert answers[0].json() == answers[1].json(), answers[1].text  # noqa: S101

    def _name_file(self, folder: Path) -> Path:
        self._num_files += 1
        return folder / f"demands-{self._num_files:03d}.csv"

    def _write(self, path: Path, text: str) -> None:
        """Writes a file that is there as a whole or not at all, at the clock's time, which the file system has not."""
        unfinished = path.with_suffix(".tmp")
        unfinished.write_text(text, encoding="utf-8")
        moment = self._clock.now.timestamp()
        os.utime(unfinished, (moment, moment))
        unfinished.rename(path)


def _write_table(made: Sequence[Asked]) -> str:
    lines = [
        f"{one.ask.subject},{one.received_at.isoformat() if one.ask.days_ago else ''},TICKET-{number},{one.law}"
        for number, one in enumerate(made, 1)
    ]
    return "\n".join([HEADER, *lines, ""])


@contextmanager
def serve(site: Site, log: Path) -> Iterator[httpx.Client]:
    """Runs `amun api` meanwhile, and gives a program with a token."""
    token = site.run("amun", "api", "token", "add", "crm", "--scope", "requests:write").strip()
    port = find_free_port()
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(BIN / "amun"), "api", "--port", str(port)],
            cwd=site.root,
            env=site.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=120) as client:
        try:
            wait_until(lambda: process.poll() is not None or _answers(client), "the start of the api", START_SECONDS)
            yield client
        finally:
            process.terminate()
            process.wait()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").is_success
    except httpx.TransportError:
        return False
