"""Tells a message to a web address, signed as Standard Webhooks has it (https://www.standardwebhooks.com, v1)."""

import base64
import binascii
import hashlib
import hmac
import os
import re
from dataclasses import dataclass

from amun.core.errors import AmunError, InputError, join_lines
from amun.core.masking import MASK
from tasks.tools.message import Message, read_bound
from tasks.tools.secret_files import read_address, read_secret

WEBHOOK_VARIABLE = "AMUN_ALERT_WEBHOOK"
WEBHOOK_KEY_VARIABLE = "AMUN_ALERT_WEBHOOK_KEY"
HEARTBEAT_VARIABLE = "AMUN_ALERT_HEARTBEAT"
_PREFIX = "whsec_"
_MIN_KEY_BYTES = 24
# where a password has a slash in it, what lies before is no host, and would be told for one
_ADDRESS = re.compile(r"https?://([^\s/?#@]*@)?(\[[0-9a-fA-F:.]+\]|[^\s/?#@:\[\]]+)(:[0-9]+)?([/?#]\S*)?")


class NotTakenError(AmunError):
    """A server has answered that it does not take what it was sent."""


@dataclass(frozen=True)
class WebhookChannel:
    """A POST to an address, which may be a secret itself."""

    name: str = "webhook"

    def describe(self) -> str:
        """Returns what is told, without the path: whoever knows it may tell things, too."""
        return f"{self.name} {_tell_host(_find_address(WEBHOOK_VARIABLE))}"

    def check(self) -> None:
        """Refuses an address and a key that are none; raises as `send`, nothing is sent."""
        _find_address(WEBHOOK_VARIABLE)
        read_key()

    def send(self, message: Message) -> str:
        """Posts the message as JSON, signed, and returns what the server said.

        Raises:
            InputError: address or key are none.
            AmunError: the server does not answer, or not with a status of 200 to 299.
        """
        body = message.to_json()
        timestamp = int(message.sent_at.timestamp())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message.message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(read_key(), message.message_id, timestamp, body),
        }
        return post(_find_address(WEBHOOK_VARIABLE), headers, body)


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Returns the signature: `v1,` and the HMAC-SHA256 of `ID.TIMESTAMP.BODY` in base64.

    Args:
        key: the bytes that both sides know.
        message_id: of the message.
        timestamp: seconds since 1970.
        body: as it is sent.
    """
    content = f"{message_id}.{timestamp}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()}"


def read_key() -> bytes:
    """Returns the key that messages are signed with.

    Raises:
        InputError: there is none, or it is not `whsec_` and at least 24 bytes in base64.
    """
    if not os.environ.get(WEBHOOK_KEY_VARIABLE):
        raise InputError(f"{WEBHOOK_KEY_VARIABLE}: not set, and every message is signed; docs/alerts.md makes a key")
    text = read_secret(WEBHOOK_KEY_VARIABLE)
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not text.startswith(_PREFIX) or len(key) < _MIN_KEY_BYTES:
        raise InputError(
            f"{WEBHOOK_KEY_VARIABLE}: a key is {_PREFIX} and at least {_MIN_KEY_BYTES} bytes in base64; "
            "docs/alerts.md makes one"
        )
    return key


def has_heartbeat() -> bool:
    """Tells whether the environment names an address for the heartbeat."""
    return bool(os.environ.get(HEARTBEAT_VARIABLE))


def beat() -> str:
    """Asks the heartbeat's address, where the environment names one, and returns what was said; empty where none is.

    Raises:
        InputError: it is no address.
        AmunError: the server does not answer, or not with a status of 200 to 299.
    """
    if not has_heartbeat():
        return ""
    return _ask("GET", _find_address(HEARTBEAT_VARIABLE), {}, b"")


def check_heartbeat() -> None:
    """Refuses an address of the heartbeat that is none; nothing is asked."""
    if has_heartbeat():
        _find_address(HEARTBEAT_VARIABLE)


def post(address: str, headers: dict[str, str], body: bytes) -> str:
    """Posts to an address, follows no redirect, and returns what the server said, in one line without the path.

    Raises:
        NotTakenError: the server does not answer with a status of 200 to 299.
        AmunError: it does not answer.
    """
    return _ask("POST", address, headers, body)


def _find_address(variable: str) -> str:
    address = read_address(variable)
    if not _ADDRESS.fullmatch(address):
        raise InputError(f"{variable}: no web address; write https://HOST/PATH, or file:/PATH with it in the file")
    return address


def _tell_host(address: str) -> str:
    return re.sub(r"^(https?://)(?:[^/?#]*@)?([^/?#]+).*", r"\1\2", address, flags=re.DOTALL)


def _ask(method: str, address: str, headers: dict[str, str], body: bytes) -> str:
    # only here: most commands ask nobody
    import httpx

    host = _tell_host(address)
    try:
        # what a server has to say beyond its first line is of no use, and it may never end
        with httpx.stream(method, address, headers=headers, content=body, timeout=read_bound()) as answer:
            status = f"{answer.status_code} {answer.reason_phrase}".strip()
            is_taken = answer.is_success
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        # the path may be a secret
        said = join_lines(error).replace(address, f"{host}/{MASK}")
        raise AmunError(f"{host}: {said or type(error).__name__}") from None
    if not is_taken:
        raise NotTakenError(f"{host} says {status}")
    return f"{host} says {status}"
