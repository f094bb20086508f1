"""No address that is shown or kept has a password left in it."""

import pytest

from amun.core.errors import AmunError, InputError
from amun.core.masking import drop_login, holds_password, mask_passwords


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("MLflow at http://ann:s3cret@host:5000 failed", "MLflow at http://ann:***@host:5000 failed"),
        ("'https://ann:p@ss@host/x', (a@b)", "'https://ann:***@host/x', (a@b)"),
        ("https://:s3cret@host/ and ftp://a:b@c", "https://:***@host/ and ftp://a:***@c"),
        ("clone https://ghp_s3cret@github.com/o/r", "clone https://***@github.com/o/r"),
        ("postgresql+psycopg://amun:s3cret@db/amun", "postgresql+psycopg://amun:***@db/amun"),
        ("postgresql://db/amun?user=a&password=s3cret&x=1", "postgresql://db/amun?user=a&password=***&x=1"),
        ("http://h/b?X-Amz-Signature=s3cret", "http://h/b?X-Amz-Signature=***"),
        ("https://h/b?sv=1&sig=s3cret", "https://h/b?sv=1&sig=***"),
        ("API_URL HTTP://Ann:s3cret@host", "API_URL HTTP://Ann:***@host"),
    ],
)
def test_passwords_tokens_and_signatures_are_masked(text: str, masked: str) -> None:
    assert mask_passwords(text) == masked
    assert mask_passwords(masked) == masked
    assert holds_password(text)
    for kind in (AmunError, InputError):
        assert str(kind(text)) == masked


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:5000/api of ann@example.org",
        "ssh://git@host:22/x.git",
        "git@github.com:company/pictures.git",
        "postgresql+psycopg://amun@db/amun",
        "sqlite:////home/a:b@c/ledger.db",
        "s3://bucket/prefix?design=1&keyboard=2",
        "models:/NAME@champion, 03:00 @ http://host",
    ],
)
def test_what_is_no_password_stays(text: str) -> None:
    assert mask_passwords(text) == text
    assert not holds_password(text)


def test_address_to_follow_has_no_login_at_all() -> None:
    assert drop_login("https://ann:s3cret@host:5000/x?token=a#/models") == "https://host:5000/x?token=***#/models"
    assert drop_login("git@github.com:company/pictures.git") == "git@github.com:company/pictures.git"
