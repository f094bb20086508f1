"""How the environment names a key in a PKCS#11 token: a URI as RFC 7512 writes it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from amun.core.errors import InputError
from amun.vault.kek import KEK_VARIABLE

SCHEME = "pkcs11:"
_FILE = "file:"
_FORM = f"{SCHEME}token=LABEL;object=NAME?module-path=/PATH/MODULE.so&pin-source=file:/PATH"
_IN_PATH, _IN_QUERY = ("token", "object", "serial"), ("module-path", "pin-source")
_OPTIONAL = ("serial",)


@dataclass(frozen=True)
class TokenAddress:
    """A key in a token.

    Attributes:
        token: the token's label.
        serial: its serial number, where several have that label; else empty.
        object: the key's label.
        module: the library that speaks to the token.
        pin_path: the file that has the PIN.
    """

    token: str
    serial: str
    object: str
    module: Path
    pin_path: Path


def parse_token_address(uri: str) -> TokenAddress:
    """Returns what a URI names.

    Raises:
        InputError: it lacks something, or has what is not known; no PIN of it is told.
    """
    path, _, query = uri.removeprefix(SCHEME).partition("?")
    found = dict(_split(path, ";", _IN_PATH)) | dict(_split(query, "&", _IN_QUERY))
    if missing := [name for name in (*_IN_PATH, *_IN_QUERY) if not found.get(name) and name not in _OPTIONAL]:
        raise _refuse(f"{missing[0]} is missing")
    return TokenAddress(
        found["token"],
        found.get("serial", ""),
        found["object"],
        _read_path(found, "module-path"),
        _read_path({"pin-source": found["pin-source"].removeprefix(_FILE)}, "pin-source"),
    )


def _split(part: str, separator: str, known: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for pair in filter(None, part.split(separator)):
        name, _, value = pair.partition("=")
        if name == "pin-value":
            raise _refuse("pin-value is not taken, for the environment is no place for a PIN")
        if name not in known:
            raise _refuse(f"{name[:40]!r} is not known there")
        yield name, unquote(value)


def _read_path(found: Mapping[str, str], name: str) -> Path:
    # "file:///PATH" names the same file
    path = Path(found[name].removeprefix("//"))
    if not path.is_absolute():
        raise _refuse(f"{name} is no full path")
    return path


def _refuse(reason: str) -> InputError:
    return InputError(f"{KEK_VARIABLE}: {reason}; write {_FORM}")
