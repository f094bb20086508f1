"""Lists of DROP: hashes by its rules, requests once, and no status that nobody can answer for."""

from datetime import timedelta

import pytest

from amun.core.errors import InputError
from amun.ledger import Demand, Ledger
from amun.ledger.drop import answer_list, hash_email, hash_phone, read_list, read_table
from tests.amun.ledger.helpers import MODEL, NOW, build_base, claim_wave, complete_wave

# as public descriptions of the rules have them
PHONES = {
    "+1(415)555-9317": "vGM7y5n+hBXRSEAklhHDPCbysyNgYTmXdMcagGUOY8E=",
    "+84(90)123 4567": "ptzVkgbv9DonwvPCHmXmJ2SEOaolSh37z3ZzY/Gmm+U=",
}
TABLE = b"""subject_id,email,phone,hash
ann, Ann@Example.com ,,
ann,,415 555 9317,
bob,bob@example.com,,
joe,both@example.com,,
zoe,both@example.com,,
stranger,,,ptzVkgbv9DonwvPCHmXmJ2SEOaolSh37z3ZzY/Gmm+U=
"""


def make_list(*digests: str) -> bytes:
    lines = [f"{number:012d},{digest}" for number, digest in enumerate(digests)]
    return "\r\n".join(["ID,Hash", *lines, ""]).encode()


def test_hashes_are_those_that_are_published() -> None:
    assert {phone: hash_phone(phone) for phone in PHONES} == PHONES
    assert hash_email(" Ann@Example.com ") == hash_email("ann@example.com")


def test_list_is_answered_when_its_people_are_erased(ledger: Ledger) -> None:
    build_base(ledger, ["ann", "bob", "joe", "zoe"])
    items = read_list(
        make_list(
            hash_email("ann@example.com"),
            PHONES["+1(415)555-9317"],
            hash_email("bob@example.com"),
            hash_email("both@example.com"),
            hash_email("nobody@example.com"),
            PHONES["+84(90)123 4567"],
        )
    )
    owners = read_table(TABLE)

    def answer() -> tuple[dict[int, int], dict[str, int], list[str]]:
        answers = answer_list(items, owners, ledger.requests_of_subject, ledger.list_holders)
        left = {reason[:16]: number for reason, number in answers.left.items()}
        return {int(item): status for item, status in answers.statuses.items()}, left, list(answers.wanted)

    assert answer() == ({4: 5}, {"of several peopl": 1}, ["ann", "bob", "stranger"])
    demands = [Demand(person, law="ccpa") for person in ("ann", "bob", "stranger")]
    ledger.add_demands(demands, now=NOW, confirm_unknown=True)
    ledger.deny_request("R-000002", "a bank has to keep them", now=NOW)
    elsewhere = {"of several peopl": 1, "denied: say whet": 1, "in no model, or ": 1}
    assert answer() == ({4: 5}, {"not erased yet": 2, **elsewhere}, [])
    complete_wave(ledger, claim_wave(ledger), erase_after=NOW + timedelta(days=7))
    assert answer() == ({4: 5}, {"not erased yet": 2, **elsewhere}, [])
    ledger.record_destroyed(MODEL, ["R-000001"], NOW)
    ledger.finish_erasures(MODEL, ["R-000001"], NOW)
    assert answer() == ({0: 3, 1: 3, 4: 5}, elsewhere, [])
    told = answer_list(items, owners, ledger.requests_of_subject, ledger.list_holders).write_response()
    assert told == "Id,Status\n000000000000,3\n000000000001,3\n000000000004,5\n"


def test_who_has_withdrawn_is_asked_for_again_and_copies_in_clear_are_not_deleted(ledger: Ledger) -> None:
    build_base(ledger, ["ann", "bob"])
    ledger.add_demands([Demand("ann"), Demand("bob")], now=NOW)
    ledger.withdraw_request("R-000001", now=NOW)
    complete_wave(ledger, claim_wave(ledger))
    items = read_list(make_list(hash_email("ann@example.com"), hash_email("bob@example.com")))
    answers = answer_list(items, read_table(TABLE), ledger.requests_of_subject, ledger.list_holders)
    assert (list(answers.wanted), answers.statuses, answers.left.total()) == (["ann"], {}, 1)


