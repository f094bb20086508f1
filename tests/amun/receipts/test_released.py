"""A receipt that was issued once is verified by every later release, and by whoever does as the page says."""

import hashlib
import json
from pathlib import Path

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from amun.receipts.chain import parse_chain
from amun.receipts.signing import parse_public_keys
from amun.receipts.statement import read_receipt, require_in_chain, require_signer, require_subject
from tests.amun.receipts.bodies import MODEL, PERSON

# of version 0.2.0: the second one of a chain, whose first entry another key has signed
RELEASED = Path(__file__).parent / "released"
RECEIPT, CHAIN, PUBLIC = (
    (RELEASED / name).read_text("utf-8") for name in ("receipt.json", "chain.jsonl", "public.pem")
)


def test_released_receipt_is_verified() -> None:
    receipt = read_receipt(RECEIPT, "it")
    require_signer(receipt, parse_public_keys(PUBLIC, "it"), "it")
    require_in_chain(receipt, parse_chain(CHAIN, "chain"), "it")
    require_subject(receipt, PERSON, "it")
    assert (receipt.body.request, receipt.body.destroyed.num_keys) == ("R-000002", 1)


def test_released_receipt_is_verified_without_amun_as_the_page_says() -> None:
    receipt, lines = json.loads(RECEIPT), CHAIN.encode().splitlines()
    entry = receipt["entry"]
    signed = {name: value for name, value in entry.items() if name != "signature"}
    committed = {"body": receipt["body"], "format": "amun receipt 1", "nonce": receipt["nonce"]}
    assert entry["commitment"] == hashlib.sha256(rfc8785.dumps(committed)).hexdigest()
    key = load_pem_public_key(PUBLIC.encode())
    assert isinstance(key, Ed25519PublicKey)
    key.verify(bytes.fromhex(entry["signature"]), rfc8785.dumps(signed))
    assert (key.public_bytes_raw().hex(), rfc8785.dumps(entry)) == (entry["public_key"], lines[1])
    first = rfc8785.dumps({"format": "amun receipt 1", "model": MODEL})
    previous = [json.loads(line)["previous"] for line in lines]
    assert previous == [hashlib.sha256(before).hexdigest() for before in (first, lines[0])]
