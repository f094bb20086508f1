"""Addresses without the passwords that may stand in them: what is shown or kept may be read by others."""

import re
import sys
import traceback
from types import TracebackType
from urllib.parse import urlsplit, urlunsplit

MASK = "***"
# the password may itself hold an @: the last one before the path ends it
_PASSWORD = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@'\"<>]*:)[^\s/'\"<>]+(?=@)", re.IGNORECASE)
# what stands alone before the @ of a web address is as a rule a token; before that of ssh or of a database a name
_TOKEN = re.compile(r"(\bhttps?://)[^\s/:@'\"<>]+(?=@)", re.IGNORECASE)
_QUERY = re.compile(
    r"([?&][^\s=&'\"<>]*(?:password|passwd|pwd|secret|token|signature|credential|api_?key|\bsig)[^\s=&'\"<>]*=)"
    r"[^\s&'\"<>#]+",
    re.IGNORECASE,
)


def mask_passwords(text: str) -> str:
    """Returns a text with a mask in the place of every password, token or signature in an address."""
    for pattern in (_PASSWORD, _TOKEN, _QUERY):
        text = pattern.sub(rf"\g<1>{MASK}", text)
    return text


def holds_password(address: str) -> bool:
    """Tells whether an address has something that others must not read."""
    return mask_passwords(address) != address


def drop_login(address: str) -> str:
    """Returns an address that others may follow: without name and password; what else is secret in it is masked."""
    parts = urlsplit(address)
    plain = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if parts.scheme else address
    return mask_passwords(plain)


def format_masked(error: BaseException) -> str:
    """Returns the traceback of an error: a library's may name an address."""
    return mask_passwords("".join(traceback.format_exception(error)))


def mask_tracebacks() -> None:
    """Masks the traceback with which this program would end, too."""

    def show(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
        sys.stderr.write(format_masked(error))

    sys.excepthook = show
