"""What happens in a month, drawn from a seed: who asks when, by which way and which law, and what goes wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Literal

Way = Literal["hand", "csv", "folder", "http"]
WAYS: tuple[Way, ...] = ("hand", "csv", "folder", "http")
Law = Literal["gdpr", "ccpa"]
Fault = Literal[
    "none",
    "killed at any moment",
    "killed in its steps",
    "asked to end",
    "disk full",
    "folder read-only",
    "MLflow silent",
    "torn locks",
    "owner paused",
    "clock jumps",
    "killed and left",
    "missed",
]
# what comes in the way of one night, or of two; of a month's nights each at least once
FAULTS: tuple[tuple[Fault, ...], ...] = (
    ("killed at any moment",),
    ("killed in its steps",),
    ("asked to end",),
    ("disk full",),
    ("folder read-only",),
    ("MLflow silent",),
    ("torn locks",),
    ("owner paused",),
    ("clock jumps",),
    ("missed",),
    ("killed and left", "missed"),
)
# between nights that leave everybody to the next one: else there are so many at once that they might suffice to show
# that they are forgotten, and nothing was to be told
MIN_NIGHTS_APART = 4
SHARE_FAULTY = 0.4  # of the nights; never fewer than there are kinds of faults
# how long a demand lay before it was entered: after 15 days the last night of one by the GDPR is near
LATE_DAYS = (8, 15)
SHARE_LATE = 0.2
NUM_PEOPLE = (2, 3)  # who ask on a day
SHARE_HELD_OUT = 0.15  # of them have no training sample


@dataclass(frozen=True)
class Ask:
    """Somebody asks.

    Attributes:
        subject: the person's id; a stranger's is in no data.
        way: how it reaches us.
        law: whose clock runs.
        days_ago: how many days before the demand reached the company; 0 is now.
        is_stranger: nobody in the data has this id.
        is_again: the same person asks once more on the same day.
    """

    subject: str
    way: Way
    law: Law = "gdpr"
    days_ago: int = 0
    is_stranger: bool = False
    is_again: bool = False


@dataclass(frozen=True)
class Day:
    """A day and the night after it.

    Attributes:
        number: of the day, from 1.
        asks: who asks on it.
        fault: what comes in the way of its night.
        misspelled: who asks in a file of the intake folder whose date is none; empty where there is no such file.
        is_deaf: the web address that is told of alerts answers with an error until the next morning.
        is_strict: an attempt that cannot pass is made before exact retraining.
    """

    number: int
    asks: Sequence[Ask] = field(default_factory=tuple)
    fault: Fault = "none"
    misspelled: str = ""
    is_deaf: bool = False
    is_strict: bool = False


def draw_month(seed: int, num_nights: int, trained: Sequence[str], held_out: Sequence[str]) -> list[Day]:
    """Returns the days of a month.

    Args:
        seed: of what is drawn.
        num_nights: days to draw.
        trained: people with training samples.
        held_out: people with others alone.
    """
    random = Random(seed)  # noqa: S311 - of a test, no secret
    trained, held_out = random.sample(trained, len(trained)), random.sample(held_out, len(held_out))
    faults = _draw_faults(random, num_nights)
    every = range(1, num_nights + 1)
    bad, deaf, strange = (_draw_days(random, every, share) for share in (0.13, 0.07, 0.17))
    # a wave that is gone on with on another day would have the parameters of that day
    strict = _draw_days(random, [number for number in every if faults[number - 1] == "none"], 0.25)
    days = []
    for number in every:
        # the first has training samples: a wave of held-out ones alone has nothing to show
        people = [trained.pop() for _ in range(random.randint(*NUM_PEOPLE))]
        if random.random() < SHARE_HELD_OUT * len(people):
            people.append(held_out.pop())
        asks = [_draw_ask(random, subject) for subject in people]
        if number in strange:
            asks.append(Ask(f"nobody-{number:02d}", random.choice(WAYS), is_stranger=True))
        if random.random() < SHARE_LATE:
            asks.append(Ask(people[0], random.choice(WAYS), asks[0].law, is_again=True))
        misspelled = trained.pop() if number in bad else ""
        days.append(Day(number, asks, faults[number - 1], misspelled, number in deaf, number in strict))
    return days


def _draw_ask(random: Random, subject: str) -> Ask:
    late = random.randint(*LATE_DAYS) if random.random() < SHARE_LATE else 0
    return Ask(subject, random.choice(WAYS), random.choice(("gdpr", "ccpa")), late)


def _draw_days(random: Random, days: Sequence[int], share: float) -> set[int]:
    return set(random.sample(days, min(len(days), max(1, round(share * len(days))))))


def _draw_faults(random: Random, num_nights: int) -> list[Fault]:
    """Returns the fault of each night: each kind once where there is room."""
    num_faulty = max(len(FAULTS), round(SHARE_FAULTY * num_nights))
    quiet: tuple[Fault, ...] = ("none",)
    while True:
        chosen = [*random.sample(FAULTS, len(FAULTS)), *random.choices(FAULTS[:-2], k=num_faulty - len(FAULTS))]
        while sum(map(len, chosen)) > num_nights:
            chosen.pop()
        nights = [*chosen, *[quiet] * (num_nights - sum(map(len, chosen)))]
        random.shuffle(nights)
        faults = [fault for unit in nights for fault in unit]
        missed = [number for number, fault in enumerate(faults) if fault == "missed"]
        # before the first night there is none whose end the silence could be counted from
        if 0 not in missed and all(later - former >= MIN_NIGHTS_APART for former, later in pairwise(missed)):
            return faults
