"""Whether a DVC remote answers, before anything is built on it."""

from pathlib import Path
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from amun.errors import InputError

_ONE_TRY = Config(connect_timeout=10, read_timeout=10, retries={"total_max_attempts": 2})


def require_remote(url: str) -> str:
    """Returns the remote's address, a folder's in full, once it has answered.

    A folder is made where it is missing; a bucket must be there.

    Raises:
        InputError: what does not answer, and why.
    """
    parts = urlsplit(url)
    if parts.scheme == "s3":
        _require_bucket(parts.netloc)
        return url
    if parts.scheme:
        raise InputError(f"--remote {url}: only s3://bucket/prefix and folders are supported")
    folder = Path(url).resolve()
    _require_folder(folder)
    return str(folder)


def _require_bucket(bucket: str) -> None:
    try:
        # a session of its own: the default one keeps the credentials that it found first
        boto3.Session().client("s3", config=_ONE_TRY).head_bucket(Bucket=bucket)
    except (BotoCoreError, ClientError, ValueError) as error:
        raise InputError(f"--remote s3://{bucket}: it does not answer: {error}") from None


def _require_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--remote {folder}: {error.strerror}") from None
