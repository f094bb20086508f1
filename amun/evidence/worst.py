"""Who of a wave's people stands out: for the officer's eyes, never for git or MLflow."""

from amun.evidence.wave import Record


class StandingOut(Record):
    """A person's score.

    Attributes:
        subject_id: as the data spell it.
        score: how far the person lies above what is expected of somebody never seen.
    """

    subject_id: str
    score: float


class Worst(Record):
    """The people of a wave with the largest scores.

    Attributes:
        max_score: the largest that is no surprise of so many people who are all forgotten.
        num_people: of the wave.
        people: the largest score first; not all of them where they are many.
    """

    max_score: float
    num_people: int
    people: tuple[StandingOut, ...]