def erase(ledger: Ledger, model: str) -> None:
    """Has the model forget whoever waits, and erases them."""
    complete_wave(ledger, claim_wave(ledger, model=model), erase_after=NOW)
    ids = [request.request_id for request in ledger.list_requests(model, "completed")]
    ledger.record_destroyed(model, ids, NOW)
    ledger.finish_erasures(model, ids, NOW)


def test_nobody_is_deleted_whom_another_model_holds(ledger: Ledger) -> None:
    items, owners = read_list(make_list(hash_email("ann@example.com"))), read_table(TABLE)

    def answer() -> tuple[list[int], list[str], list[str]]:
        answers = answer_list(items, owners, ledger.requests_of_subject, ledger.list_holders)
        return [*answers.statuses.values()], list(answers.wanted), [reason[:14] for reason in answers.left]

    build_base(ledger, ["ann"])
    ledger.add_demands([Demand("ann")], now=NOW)
    erase(ledger, MODEL)
    assert answer() == ([3], [], [])
    # a model that is new, first without a base
    ledger.register_model("second")
    assert answer() == ([], ["ann"], [])
    build_base(ledger, ["ann"], model="second")
    assert answer() == ([], ["ann"], [])
    for end in (ledger.withdraw_request, lambda number, now: ledger.deny_request(number, "a bank", now=now)):
        (added,) = ledger.add_demands([Demand("ann")], now=NOW)
        assert answer() == ([], [], ["not erased yet"])
        end(added.request_id, now=NOW)
        assert answer() == (([], ["ann"], []) if end == ledger.withdraw_request else ([], [], ["denied: say wh"]))
    ledger.add_demands([Demand("ann")], now=NOW)
    erase(ledger, "second")
    assert answer() == ([3], [], [])


def test_who_was_taken_back_is_not_asked_for_again_by_the_list(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    ledger.add_demands([Demand("ann", reference="DROP 000000000000")], now=NOW)
    ledger.withdraw_request("R-000001", now=NOW)
    items = read_list(make_list(hash_email("ann@example.com")))
    answers = answer_list(items, read_table(TABLE), ledger.requests_of_subject, ledger.list_holders)
    assert (answers.wanted, answers.statuses, answers.left.total()) == ({}, {}, 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"ID,Hash,ListType\n", "line 1: the columns are ID, Hash, ListType"),
        (b"ID\n", "line 1: the columns are ID"),
        (b"ID,Hash\nshort,x\n", "line 2: ID: a work item has 12 letters"),
        (b"ID,Hash\n000000000000,abc\n", "line 2: hash: no SHA-256 in base64"),
        (make_list(PHONES["+1(415)555-9317"]) * 2, "line 3: ID: a work item"),
        (b"ID,Hash\n000000000000\n", "line 2: 1 field where the header names 2"),
        (b'ID,Hash\n"000000000000,x\n', "line 2: "),
        (b"\xff\xff\xff", "it is no text in UTF-8"),
    ],
)
def test_list_with_a_fault_counts_for_nothing(content: bytes, words: str) -> None:
    with pytest.raises(InputError) as raised:
        read_list(content)
    assert str(raised.value).startswith(words)


def test_table_names_people_as_the_data_do() -> None:
    with pytest.raises(InputError, match="line 2: "):
        read_table(b"subject_id,email\n ann,a@example.com\n")
    with pytest.raises(InputError, match="line 2: phone: no telephone number"):
        read_table(b"subject_id,phone\nann,n/a\n")
    with pytest.raises(InputError, match="line 2: hash: no SHA-256"):
        read_table(b"subject_id,hash\nann,YQ==\n")


def test_hash_in_another_spelling_is_the_same() -> None:
    told = PHONES["+1(415)555-9317"]
    assert read_list(make_list(told.replace("8E=", "8F="))) == read_list(make_list(told))


def test_before_the_first_base_nobody_knows_how_many_a_list_asks_for(ledger: Ledger) -> None:
    ledger.register_model(MODEL)
    people = [Demand(f"person {number}") for number in range(11)]
    assert len(ledger.add_demands(people, now=NOW, confirm_unknown=True, max_held_share=0.25)) == 11
