"""A receipt in the file that the person gets: written, read, and verified by whoever has the public key."""

import json
from collections.abc import Collection, Sequence

from pydantic import ValidationError

from amun.core.errors import AmunError
from amun.core.keys import keyed_digest
from amun.core.subject_ids import normalise
from amun.evidence.receipt import ChainEntry, ReceiptBody, SignedReceipt
from amun.receipts.canonical import Json, parse_object
from amun.receipts.chain import commit_to, find_break, is_signed
from amun.receipts.signing import tell_key


def name_subject(nonce: str, subject_id: str) -> str:
    """Returns the digest by which a receipt names its person: whoever has both id and receipt can compare them."""
    return keyed_digest(bytes.fromhex(nonce), "receipt subject", normalise(subject_id).encode())


def dump_body(body: ReceiptBody) -> Json:
    """Returns a body as the JSON that is committed to."""
    content: Json = body.model_dump(mode="json")
    return content


def write_receipt(body: Json, nonce: str, entry: ChainEntry) -> str:
    """Returns the content of a receipt's file."""
    content = {"body": body, "nonce": nonce, "entry": entry.model_dump(mode="json")}
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def read_receipt(text: str, where: str) -> SignedReceipt:
    """Returns a receipt whose entry commits to its body and is signed by the key that it names.

    Raises:
        AmunError: it is damaged or was changed; the line says `where` it stands.
    """
    content = parse_object(text, where)
    try:
        receipt = SignedReceipt.model_validate_json(text)
    except ValidationError as error:
        first = ".".join(map(str, error.errors()[0]["loc"]))
        raise AmunError(f"{where} is no receipt of this release: {first} is missing, or is none") from None
    entry = receipt.entry
    if receipt.entry.model_dump(mode="json") != content["entry"]:
        raise AmunError(f"{where} is damaged: its entry is not written as entries are")
    try:
        commitment = commit_to(content["body"], receipt.nonce)
    except ValueError:
        raise AmunError(f"{where} is damaged: it has a number or a text that JSON cannot tell exactly") from None
    if commitment != entry.commitment:
        raise AmunError(f"{where} was changed: its entry commits to another body or nonce")
    if not is_signed(entry):
        raise AmunError(f"{where} was changed: the key {tell_key(entry.public_key)} has not signed it so")
    return receipt


def require_signer(receipt: SignedReceipt, public_keys: Collection[str], where: str) -> None:
    """Refuses a receipt that none of these keys has signed.

    Raises:
        AmunError: another key has.
    """
    if receipt.entry.public_key not in public_keys:
        raise AmunError(
            f"{where} is signed by the key {tell_key(receipt.entry.public_key)}, which is none of the public keys given"
        )


def require_in_chain(receipt: SignedReceipt, chain: Sequence[ChainEntry], where: str) -> None:
    """Refuses a receipt that is not in a chain, or a chain that is not whole.

    Raises:
        AmunError: what is wrong.
    """
    entry = receipt.entry
    if found := find_break(chain, receipt.body.model):
        raise AmunError(f"the chain is broken: {found}")
    if entry.number > len(chain):
        raise AmunError(f"{where} is receipt {entry.number}, and the chain ends with {len(chain)}")
    if chain[entry.number - 1] != entry:
        raise AmunError(f"{where} is not in the chain: entry {entry.number} there is another one")


def require_subject(receipt: SignedReceipt, subject_id: str, where: str) -> None:
    """Refuses a receipt that is about somebody else.

    Raises:
        AmunError: it is.
    """
    if name_subject(receipt.nonce, subject_id) != receipt.body.subject:
        raise AmunError(f"{where} is about somebody else than the person named")
