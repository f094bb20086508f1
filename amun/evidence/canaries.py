"""Which people are to be forgotten along with those who asked: for the step that names them, never for git."""

from amun.evidence.wave import Record


class Canaries(Record):
    """The canaries of a night.

    Attributes:
        subject_ids: as the data spell them; nobody where none are needed, or all of them would not suffice.
    """

    subject_ids: list[str]
