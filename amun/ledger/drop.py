"""California's DROP: lists of hashed identifiers, matched against one's own table, and the statuses that go back.

Source: CalPrivacy, DROP for data brokers, technical specifications 1.2 (privacy.ca.gov), "Working with the data" and
"Reference": lists have `ID,Hash`, responses `Id,Status`; a hash is the SHA-256 of what is standardised, in base64.
"""

import base64
import binascii
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO

from amun.core.csv_lines import TornLineError, decode_text, describe_count, read_lines
from amun.core.errors import InputError
from amun.core.subject_ids import normalise
from amun.ledger.checks import check_subject
from amun.ledger.records import Outcome, Request
from amun.ledger.schema import LIVE_STATES

DELETED, NOT_FOUND = 3, 5  # of the statuses; 2 and 4 are decisions of the company
REFERENCE = "DROP "  # with which that of a request begins which a list has made
# of all whom the models hold; a person types each list and can say that it is right, so this is no parameter
MAX_HELD_SHARE = 0.25
WORK_ITEM = re.compile(r"[A-Za-z0-9]{12}")


@dataclass
class Answers:
    """What can be answered to a list.

    Attributes:
        statuses: of work items, in the order of the list.
        wanted: people whom some model is still to be asked to forget, each with the work item that asks.
        left: how many work items are left to the company, by why.
    """

    statuses: dict[str, int] = field(default_factory=dict)
    wanted: dict[str, str] = field(default_factory=dict)
    left: Counter[str] = field(default_factory=Counter)

    def write_response(self) -> str:
        """Returns the file that DROP takes."""
        return "".join(["Id,Status\n", *(f"{item},{status}\n" for item, status in self.statuses.items())])


def hash_email(text: str) -> str:
    """Returns the hash of an e-mail address, in small letters and without the blanks around it."""
    return _hash(text.strip().lower())


def hash_phone(text: str) -> str:
    """Returns the hash of a telephone number: of its last ten digits.

    Raises:
        InputError: it has fewer.
    """
    digits = re.sub(r"[^0-9]", "", text)
    if len(digits) < 10:
        raise InputError("no telephone number, which has ten digits or more; leave it empty")
    return _hash(digits[-10:])


def check_hash(text: str) -> str:
    """Returns a hash, spelled as base64 has it: its last letter has bits that do not count.

    Raises:
        InputError: it is none.
    """
    try:
        decoded = base64.b64decode(text, validate=True)
    except binascii.Error:
        decoded = b""
    if len(decoded) != hashlib.sha256().digest_size:
        raise InputError("no SHA-256 in base64, which has 44 letters")
    return base64.b64encode(decoded).decode("ascii")


HASHES: dict[str, Callable[[str], str]] = {"hash": check_hash, "email": hash_email, "phone": hash_phone}


def read_list(content: bytes) -> dict[str, str]:
    """Returns the hash of each work item of a list.

    Raises:
        InputError: it is no list, or a line of it is faulty: nothing counts.
    """
    items: dict[str, str] = {}
    for line, row in _read_rows(content, ("id", "hash"), ("id", "hash")):
        if not WORK_ITEM.fullmatch(row["id"]) or row["id"] in items:
            raise InputError(f"line {line}: ID: a work item has 12 letters and digits, and stands once")
        items[row["id"]] = _read_hash(line, "hash", row["hash"])
    return items


def read_table(content: bytes) -> dict[str, set[str]]:
    """Returns whose each hash is, by a table with `subject_id` and one or more of `hash`, `email` and `phone`.

    Raises:
        InputError: it is no such table, or a line of it is faulty.
    """
    owners: dict[str, set[str]] = defaultdict(set)
    for line, row in _read_rows(content, ("subject_id",), ("subject_id", *HASHES)):
        try:
            check_subject(row["subject_id"])
        except InputError as error:
            raise InputError(f"line {line}: {error}") from None
        for column in HASHES:
            if given := row.get(column, "").strip():
                owners[_read_hash(line, column, given)].add(normalise(row["subject_id"]))
    return dict(owners)


