"""Whether a DVC remote answers, before anything is built on it."""

from pathlib import Path
from urllib.parse import urlsplit

from amun.core.errors import InputError
from tasks.tools.s3 import is_location, open_client, parse_location, translate_errors


def resolve_remote(url: str) -> str:
    """Returns the remote's address, a folder's in full."""
    return url if is_location(url) else str(Path(url).resolve())


def require_remote(url: str) -> None:
    """Makes sure that a remote answers: a folder is made where it is missing, a bucket must be there.

    Raises:
        InputError: what does not answer, and why.
    """
    if is_location(url):
        location = parse_location(url)
        with translate_errors(f"--remote {location}", InputError):
            open_client().head_bucket(Bucket=location.bucket)
        return
    if urlsplit(url).scheme:
        raise InputError(f"--remote {url}: only s3://bucket/prefix and folders are supported")
    folder = Path(url).resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--remote {folder}: {error.strerror}") from None
