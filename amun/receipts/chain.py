"""The chain of commitments: an entry for each receipt, each bound to the one before, all of them in git.

None can be left out, put elsewhere or changed without every later one being made anew, and signed anew.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime

from amun.evidence.receipt import FORMAT, ChainEntry
from amun.receipts.canonical import Json, canonicalise, digest
from amun.receipts.entries import begin_chain, digest_entry, parse_entry, write_line
from amun.receipts.signing import SigningKey, verify_signature

NONCE_BYTES = 32
_PLACEHOLDER = "0" * 128


def draw_nonce() -> str:
    """Returns 256 random bits, as 64 hexadecimal digits."""
    return secrets.token_hex(NONCE_BYTES)


def commit_to(body: Json, nonce: str) -> str:
    """Returns the commitment to a body: it tells nothing of it to whoever lacks the nonce."""
    return digest({"body": body, "format": FORMAT, "nonce": nonce})


def append_entry(key: SigningKey, model: str, before: ChainEntry | None, commitment: str, now: datetime) -> ChainEntry:
    """Returns the next entry of a model's chain.

    Args:
        key: signs it.
        model: whose chain it is.
        before: the last entry; None where the chain is empty.
        commitment: to the body of its receipt.
        now: the present time. A clock that was set back does not make an entry older than the one before.
    """
    issued_at = now.replace(microsecond=0)
    unsigned = ChainEntry(
        number=1 if before is None else before.number + 1,
        previous=begin_chain(model) if before is None else digest_entry(before),
        issued_at=issued_at if before is None else max(issued_at, before.issued_at),
        commitment=commitment,
        public_key=key.public_key,
        signature=_PLACEHOLDER,
    )
    return unsigned.model_copy(update={"signature": key.sign(_list_signed(unsigned))})


def is_signed(entry: ChainEntry) -> bool:
    """Tells whether the key that the entry names has signed it."""
    return verify_signature(entry.public_key, entry.signature, _list_signed(entry))


def write_chain(entries: Sequence[ChainEntry]) -> str:
    """Returns the content of the chain's file."""
    return "".join(f"{write_line(entry)}\n" for entry in entries)


def parse_chain(text: str, where: str) -> list[ChainEntry]:
    """Returns the entries of a chain's file; raises as `parse_entry`."""
    return [parse_entry(line, f"line {number} of {where}") for number, line in enumerate(text.splitlines(), 1)]


def find_break(entries: Sequence[ChainEntry], model: str) -> str:
    """Returns the first thing that is wrong with a model's chain, in words; empty where it is whole."""
    previous, last = begin_chain(model), None
    for number, entry in enumerate(entries, 1):
        if entry.number != number:
            return f"where entry {number} is to be there is entry {entry.number}"
        if entry.previous != previous:
            before = f"entry {number - 1}" if last else f"a chain of {model}"
            return f"entry {number} does not follow {before}: one was changed, left out or put elsewhere"
        if not is_signed(entry):
            return f"entry {number} is not signed by the key that it names"
        if last is not None and entry.issued_at < last.issued_at:
            return f"entry {number} is older than entry {number - 1}"
        previous, last = digest_entry(entry), entry
    return ""


def _list_signed(entry: ChainEntry) -> bytes:
    return canonicalise(entry.model_dump(mode="json", exclude={"signature"}))
