"""S3, for data remotes, image sources and requests: one client, one listing, errors in one line."""

import re
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

SCHEME = "s3://"
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


def list_objects(client: Any, location: Location) -> Iterator[StoredObject]:
    """Yields all objects below the prefix by key, page after page, without the empty ones that stand for folders.

    Raises:
        AmunError: the bucket does not answer or refuses.
    """
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=location.bucket, Prefix=location.join(""))
    with translate_errors(str(location)):
        for page in pages:
            for entry in page.get("Contents", []):
                if not entry["Key"].endswith("/"):
                    yield StoredObject(entry["Key"], entry["ETag"].strip('"'), entry["Size"])


def remove_versions(client: Any, location: Location) -> int:
    """Removes an object, or all below a prefix, with every version and delete marker; returns how many these were.

    Raises:
        AmunError: the bucket does not answer or refuses, or still lists one.
    """
    num_removed = 0
    with translate_errors(str(location)):
        while found := _list_versions(client, location):
            answer = client.delete_objects(Bucket=location.bucket, Delete={"Objects": found[:1000], "Quiet": True})
            if refused := answer.get("Errors"):
                raise AmunError(f"{location}: the bucket does not let it be removed: {refused[0]['Code']}")
            num_removed += len(found[:1000])
    return num_removed


def _list_versions(client: Any, location: Location) -> list[dict[str, str]]:
    """Returns every version and delete marker of an object, or of all below a prefix."""
    pages = client.get_paginator("list_object_versions").paginate(Bucket=location.bucket, Prefix=location.prefix)
    entries = (entry for page in pages for kind in ("Versions", "DeleteMarkers") for entry in page.get(kind, []))
    return [
        {"Key": entry["Key"], "VersionId": entry["VersionId"]}
        for entry in entries
        if entry["Key"] == location.prefix or entry["Key"].startswith(location.join(""))
    ]


@contextmanager
def translate_errors(where: str, kind: type[AmunError] = AmunError) -> Iterator[None]:
    """Turns what boto3 raises into one line that begins with `where` and names no object: a key may be a person's."""
    try:
        yield
    except (BotoCoreError, ClientError, ValueError) as error:
        reason = _ADDRESS.sub(r"\1", join_lines(error))
        raise kind(f"{where}: it does not answer or refuses: {reason}") from None
