"""A receipt says what it said when it was signed: whatever is changed in it is noticed, wherever it stands."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings

from amun.core.errors import AmunError
from amun.evidence.receipt import ReceiptBody
from amun.receipts.chain import append_entry, commit_to
from amun.receipts.sealing import open_body, seal_body
from amun.receipts.statement import (
    dump_body,
    name_subject,
    read_receipt,
    require_in_chain,
    require_signer,
    require_subject,
    write_receipt,
)
from tests.amun.receipts.bodies import KEY, MODEL, NOW, OTHER_KEY, PERSON, bodies, make_body, make_chain, nonces

Path = tuple[str | int, ...]


def list_places(content: Any, *above: str | int) -> Iterator[Path]:
    """Yields where every value stands, those that hold others, too."""
    if above:
        yield above
    parts = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for name, part in parts:
        yield from list_places(part, *above, name)


def find_holder(content: Any, place: Path) -> Any:
    for name in place[:-1]:
        content = content[name]
    return content


def list_changes(value: Any) -> list[Any]:
    """Returns other values that somebody may put into the place of one."""
    match value:
        case bool():
            return [not value]
        case int() | float():
            return [value + 1, -value - 1, None, str(value)]
        case str():
            changed = "0" if value[:1] != "0" else "1"
            return [changed + value[1:], value + " ", value[:-1], "", None]
        case list():
            return [[*value, "another"], value[1:], None]
        case dict():
            return [{}, {**value, "another": 1}, None]
        case _:
            return [0, "", 1.5]


def test_whatever_is_changed_is_noticed() -> None:
    _, (text,) = make_chain(1)
    original = json.loads(text)
    places = list(list_places(original))
    assert {"nonce", "subject", "memory_left", "num_readable", "previous", "signature", "limits"} < {
        name for place in places for name in place
    }
    num_changes = 0
    for place in places:
        for other in list_changes(find_holder(original, place)[place[-1]]):
            changed = json.loads(text)
            find_holder(changed, place)[place[-1]] = other
            with pytest.raises(AmunError):
                read_receipt(json.dumps(changed), "it")
            num_changes += 1
        left_out = json.loads(text)
        del find_holder(left_out, place)[place[-1]]
        with pytest.raises(AmunError):
            read_receipt(json.dumps(left_out), "it")
    assert num_changes > 300


def test_what_is_added_beside_is_noticed() -> None:
    _, (text,) = make_chain(1)
    original = json.loads(text)
    for place in [(), ("body",), ("entry",), ("body", "held"), ("body", "forgotten", "test")]:
        changed = json.loads(text)
        find_holder(changed, (*place, ""))["another"] = 1
        with pytest.raises(AmunError):
            read_receipt(json.dumps(changed), "it")
    doubled = text.replace('"nonce":', f'"nonce": "{"0" * 64}", "nonce":')
    assert json.loads(doubled) == original
    with pytest.raises(AmunError, match="key twice"):
        read_receipt(doubled, "it")
    for broken in ("", "[]", "null", "{", text[:-3], '{"a":' * 100_000):
        with pytest.raises(AmunError, match="it is damaged"):
            read_receipt(broken, "it")


def test_how_it_is_written_does_not_matter() -> None:
    _, (text,) = make_chain(1)
    content = json.loads(text)
    turned = dict(reversed(content.items()))
    assert read_receipt(json.dumps(turned, separators=(",", ":")), "it") == read_receipt(text, "it")


def test_parts_of_two_receipts_make_no_third() -> None:
    _, receipts = make_chain(2)
    first, second = map(json.loads, receipts)
    for part in ("body", "nonce", "entry"):
        with pytest.raises(AmunError, match="commits to another"):
            read_receipt(json.dumps(first | {part: second[part]}), "it")


def test_another_key_is_noticed() -> None:
    _, (text,) = make_chain(1)
    receipt = read_receipt(text, "it")
    require_signer(receipt, [OTHER_KEY.public_key, KEY.public_key], "it")
    with pytest.raises(AmunError, match="none of the public keys given"):
        require_signer(receipt, [OTHER_KEY.public_key], "it")


def test_receipt_is_about_one_person_however_the_name_is_composed() -> None:
    _, receipts = make_chain(2)
    first, second = (read_receipt(text, "it") for text in receipts)
    require_subject(first, "Zoe\u0308", "it")
    with pytest.raises(AmunError, match="somebody else"):
        require_subject(first, "Zoe", "it")
    # two receipts of one person do not tell that they are
    assert first.body.subject != second.body.subject


def test_receipt_stands_in_its_chain_alone() -> None:
    entries, receipts = make_chain(3)
    others, _ = make_chain(3)
    receipt = read_receipt(receipts[1], "it")
    require_in_chain(receipt, entries, "it")
    require_in_chain(receipt, entries[:2], "it")
    for chain, words in (
        (entries[:1], "the chain ends with 1"),
        (others, "is not in the chain"),
        ([entries[0], entries[2]], "chain is broken"),
        ([*entries[:2], others[2]], "chain is broken"),
    ):
        with pytest.raises(AmunError, match=words):
            require_in_chain(receipt, chain, "it")


@settings(max_examples=60, deadline=None)
@given(body=bodies, nonce=nonces)
def test_any_body_comes_back_as_it_was(body: ReceiptBody, nonce: str) -> None:
    content = dump_body(body)
    opened, opened_nonce = open_body(bytes(32), "name", seal_body(bytes(32), "name", content, nonce))
    assert opened_nonce == nonce
    entry = append_entry(KEY, MODEL, None, commit_to(content, nonce), NOW)
    receipt = read_receipt(write_receipt(opened, nonce, entry), "it")
    assert receipt.body == body
    assert commit_to(opened, nonce) == entry.commitment


def test_sealed_body_opens_under_its_own_key_and_name_alone() -> None:
    nonce = "ab" * 32
    body = dump_body(make_body(nonce))
    sealed = seal_body(bytes(32), "a receipt's", body, nonce)
    assert open_body(bytes(32), "a receipt's", sealed) == (body, nonce)
    assert seal_body(bytes(32), "a receipt's", body, nonce) != sealed
    assert nonce.encode() not in sealed
    for key, name, content in (
        (b"\1" * 32, "a receipt's", sealed),
        (bytes(32), "another's", sealed),
        (bytes(32), "a receipt's", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (bytes(32), "a receipt's", b""),
    ):
        with pytest.raises(AmunError, match="does not open"):
            open_body(key, name, content)


def test_who_has_the_entry_alone_cannot_try_bodies() -> None:
    body = dump_body(make_body("ab" * 32))
    assert commit_to(body, "ab" * 32) != commit_to(body, "cd" * 32)
    assert name_subject("ab" * 32, PERSON) != name_subject("cd" * 32, PERSON)
