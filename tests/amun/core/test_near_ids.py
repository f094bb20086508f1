"""Ids that may be meant: what people, Excel and keyboards make of the same id."""

import pytest

from amun.core.near_ids import MAX_SUGGESTED, suggest_ids


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("PERSON 00002", "person 00002"),
        ("person00002", "person 00002"),
        ("person_2", "person 00002"),
        ("42", "00042"),
        ('="00042"', "00042"),
        ("'00042", "00042"),
        ("42.0", "00042"),
        ("10 004", "10004"),
        ("10.004", "10004"),
        ("Zoe\u0308", "Zo\u00eb"),
        ("Jose", "Jos\u00e9"),
        ("\uff11\uff12", "12"),  # full-width digits
        ("\u0440\u0435rson", "person"),  # Cyrillic er and ie
        ("\u0391\u039d\u039d\u0391", "anna"),  # Greek capitals
        ("P0OO1", "P0001"),
        ("lan", "Ian"),
    ],
)
def test_near_id_is_suggested(asked: str, meant: str) -> None:
    assert suggest_ids([asked], [meant, "somebody else"]) == {asked: [meant]}


def test_few_are_suggested_the_likeliest_first() -> None:
    known = ["a-1", "A1", "a 01", "a001", "b1"]
    assert suggest_ids(["a1", "z"], known) == {"a1": ["A1", "a-1", "a 01"], "z": []}
    assert MAX_SUGGESTED == 3


def test_ids_of_signs_alone_are_near_to_themselves_alone() -> None:
    assert suggest_ids(["--", ""], ["--", "__", "..."]) == {"--": ["--"], "": []}
