"""The one rule for ids, whoever writes them."""

import pytest

from amun.core.subject_ids import find_fault, list_spellings, normalise


@pytest.mark.parametrize(
    "subject_id", ["ann", "Zo\u00eb \u00c5ngstr\u00f6m", "Олена", "名前", "o'Brien; --", "🙂", "x" * 500, "a  b"]
)
def test_what_people_see_is_an_id(subject_id: str) -> None:
    assert find_fault(subject_id) == ""


@pytest.mark.parametrize(
    ("subject_id", "fault"),
    [
        ("heavy ", "blanks around it"),
        ("\theavy", "blanks around it"),
        ("heavy\u00a0", "blanks around it"),
        ("00042\u200b", "U+200B (zero width space)"),
        ("\u200e10003", "U+200E (left-to-right mark)"),
        ("a\u00a0b", "U+00A0 (no-break space)"),
        ("a\u00adb", "U+00AD (soft hyphen)"),
        ("\ufeffa", "U+FEFF (zero width no-break space)"),
        ("a\u3164b", "U+3164 (hangul filler)"),
        ("a\ufe0f", "U+FE0F (variation selector-16)"),
        ("a\x07", "U+0007 (control character)"),
        ("a\udcff", "U+DCFF (control character)"),
        ("x" * 501, "more than 500 characters"),
    ],
)
def test_what_nobody_sees_is_no_part_of_an_id(subject_id: str, fault: str) -> None:
    assert fault in find_fault(subject_id)


def test_spellings_of_one_name_are_compared_composed() -> None:
    assert normalise("Zoe\u0308") == normalise("Zo\u00eb") == "Zo\u00eb"
    assert list_spellings("Zoe\u0308") == ["Zoe\u0308", "Zo\u00eb"]
    assert list_spellings("ann") == ["ann"]
