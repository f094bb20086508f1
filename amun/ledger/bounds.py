"""How many requests a night takes: in the order of their due dates, as many as the bounds on a wave allow."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

NIGHT = timedelta(days=1)  # from one to the next


@dataclass(frozen=True)
class Bounds:
    """What bounds a wave. Whoever is first in the queue is taken whatever the bounds say, and so is whoever is urgent.

    Attributes:
        max_requests: so many at most; None is any number.
        max_forget_share: their people have at most so large a share of the training samples still held; None is any.
        urgent_until: for requests due before this, tonight is the last night in time.
    """

    max_requests: int | None
    max_forget_share: float | None
    urgent_until: datetime

    def allow(self, num_requests: int, num_samples: int, num_held: int) -> bool:
        """Tells whether a wave may take so many requests, with so many of the training samples still held."""
        if self.max_requests is not None and num_requests > self.max_requests:
            return False
        # divided, not multiplied: 29 of 100 samples are a share of 0.29, but 0.29 times 100 is less than 29
        return self.max_forget_share is None or num_samples / max(num_held, 1) <= self.max_forget_share


@dataclass(frozen=True)
class Waiting:
    """A request in the queue.

    Attributes:
        number: the request's.
        subject_id: whose it is.
        due_at: when it is due.
        num_train: training samples that are held of the person.
    """

    number: int
    subject_id: str
    due_at: datetime
    num_train: int


@dataclass(frozen=True)
class Pace:
    """How the nights to come take the queue, should nobody else ask.

    Attributes:
        num_tonight: requests that the next wave takes.
        num_later: those that are left to the waves after it.
        num_nights: waves that take them all.
        num_forced: those of all nights that no bound allows, and that are taken as it is their last night in time.
        is_full: one more request, due later, would be left to a later wave than the next.
    """

    num_tonight: int
    num_later: int
    num_nights: int
    num_forced: int
    is_full: bool


def deal_nights(queue: Iterable[Waiting], bounds: Bounds, num_held: int) -> Iterator[tuple[int, bool]]:
    """Yields for each request which night takes it, 0 for the next one, and whether that is beyond the bounds.

    Nobody is overtaken: where a person's samples are too many for a night, the next one begins with this person.

    Args:
        queue: the requests, those due first in front.
        bounds: of the next night; for each one after it, people are urgent who are due a day later.
        num_held: training samples that are still held.
    """
    night = num_requests = num_samples = 0
    for one in queue:
        num_requests, num_samples = num_requests + 1, num_samples + one.num_train
        is_allowed = num_requests == 1 or bounds.allow(num_requests, num_samples, num_held)
        if not is_allowed and one.due_at >= bounds.urgent_until + night * NIGHT:
            night, num_held = night + 1, num_held - (num_samples - one.num_train)
            num_requests, num_samples, is_allowed = 1, one.num_train, True
        yield night, not is_allowed


def find_pace(queue: Sequence[Waiting], bounds: Bounds, num_held: int) -> Pace:
    """Returns how the nights to come take the queue; see `deal_nights`."""
    dealt = list(deal_nights(queue, bounds, num_held))
    num_tonight = sum(night == 0 for night, _ in dealt)
    num_samples = sum(one.num_train for one in queue[:num_tonight])
    has_room = num_tonight == len(queue) and bounds.allow(num_tonight + 1, num_samples + 1, num_held)
    return Pace(
        num_tonight=num_tonight,
        num_later=len(dealt) - num_tonight,
        num_nights=dealt[-1][0] + 1 if dealt else 0,
        num_forced=sum(is_forced for _, is_forced in dealt),
        is_full=num_tonight > 0 and not has_room,
    )