def answer_list(
    items: Mapping[str, str],
    owners: Mapping[str, set[str]],
    find_requests: Callable[[str], Sequence[Request]],
    find_holders: Callable[[str], Collection[str]],
) -> Answers:
    """Returns what can be answered to a list by now, and who has to be asked for first.

    Args:
        items: the hash of each work item.
        owners: whose each hash is.
        find_requests: returns all requests of a person.
        find_holders: returns the models that hold a person, or may.
    """
    answers = Answers()
    for item, digest in items.items():
        people = owners.get(digest, set())
        if not people:
            answers.statuses[item] = NOT_FOUND
        elif len(people) > 1:
            answers.left["of several people: opt all of them out (4)"] += 1
        else:
            (person,) = people
            requests = find_requests(person)
            stands = find_stands(requests)
            if not stands or any(is_unasked(stands.get(model)) for model in find_holders(person)):
                if any(map(is_taken_back, requests)):
                    answers.left["withdrawn after a list had asked: `amun request add` asks anew"] += 1
                else:
                    answers.wanted.setdefault(person, item)
            elif reason := find_reason(stands.values()):
                answers.left[reason] += 1
            else:
                answers.statuses[item] = DELETED
    return answers


def find_stands(requests: Iterable[Request]) -> dict[str, Outcome]:
    """Returns what each model has answered to a person last, of what counts still.

    Whoever has withdrawn may ask again, and who had been forgotten before stands as the request that had it done.
    """
    outcomes = [outcome for request in requests for outcome in request.outcomes]
    return {one.model: one for one in outcomes if one.state not in ("withdrawn", "already_forgotten")}


def is_taken_back(request: Request) -> bool:
    """Tells whether a request that a list had made was withdrawn: the list still has who has changed their mind."""
    is_withdrawn = any(outcome.state == "withdrawn" for outcome in request.outcomes)
    return is_withdrawn and (request.reference or "").startswith(REFERENCE)


def is_unasked(outcome: Outcome | None) -> bool:
    """Tells whether a model that holds a person is still to be asked; it may not have held them when it was."""
    return outcome is None or outcome.state == "nothing_held"


def find_reason(outcomes: Iterable[Outcome]) -> str:
    """Returns why nobody can say that a person was deleted, by what each model has answered last; else nothing."""
    stands = list(outcomes)
    done = [outcome for outcome in stands if outcome.state == "completed"]
    is_open = any(outcome.state in LIVE_STATES for outcome in stands)
    if is_open or any(one.erasure is not None and one.erasure.erased_at is None for one in done):
        return "not erased yet"
    if any(outcome.state == "denied" for outcome in stands):
        return "denied: say whether they are exempted (2)"
    if not done or any(one.erasure is None for one in done):
        return "in no model, or with copies that are not sealed: say what became of their data"
    return ""


def _hash(standardised: str) -> str:
    return base64.b64encode(hashlib.sha256(standardised.encode()).digest()).decode("ascii")


def _read_hash(line: int, column: str, text: str) -> str:
    try:
        return HASHES[column](text.strip())
    except InputError as error:
        raise InputError(f"line {line}: {column}: {error}") from None


def _read_rows(content: bytes, needed: Sequence[str], known: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields each line with its number, by the columns that its first line names, in whatever case.

    Raises:
        InputError: a column is missing or not known, or a line cannot be read.
    """
    header: list[str] = []
    try:
        for line, fields in read_lines(StringIO(decode_text(content), newline="")):
            if not header:
                header = [name.strip().lower() for name in fields]
                if set(needed) - {*header} or {*header} - {*known} or len({*header}) < len(header):
                    raise InputError(
                        f"line {line}: the columns are {', '.join(fields)[:80]}; known are {', '.join(known)}"
                    )
            elif len(fields) != len(header):
                raise InputError(f"line {line}: {describe_count(len(fields), len(header))}")
            else:
                yield line, dict(zip(header, fields, strict=True))
    except TornLineError as error:
        raise InputError(str(error)) from None
    except UnicodeDecodeError:
        raise InputError("it is no text in UTF-8") from None
    if not header:
        raise InputError(f"it is empty; its first line names the columns: {', '.join(known)}")
