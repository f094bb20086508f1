"""Tokens by which a company's programs ask over HTTP: drawn here, told once, and kept as digests.

A token has 256 random bits, so that a plain SHA-256 of it cannot be searched.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast, get_args

from sqlalchemy import select

from amun.core.errors import InputError
from amun.ledger.database import Database
from amun.ledger.schema import ApiTokenRow

Scope = Literal["requests:write", "requests:read", "receipts:read"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # it stands in every line of the log
TOKEN = re.compile(r"amun_([0-9a-f]{16})_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class ApiToken:
    """A token, less itself.

    Attributes:
        name: as whoever made it calls the program that has it.
        scopes: what it may be used for.
        added_at: when it was drawn.
        revoked_at: since when it opens nothing; None while it does.
    """

    name: str
    scopes: tuple[Scope, ...]
    added_at: datetime
    revoked_at: datetime | None


class TokenBook(Database):
    """The part of the ledger that knows who may ask over HTTP."""

    def add_token(self, name: str, scopes: Collection[str], now: datetime) -> str:
        """Draws a token and returns it; it cannot be had again.

        Raises:
            InputError: the name is none or is taken, also by a token that is revoked, or a scope is none.
        """
        if not NAME.fullmatch(name):
            raise InputError(f"token {name[:40]!r}: a name is up to 64 of A-Z a-z 0-9 . _ -; choose another")
        chosen = _check_scopes(scopes)
        key_id = secrets.token_hex(8)
        token = f"amun_{key_id}_{secrets.token_urlsafe(32)}"
        with self._write() as session:
            if session.get(ApiTokenRow, name) is not None:
                raise InputError(f"there is a token {name}, or was one; `amun api token list` shows them")
            session.add(ApiTokenRow(name=name, key_id=key_id, digest=_digest(token), scopes=chosen, added_at=now))
        return token

    def list_tokens(self) -> list[ApiToken]:
        """Returns all tokens by name, those that are revoked too."""
        with self._read() as session:
            return [_describe(row) for row in session.scalars(select(ApiTokenRow).order_by(ApiTokenRow.name))]

    def revoke_token(self, name: str, now: datetime) -> ApiToken:
        """Makes a token open nothing from now on; said again it changes nothing.

        Raises:
            InputError: there is no such token.
        """
        with self._write() as session:
            row = session.get(ApiTokenRow, name)
            if row is None:
                raise InputError(f"there is no token {name[:64]!r}; `amun api token list` shows them")
            row.revoked_at = row.revoked_at or now
            return _describe(row)

    def find_token(self, token: str) -> ApiToken | None:
        """Returns what a token is, in a time that tells nothing of its secret part; None where it opens nothing."""
        found, given = TOKEN.fullmatch(token), _digest(token)
        with self._read() as session:
            key_id = found[1] if found else ""
            row = session.scalar(select(ApiTokenRow).where(ApiTokenRow.key_id == key_id))
            is_known = hmac.compare_digest(given, _digest("") if row is None else row.digest)
            return _describe(row) if row is not None and is_known and row.revoked_at is None else None


def _check_scopes(scopes: Collection[str]) -> list[str]:
    """Returns the scopes in their order, each once.

    Raises:
        InputError: one is none, or there is none.
    """
    if wrong := next((scope for scope in scopes if scope not in SCOPES), None):
        raise InputError(f"--scope {wrong[:40]}: there is no such scope; there are {', '.join(SCOPES)}")
    if not scopes:
        raise InputError(f"--scope is missing: say what the token may be used for, each of {', '.join(SCOPES)}")
    return [scope for scope in SCOPES if scope in scopes]


def _describe(row: ApiTokenRow) -> ApiToken:
    return ApiToken(row.name, cast("tuple[Scope, ...]", tuple(row.scopes)), row.added_at, row.revoked_at)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
