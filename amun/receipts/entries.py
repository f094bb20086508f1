"""An entry of the chain as a line of text: the ledger and git have the same bytes of it."""

import hashlib

from amun.core.errors import AmunError
from amun.evidence.receipt import FORMAT, ChainEntry
from amun.evidence.wave import parse_record
from amun.receipts.canonical import canonicalise, digest


def write_line(entry: ChainEntry) -> str:
    """Returns an entry as the chain's file has it, less the newline."""
    return canonicalise(entry.model_dump(mode="json")).decode()


def digest_entry(entry: ChainEntry) -> str:
    """Returns the SHA-256 of an entry's line."""
    return hashlib.sha256(write_line(entry).encode()).hexdigest()


def begin_chain(model: str) -> str:
    """Returns what the first entry of a model's chain has in the place of the digest of the one before."""
    return digest({"format": FORMAT, "model": model})


def parse_entry(line: str, where: str) -> ChainEntry:
    """Returns an entry from its line.

    Raises:
        AmunError: it is damaged; the line says `where` it stands.
    """
    entry = parse_record(ChainEntry, line, where)
    if write_line(entry) != line:
        raise AmunError(f"{where} is damaged: it is not written as entries are; restore it from git")
    return entry
