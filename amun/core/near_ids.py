"""Finds the known ids that may be meant by an unknown one: people, Excel and keyboards write the same id otherwise.

They change case, blanks and hyphens, leading zeros and accents, write `="00042"` or `42.0` for 00042, and take letters
of another script that look alike. An id has a skeleton without all of that. Ids are near where their skeletons are
equal, in the manner of Unicode Technical Standard 39, section 4.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import partial
from heapq import nsmallest

MAX_SUGGESTED = 3
EXCEL_NUMBER = re.compile(r"(\d+)\.0+")
SEPARATORS = re.compile(r"[\W_]+")
NUMBER = re.compile(r"[\doil|]*\d[\doil|]*")  # with the letters that are typed for 0 and 1
LEADING_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")
AS_DIGITS = str.maketrans("oil|", "0111")
# the small letters of Greek and Cyrillic that, themselves or as capitals, look like Latin ones; then the Latin letters
# and digits that look like another one
LOOK_ALIKES = str.maketrans(
    "αβεζηκμνορτυχавекмнорстухјѕԁԛԝһ01iιі|",  # noqa: RUF001 - the very letters that are taken for others
    "abezhkmnoptyxabekmhopctyxjsdqwholllll",
)


def suggest_ids(unknown: Iterable[str], known: Iterable[str]) -> dict[str, list[str]]:
    """Returns for each unknown id the few known ones that may be meant, the likeliest first; none where there is none.

    Each id is looked at once: 100,000 known ones take a second, whatever the number of unknown ones.
    """
    wanted = {subject_id: fold_id(subject_id) for subject_id in unknown}
    near: dict[str, list[str]] = {skeleton: [] for skeleton in wanted.values()}
    for subject_id in known:
        if (found := near.get(fold_id(subject_id))) is not None:
            found.append(subject_id)
    return {
        subject_id: nsmallest(MAX_SUGGESTED, near[skeleton], key=partial(_tell_distance, subject_id))
        for subject_id, skeleton in wanted.items()
    }


def ask_for(suggested: list[str]) -> str:
    """Returns the question whether one of these is meant; empty where there is none."""
    return f"is it {' or '.join(map(repr, suggested))}?" if suggested else ""


def fold_id(subject_id: str) -> str:
    """Returns the skeleton of an id: equal for ids that may be confused."""
    plain = subject_id.strip()
    if number := EXCEL_NUMBER.fullmatch(plain):
        plain = number[1]
    if not plain.isascii():
        decomposed = unicodedata.normalize("NFKD", plain)
        plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    folded = plain.casefold()
    joined = SEPARATORS.sub("", folded) or folded
    digits = NUMBER.sub(lambda number: number[0].translate(AS_DIGITS), joined)
    return LEADING_ZEROS.sub("", digits).translate(LOOK_ALIKES)


def _tell_distance(asked: str, other: str) -> tuple[bool, int, str]:
    return asked.casefold() != other.casefold(), abs(len(asked) - len(other)), other
