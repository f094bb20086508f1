"""Everything that a bucket has below a prefix: every version of every object, read in ranges."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from tasks.tools.s3 import Location, list_kept, translate_errors

RANGE_BYTES = 8 << 20  # fetched at once


@dataclass(frozen=True)
class Version:
    """A version of an object, `size` in bytes."""

    bucket: str
    key: str
    version_id: str
    size: int


def list_keys(client: Any, location: Location) -> set[str]:
    """Returns the keys below the prefix of which there is a version or a delete marker.

    Raises:
        AmunError: the bucket does not answer or refuses.
    """
    with translate_errors(str(location)):
        return {kept.key for kept in list_kept(client, location.bucket, location.join(""))}


def list_versions(client: Any, location: Location, *, is_folder: bool = True) -> Iterator[Version]:
    """Yields all versions of all objects below the prefix, those that were deleted or replaced among them.

    Args:
        client: of S3.
        location: the prefix.
        is_folder: whether a slash follows the prefix; else it may be an object's own key.

    Raises:
        AmunError: the bucket does not answer or refuses.
    """
    prefix = location.join("") if is_folder else location.prefix
    with translate_errors(str(location)):
        for kept in list_kept(client, location.bucket, prefix):
            if not kept.is_marker:
                yield Version(location.bucket, kept.key, kept.version_id, kept.size)


def count_unfinished(client: Any, location: Location) -> int:
    """Returns how many uploads were begun and not ended: what they have sent lies there, and nobody can read it.

    Raises:
        AmunError: the bucket does not answer or refuses.
    """
    pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=location.bucket, Prefix=location.join(""))
    with translate_errors(str(location)):
        return sum(len(page.get("Uploads", [])) for page in pages)


@contextmanager
def open_version(client: Any, version: Version) -> Iterator[IO[bytes]]:
    """Opens a version for reading to and fro; reading raises OSError where the bucket does not answer or refuses."""
    with io.BufferedReader(_Ranges(client, version), RANGE_BYTES) as file:
        yield cast(IO[bytes], file)


class _Ranges(io.RawIOBase):
    """The bytes of a version, each range fetched when it is read."""

    def __init__(self, client: Any, version: Version) -> None:
        self._client = client
        self._version = version
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._version.size}[whence]
        self._place = max(0, begin + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        end = min(self._place + len(buffer), self._version.size)
        if end <= self._place:
            return 0
        version = self._version
        named = {"Bucket": version.bucket, "Key": version.key, "VersionId": version.version_id}
        try:
            answer = self._client.get_object(**named, Range=f"bytes={self._place}-{end - 1}")
            content = answer["Body"].read()
        except (BotoCoreError, ClientError) as error:
            raise OSError(f"the bucket does not answer or refuses: {error}") from None
        if len(content) != end - self._place:
            raise OSError(f"the bucket has sent {len(content)} bytes of {end - self._place}")
        buffer[: len(content)] = content
        self._place = end
        return len(content)
