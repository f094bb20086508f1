"""Who of a wave's people stands out: for the officer's eyes, never for git or MLflow."""

from amun.evidence.wave import Record


class PersonScore(Record):
    """A person's score.

    Attributes:
        subject_id: as the data spell it.
        score: how far the person lies above what is expected of somebody never seen.
    """

    subject_id: str
    score: float


class Worst(Record):
    """The people of a wave who stand out most.

    Attributes:
        bound: the largest score that is no surprise of so many people who are all forgotten.
        num_people: who asked.
        people: the largest score first; not all of them where they are many.
    """

    bound: float
    num_people: int
    people: tuple[PersonScore, ...]
