"""What somebody is told in one message, over whatever channel: in words, and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from amun.core.counts import tell_count
from amun.core.errors import AmunError
from amun.core.network import read_timeout

FORM = 1  # of the JSON; a change that a reader would notice counts up
MAX_SECONDS = 60.0
NUM_TOLD = 50  # in words: whoever gets more asks for the rest


class PartlyTakenError(AmunError):
    """A message was taken, but not for everybody; it says for whom not."""


@dataclass(frozen=True)
class Told:
    """One thing that is told.

    Attributes:
        number: its own; the same whenever it is told again.
        kind: what sort of thing has happened.
        object: to what; may be empty.
        raised_at: when that was noticed, ISO 8601 in UTC.
        line: what has happened.
        advice: what to do.
        page: where more of it stands.
    """

    number: int
    kind: str
    object: str
    raised_at: str
    line: str
    advice: str
    page: str


@dataclass(frozen=True)
class Message:
    """What is told at once. Nothing in it names a person or a sample.

    Attributes:
        message_id: the same whenever the same things are told again; a reader drops what came twice by their numbers.
        model: which it is about.
        sent_at: the present time.
        told: at least one thing.
    """

    message_id: str
    model: str
    sent_at: datetime
    told: Sequence[Told]

    @property
    def subject(self) -> str:
        """One line that says the first of it."""
        more = f" (and {len(self.told) - 1} more)" if len(self.told) > 1 else ""
        return f"amun {self.model}: {self.told[0].line}{more}"

    def to_text(self) -> str:
        """Returns all of it for a person."""
        shown = self.told[:NUM_TOLD]
        parts = [
            f"{one.line}\n\n  Noticed: {one.raised_at}\n  What to do: {one.advice}\n  More: {one.page}\n"
            for one in shown
        ]
        if len(self.told) > NUM_TOLD:
            parts.append(f"{len(self.told) - NUM_TOLD} more: `amun alert list`\n")
        num_told = tell_count(len(self.told), "thing needs", "things need")
        return "\n".join([f"Model {self.model}: {num_told} a person.\n", *parts])

    def to_json(self) -> bytes:
        """Returns all of it for a program, on one line."""
        content = {
            "form": FORM,
            "id": self.message_id,
            "model": self.model,
            "sent_at": self.sent_at.isoformat(timespec="seconds"),
            "alerts": [asdict(one) for one in self.told],
        }
        return json.dumps(content, ensure_ascii=False).encode()


def read_bound() -> float:
    """Returns the seconds that telling may take over a channel: what a server is given, and no night waits longer.

    Raises:
        InputError: as `read_timeout`.
    """
    return min(read_timeout(), MAX_SECONDS)
