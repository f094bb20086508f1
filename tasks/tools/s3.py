"""S3, for data remotes, image sources and requests: one client, one listing, errors in one line."""

import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session

from amun.core.errors import AmunError, InputError, join_lines
from amun.core.network import read_timeout
from tasks.tools.clocks import compare

SCHEME = "s3://"
NOT_FOUND = 404
PART_BYTES = 1 << 20  # of an object that is read through
NUM_CONNECTIONS = 16  # threads that share a client; more would wait for each other

_ADDRESS = re.compile(r"(https?://[^/\s\"]+)[^\s\"]*")


@dataclass(frozen=True)
class Location:
    """A place in a bucket; `prefix` stands without slashes around it, the whole bucket's is empty."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.prefix}".rstrip("/")

    def join(self, name: str) -> str:
        """Returns the key of `name` below the prefix."""
        return f"{self.prefix}/{name}" if self.prefix else name


@dataclass(frozen=True)
class StoredObject:
    """An object as the listing knows it; `size` in bytes, `etag` without its quotes."""

    key: str
    etag: str
    size: int


@dataclass(frozen=True)
class KeptVersion:
    """A version of an object, `size` in bytes, or the marker of its deletion."""

    key: str
    version_id: str
    size: int
    is_marker: bool


def is_location(text: str) -> bool:
    """Tells whether the text names a place on S3."""
    return text.startswith(SCHEME)


def parse_location(url: str) -> Location:
    """Returns the place that `s3://bucket/prefix` names.

    Raises:
        InputError: it is no such address.
    """
    bucket, _, prefix = url.removeprefix(SCHEME).partition("/")
    if not is_location(url) or not bucket:
        raise InputError(f"{url}: not a place on S3; write s3://bucket/prefix")
    return Location(bucket, prefix.strip("/"))


def open_client() -> Any:
    """Returns a client that several threads may share; its address and keys come from Amazon's own variables.

    Raises:
        InputError: the variables name no server that could be asked.
    """
    config = _bound_waits(read_timeout()).merge(Config(max_pool_connections=NUM_CONNECTIONS))
    with translate_errors("S3", InputError):
        # a session of its own: the default one keeps the credentials that it found first
        return boto3.Session().client("s3", config=config)


@cache
def bound_default_waits(seconds: float) -> None:
    """Bounds how long S3 may keep silent towards clients that others make, as MLflow's do: a minute five times else."""
    session = get_session()
    session.set_default_client_config(_bound_waits(seconds))
    boto3.setup_default_session(botocore_session=session)


def _bound_waits(seconds: float) -> Config:
    retries = {"mode": "standard", "total_max_attempts": 3}
    return Config(connect_timeout=seconds, read_timeout=seconds, retries=retries)


def list_objects(client: Any, location: Location, after: str = "") -> Iterator[StoredObject]:
    """Yields all objects below the prefix by key, page after page, without the empty ones that stand for folders.

    Args:
        client: of S3.
        location: the prefix.
        after: only those whose keys come after this one.

    Raises:
        AmunError: the bucket does not answer or refuses.
    """
    named = {"Bucket": location.bucket, "Prefix": location.join("")} | ({"StartAfter": after} if after else {})
    pages = client.get_paginator("list_objects_v2").paginate(**named)
    with translate_errors(str(location)):
        for page in pages:
            for entry in page.get("Contents", []):
                if not entry["Key"].endswith("/"):
                    yield StoredObject(entry["Key"], entry["ETag"].strip('"'), entry["Size"])


class RefusedError(AmunError):
    """The bucket answers, and does not let an object be deleted."""


def delete_versions(client: Any, bucket: str, key: str) -> int:
    """Deletes an object for good: every version of it and every delete marker; returns how many versions there were.

    Said again it deletes what has come since.

    Raises:
        RefusedError: the bucket keeps a version, by its rules or for lack of rights.
        AmunError: it does not answer.
    """
    where = f"{SCHEME}{bucket}"
    with translate_errors(where):
        found = _list_own(client, bucket, key)
        try:
            for kept in found:
                client.delete_object(Bucket=bucket, Key=key, VersionId=kept.version_id)
        except ClientError as error:
            raise RefusedError(f"{where} refuses to delete it: {_tell_error(error)}") from None
        num_versions = sum(not kept.is_marker for kept in found)
        if num_versions and _list_own(client, bucket, key):
            raise RefusedError(f"{where} has it still after it was deleted: is another program writing it?")
    return num_versions


def _list_own(client: Any, bucket: str, key: str) -> list[KeptVersion]:
    """Returns an object's versions and delete markers; another object's key may begin with this one."""
    return [kept for kept in list_kept(client, bucket, key) if kept.key == key]


def has_object(client: Any, bucket: str, key: str) -> bool:
    """Tells whether there is an object.

    Raises:
        AmunError: the bucket does not answer or refuses.
    """
    with translate_errors(f"{SCHEME}{bucket}"):
        try:
            client.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != NOT_FOUND:
                raise
            return False
    return True


def measure_clock(client: Any, bucket: str) -> float | None:
    """Returns by how many seconds the clock of an S3 server is ahead; None where it does not answer or say."""
    asked_at = time.time()
    try:
        answer = client.head_bucket(Bucket=bucket)
    except ClientError as error:
        answer = error.response  # who is a quarter of an hour wrong is refused
    except BotoCoreError:
        return None
    return compare(answer["ResponseMetadata"]["HTTPHeaders"].get("date"), asked_at, time.time())


def compute_md5(client: Any, bucket: str, key: str) -> str | None:
    """Returns the MD5 of an object as it is read now, whatever the bucket says of it; None where there is none.

    Raises:
        AmunError: the bucket does not answer or refuses.
    """
    digest = hashlib.md5(usedforsecurity=False)
    with translate_errors(f"{SCHEME}{bucket}"):
        try:
            for part in client.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(PART_BYTES):
                digest.update(part)
        except client.exceptions.NoSuchKey:
            return None
    return digest.hexdigest()


def list_kept(client: Any, bucket: str, prefix: str) -> Iterator[KeptVersion]:
    """Yields every version and delete marker of all objects whose keys begin so; boto3's errors come as they are."""
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        for kind in ("Versions", "DeleteMarkers"):
            for entry in page.get(kind, []):
                is_marker = kind == "DeleteMarkers"
                yield KeptVersion(entry["Key"], entry["VersionId"], 0 if is_marker else entry["Size"], is_marker)


@contextmanager
def translate_errors(where: str, kind: type[AmunError] = AmunError) -> Iterator[None]:
    """Turns what boto3 raises into one line that begins with `where` and names no object: a key may be a person's."""
    try:
        yield
    except (BotoCoreError, ClientError, ValueError) as error:
        raise kind(f"{where}: it does not answer or refuses: {_tell_error(error)}") from None


def _tell_error(error: Exception) -> str:
    """Returns what boto3 says, in one line and without what follows a server's name."""
    return _ADDRESS.sub(r"\1", join_lines(error))
