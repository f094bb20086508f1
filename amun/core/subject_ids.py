"""How people are named: one rule for ids typed by hand, in files of requests and in the sources of the data.

Ids that differ only in how Unicode composes their letters are one person's: they are compared in NFC.
"""

import re
import unicodedata

BLANKS = " \t"  # around an id in the table of a source they are no part of it
MAX_LENGTH = 500  # characters; Postgres indexes up to about 2,700 bytes
# what counts as printable, and still nobody sees: fillers, variation selectors, the blank pattern of Braille
UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")


def find_fault(subject_id: str) -> str:
    """Returns what no id may have and this one has, as in "the id has ..."; empty where it is a good one."""
    if subject_id != subject_id.strip():
        return "blanks around it"
    if invisible := next((letter for letter in subject_id if not letter.isprintable() or UNSEEN.match(letter)), None):
        name = unicodedata.name(invisible, "control character").lower()
        return f"an invisible character, U+{ord(invisible):04X} ({name})"
    return f"more than {MAX_LENGTH} characters" if len(subject_id) > MAX_LENGTH else ""


def normalise(subject_id: str) -> str:
    """Returns the spelling by which ids are compared."""
    return unicodedata.normalize("NFC", subject_id)


def list_spellings(subject_id: str) -> list[str]:
    """Returns the id as it is given, composed and decomposed, each spelling once."""
    return list(dict.fromkeys([subject_id, normalise(subject_id), unicodedata.normalize("NFD", subject_id)]))
