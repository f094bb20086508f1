"""The one way of writing JSON (RFC 8785) that is digested and signed, and reading JSON that says each thing once."""

import hashlib
import json
from typing import Any

import rfc8785

from amun.core.errors import AmunError

Json = dict[str, Any]


def canonicalise(content: Json) -> bytes:
    """Returns the canonical form of a JSON object.

    Raises:
        ValueError: it has a number or a text that JSON cannot tell exactly.
    """
    return rfc8785.dumps(content)


def digest(content: Json) -> str:
    """Returns the SHA-256 of a JSON object's canonical form; raises as `canonicalise`."""
    return hashlib.sha256(canonicalise(content)).hexdigest()


def parse_object(text: str, where: str) -> Json:
    """Returns a JSON object.

    Raises:
        AmunError: the text is none, or has a key twice; the line says `where` it stands.
    """
    try:
        content = json.loads(text, object_pairs_hook=_refuse_twice)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise AmunError(f"{where} is damaged: it is no JSON object, or has a key twice")
    return content


def _refuse_twice(pairs: list[tuple[str, Any]]) -> Json:
    if len(content := dict(pairs)) != len(pairs):
        raise ValueError("a key stands twice")
    return content
