"""What the ledger gives of alerts and nights."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class NewAlert:
    """Something that somebody is to be told. Nothing in it names a person or a sample.

    Attributes:
        kind: what sort of thing has happened.
        object: to what: a wave, a file, a consumer; empty where there is one of it.
        line: what has happened, in one line.
        day: the date for which it is raised; empty where it is told once for all.
    """

    kind: str
    object: str
    line: str
    day: str = ""


@dataclass(frozen=True)
class AlertDelivery:
    """How far it has come that an alert is told over a channel.

    Attributes:
        channel: the channel's name.
        delivered_at: when it was told; None before.
        failure: why the last try came to nothing, if it did.
    """

    channel: str
    delivered_at: datetime | None
    failure: str | None


@dataclass(frozen=True)
class Alert:
    """An alert on record.

    Attributes:
        number: its own in this ledger.
        model: which it is about.
        kind: what sort of thing has happened.
        object: to what.
        raised_at: when that was noticed.
        line: what has happened, in one line.
        deliveries: by channel.
    """

    number: int
    model: str
    kind: str
    object: str
    raised_at: datetime
    line: str
    deliveries: tuple[AlertDelivery, ...] = ()


@dataclass(frozen=True)
class Night:
    """When a model's nights have ended last.

    Attributes:
        ended_at: the last one, whatever came of it.
        good_at: the last one without a failure; None where none was.
    """

    ended_at: datetime
    good_at: datetime | None


@dataclass(frozen=True)
class FileNews:
    """A file of demands of the last days, in numbers: its name may name a person.

    Attributes:
        number: its own in this ledger.
        is_rejected: none of its lines counts.
        num_unmatched: its requests that match nobody still.
    """

    number: int
    is_rejected: bool
    num_unmatched: int
