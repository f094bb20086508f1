"""Tokens of the HTTP interface: told once, kept as digests, and of no use once they are revoked."""

import hashlib
from datetime import timedelta

import pytest
from sqlalchemy import text

from amun.core.errors import InputError
from amun.ledger import ApiToken, Ledger
from tests.amun.ledger.helpers import NOW


def test_token_opens_what_it_was_made_for(ledger: Ledger) -> None:
    token = ledger.add_token("crm", ["requests:read", "requests:write", "requests:read"], NOW)
    made = ApiToken("crm", ("requests:write", "requests:read"), NOW, None)
    assert ledger.find_token(token) == made
    assert ledger.list_tokens() == [made]
    other = ledger.add_token("portal", ["receipts:read"], NOW)
    assert other != token
    for wrong in ("", "amun_", token[:-1], f"{token}x", token[:21] + other[21:], other[:21] + token[21:], "\ud800"):
        assert ledger.find_token(wrong) is None, wrong


def test_revoked_token_opens_nothing_and_keeps_its_name(ledger: Ledger) -> None:
    token = ledger.add_token("crm", ["requests:write"], NOW)
    later = NOW + timedelta(days=1)
    assert ledger.revoke_token("crm", NOW) == ledger.revoke_token("crm", later)
    assert ledger.find_token(token) is None
    assert [one.revoked_at for one in ledger.list_tokens()] == [NOW]
    with pytest.raises(InputError, match="there is a token crm, or was one"):
        ledger.add_token("crm", ["requests:write"], later)
    with pytest.raises(InputError, match="there is no token 'crn'"):
        ledger.revoke_token("crn", NOW)


def test_ledger_keeps_a_digest_alone(ledger: Ledger) -> None:
    token = ledger.add_token("crm", ["requests:write"], NOW)
    with ledger._read() as session:
        kept = session.execute(text("SELECT * FROM api_tokens")).one()
    secret = token.split("_", 2)[2]
    assert [value for value in kept if secret in str(value)] == []
    assert hashlib.sha256(token.encode()).hexdigest() in kept


def test_what_is_no_token_is_told(ledger: Ledger) -> None:
    for name, scopes, words in (
        ("", ["requests:write"], "choose another"),
        ("two words", ["requests:write"], "choose another"),
        ("x" * 65, ["requests:write"], "choose another"),
        ("crm", ["requests:write", "all"], "--scope all: there is no such scope"),
        ("crm", [], "--scope is missing"),
    ):
        with pytest.raises(InputError, match=words):
            ledger.add_token(name, scopes, NOW)
    assert ledger.list_tokens() == []
