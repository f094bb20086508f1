"""What a scan has found of one person, as the record that a receipt can have."""

from pydantic import AwareDatetime

from amun.evidence.figures import Figures


class ScannedPlace(Figures):
    """What was found in one place.

    Attributes:
        place: in a few words.
        num_contents: files, objects and tables that were read.
        num_bytes: of these.
        num_readable: copies that anybody can read.
        num_sealed: copies that open with the person's key alone.
        num_unread: parts that could not be read.
    """

    place: str
    num_contents: int
    num_bytes: int
    num_readable: int
    num_sealed: int
    num_unread: int


class ScanRecord(Figures):
    """What a scan has found of one person.

    Attributes:
        scanned_at: when.
        num_payloads: that it looked for.
        num_files: image files of the source among these; 0 where they were not at hand.
        num_blank: payloads that are like others', and were not looked for.
        num_unread: files and samples that could not be read when the fingerprints were taken.
        has_key: there was a key of the person.
        places: where it looked.
    """

    scanned_at: AwareDatetime
    num_payloads: int
    num_files: int
    num_blank: int
    num_unread: int
    has_key: bool
    places: tuple[ScannedPlace, ...]
