"""Whether a DVC remote answers, before anything is built on it."""

from pathlib import Path
from urllib.parse import urlsplit

from amun.core.errors import InputError
from tasks.tools.s3 import Location, is_location, open_client, parse_location, translate_errors


def require_remote(url: str) -> str:
    """Returns the remote's address, a folder's in full, once it has answered.

    A folder is made where it is missing; a bucket must be there.

    Raises:
        InputError: what does not answer, and why.
    """
    if is_location(url):
        _require_bucket(parse_location(url))
        return url
    if urlsplit(url).scheme:
        raise InputError(f"--remote {url}: only s3://bucket/prefix and folders are supported")
    folder = Path(url).resolve()
    _require_folder(folder)
    return str(folder)


def _require_bucket(location: Location) -> None:
    with translate_errors(f"--remote {location}", InputError):
        open_client().head_bucket(Bucket=location.bucket)


def _require_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--remote {folder}: {error.strerror}") from None
