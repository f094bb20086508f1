"""A chain from which nothing can be taken, in which nothing can change places, to which nothing can be put."""

import json
from collections.abc import Sequence
from datetime import timedelta

import pytest

from amun.core.errors import AmunError
from amun.evidence.receipt import ChainEntry
from amun.receipts.chain import _list_signed, append_entry, find_break, parse_chain, write_chain
from amun.receipts.entries import write_line
from tests.amun.receipts.bodies import KEY, MODEL, NOW, OTHER_KEY, make_chain

FIELDS = list(ChainEntry.model_fields)


def describe_break(entries: Sequence[ChainEntry]) -> str:
    """Returns what is wrong with a chain that is written to its file and read."""
    return find_break(parse_chain(write_chain(entries), "chain"), MODEL)


def test_chain_is_whole_whatever_keys_have_signed_it() -> None:
    assert describe_break([]) == ""
    entries, _ = make_chain(5, (KEY, OTHER_KEY))
    assert describe_break(entries) == ""
    assert [entry.number for entry in entries] == [1, 2, 3, 4, 5]
    # what there is of it at any time
    assert [describe_break(entries[:count]) for count in range(5)] == [""] * 5
    assert find_break(entries, "another-model") != ""


@pytest.mark.parametrize("place", range(4))
def test_whatever_is_dropped_reordered_repeated_or_put_in_is_noticed(place: int) -> None:
    entries, _ = make_chain(5)
    others, _ = make_chain(5)
    head, tail = entries[:place], entries[place:]
    for changed in (
        [*head, *tail[1:]],
        [*head, tail[0], *tail],
        [*head, tail[1], tail[0], *tail[2:]],
        [*head, others[place], *tail[1:]],
        [*head, others[place], *tail],
        list(reversed(entries)),
    ):
        assert describe_break(changed) != ""


@pytest.mark.parametrize("field", FIELDS)
def test_whatever_is_changed_in_an_entry_is_noticed(field: str) -> None:
    entries, _ = make_chain(3)
    for place in range(3):
        lines = [json.loads(write_line(entry)) for entry in entries]
        match lines[place][field]:
            case int() as number:
                lines[place][field] = number + 1
            case str() as text if field == "issued_at":
                lines[place][field] = text.replace("03:00:01", "03:00:02")
            case text:
                lines[place][field] = ("1" if text[0] == "0" else "0") + text[1:]
        assert lines[place] != json.loads(write_line(entries[place]))
        text = "".join(json.dumps(line, sort_keys=True, separators=(",", ":")) + "\n" for line in lines)
        try:
            found = find_break(parse_chain(text, "chain"), MODEL)
        except AmunError as error:
            found = str(error)
        assert found != "", (field, place)


@pytest.mark.parametrize("change", [str.upper, lambda line: line.replace(",", ", "), lambda line: line[:-1], str.lower])
def test_line_that_is_written_otherwise_is_damaged(change: object) -> None:
    entries, _ = make_chain(2)
    lines = write_chain(entries).splitlines()
    assert callable(change)
    lines[1] = change(lines[1])
    with pytest.raises(AmunError, match="line 2 of chain"):
        parse_chain("\n".join(lines), "chain")


def test_clock_that_was_set_back_makes_no_older_entry() -> None:
    (first,), _ = make_chain(1)
    second = append_entry(KEY, MODEL, first, "0" * 64, NOW - timedelta(days=400))
    assert second.issued_at == first.issued_at
    assert find_break([first, second], MODEL) == ""


def test_entry_that_was_signed_under_another_number_is_noticed() -> None:
    (first, second), _ = make_chain(2)
    skipping = second.model_copy(update={"number": 3})
    signed = skipping.model_copy(update={"signature": KEY.sign(_list_signed(skipping))})
    assert find_break([first, signed], MODEL) == "where entry 2 is to be there is entry 3"


def test_entry_that_is_older_than_the_one_before_is_noticed() -> None:
    (first, second), _ = make_chain(2)
    backdated = second.model_copy(update={"issued_at": first.issued_at - timedelta(seconds=1)})
    signed = backdated.model_copy(update={"signature": KEY.sign(_list_signed(backdated))})
    assert find_break([first, backdated], MODEL) == "entry 2 is not signed by the key that it names"
    assert find_break([first, signed], MODEL) == "entry 2 is older than entry 1"
