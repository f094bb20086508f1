"""Who is told of alerts: a web server that verifies what it gets, a mail server, and a program."""

import base64
import hashlib
import hmac
import json
import re
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from tasks.tools.mail import SMTP_VARIABLE
from tasks.tools.webhook import WEBHOOK_KEY_VARIABLE, WEBHOOK_VARIABLE
from tests.tasks.tools.receivers import Mailbox, Posts, run_smtp, run_web

MAX_SECONDS_OFF = 300
MAILED = re.compile(r"^(.+)\n\n  Noticed: (\S+)$", re.MULTILINE)
# what the program does with a message: a line for each
PROGRAM = "import sys; open({path!r}, 'a', encoding='utf-8').write(sys.stdin.read().replace('\\n', ' ') + '\\n')"


class Told(NamedTuple):
    """An alert as somebody was told it."""

    number: int
    kind: str
    object: str
    raised_at: datetime
    line: str


class _Arrivals(list[tuple[str, str, dict[str, str], bytes]]):
    """What has come, and when: a message is judged by the clock at its arrival, which may jump right after."""

    def __init__(self, now: Callable[[], datetime]):
        super().__init__()
        self.now = now
        self.moments: list[datetime] = []

    def append(self, arrived: tuple[str, str, dict[str, str], bytes]) -> None:
        self.moments.append(self.now())
        super().append(arrived)


@dataclass
class Receivers:
    """Who is told.

    Attributes:
        variables: name them to the workspace's commands.
        command: of `alerts.command`.
        faults: what was wrong with a message.
    """

    variables: dict[str, str]
    command: list[str]
    _posts: Posts
    _mails: Mailbox
    _lines: Path
    _key: bytes
    _arrivals: "_Arrivals"
    faults: list[str] = field(default_factory=list)
    _by_web: dict[int, Told] = field(default_factory=dict)
    _times_by_web: Counter[int] = field(default_factory=Counter)
    _num_read: int = 0
    _deaf: list[tuple[datetime, datetime]] = field(default_factory=list)
    _deaf_since: datetime | None = None

    def be_deaf(self, is_so: bool) -> None:
        """Makes the web server answer with an error, and hear nothing; or not any more."""
        self.hear()
        self._posts.status, now = 500 if is_so else 204, self._arrivals.now()
        if self._deaf_since is not None:
            self._deaf.append((self._deaf_since, now))
        self._deaf_since = now if is_so else None

    def hear(self) -> None:
        """Takes what has come to the web address since, unless it was deaf."""
        new = slice(self._num_read, len(self._posts.asked))
        self._num_read = new.stop
        if self._posts.status >= 300:
            return
        for (_, _, headers, body), moment in zip(self._posts.asked[new], self._arrivals.moments[new], strict=True):
            if fault := self._find_fault(headers, body, moment):
                self.faults.append(f"a message to the web address {fault}")
            for told in _read_message(body):
                self._times_by_web[told.number] += 1
                known = self._by_web.setdefault(told.number, told)
                if known != told:
                    self.faults.append(f"alert {told.number} came twice, and is another one")

    def list_told(self) -> list[Told]:
        """Returns what was told over any channel, each alert once, as a receiver has to count them."""
        self.hear()
        return sorted({*self._by_web.values(), *self._list_by_program()})

    def find_differences(self) -> list[str]:
        """Returns what one channel was told and another was not."""
        told = self.list_told()
        program, mailed = set(self._list_by_program()), set(self._list_by_mail())
        return [
            *(
                f"not told to the web address: {one}"
                for one in told
                if one.number not in self._by_web
                if self._has_to(one)
            ),
            *(f"not told to the program: {one}" for one in told if one not in program),
            *(f"not told by mail: {one}" for one in told if (one.line, one.raised_at) not in mailed),
            *(f"told by mail alone: {line}" for line, _ in mailed - {(one.line, one.raised_at) for one in told}),
        ]

    def list_repeated(self) -> list[Told]:
        """Returns what one channel was told more often than once."""
        told = self.list_told()
        program, mailed = Counter(self._list_by_program()), Counter(self._list_by_mail())
        return [
            one
            for one in told
            if max(self._times_by_web[one.number], program[one], mailed[one.line, one.raised_at]) > 1
        ]

    def _has_to(self, one: Told) -> bool:
        """Tells whether the web address had to be told: of what is told each day who was deaf is told the latest."""
        was_deaf = any(since <= one.raised_at <= until for since, until in self._deaf)
        is_anew = any(
            (other.kind, other.object) == (one.kind, one.object) and other.number > one.number
            for other in self._by_web.values()
        )
        return not (was_deaf and is_anew)

    def _list_by_program(self) -> list[Told]:
        lines = self._lines.read_text(encoding="utf-8").splitlines() if self._lines.exists() else []
        return [told for line in lines for told in _read_message(line.encode())]

    def _list_by_mail(self) -> list[tuple[str, datetime]]:
        """Returns the line of each alert that was mailed, and when it was raised."""
        texts = [mail.get_content().replace("\r\n", "\n") for mail in self._mails.mails]
        return [(line, datetime.fromisoformat(at)) for text in texts for line, at in MAILED.findall(text)]

    @property
    def num_mails(self) -> int:
        """How many mails have come."""
        return len(self._mails.mails)

    def _find_fault(self, headers: dict[str, str], body: bytes, arrived_at: datetime) -> str:
        moment = int(headers["webhook-timestamp"])
        signed = f"{headers['webhook-id']}.{moment}.".encode() + body
        expected = base64.b64encode(hmac.digest(self._key, signed, hashlib.sha256)).decode()
        if headers["webhook-signature"] != f"v1,{expected}":
            return "has a wrong signature"
        off = abs(arrived_at.timestamp() - moment)
        return f"is {off:.0f} seconds off" if off > MAX_SECONDS_OFF else ""


@contextmanager
def receive(folder: Path, now: Callable[[], datetime]) -> Iterator[Receivers]:
    """Gives who is told meanwhile.

    Args:
        folder: for the key, and for what the program was told.
        now: the senders' clock.
    """
    key, lines = secrets.token_bytes(32), folder / "told.jsonl"
    key_file = folder / "webhook-key"
    key_file.write_text(f"whsec_{base64.b64encode(key).decode()}\n", encoding="ascii")
    key_file.chmod(0o400)
    arrivals = _Arrivals(now)
    with run_web(posts := Posts(asked=arrivals)) as web, run_smtp(mails := Mailbox()) as smtp:
        variables = {
            WEBHOOK_VARIABLE: f"http://127.0.0.1:{web}/alerts",
            WEBHOOK_KEY_VARIABLE: f"file:{key_file}",
            SMTP_VARIABLE: f"smtp://127.0.0.1:{smtp}",
        }
        command = [sys.executable, "-c", PROGRAM.format(path=str(lines))]
        yield Receivers(variables, command, posts, mails, lines, key, arrivals)


def _read_message(body: bytes) -> list[Told]:
    return [
        Told(one["number"], one["kind"], one["object"], datetime.fromisoformat(one["raised_at"]), one["line"])
        for one in json.loads(body)["alerts"]
    ]
