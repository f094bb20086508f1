"""Requests from S3: each object is read, and deleted only as the one that was read.

Where the bucket keeps versions, the version that was read is deleted by its id. It may have replaced a version that
nobody had read. That one is then the current one again, and is read next.
"""

from collections.abc import Iterator

from botocore.exceptions import ClientError

from amun.ledger import FileId, TakenFile
from tasks.tools.s3 import Location, list_objects, open_client, translate_errors
from tasks.workspace.intake_files import REASON_SUFFIX, IntakeSource, Waiting, is_meant, name_target

NO_VERSIONS = ("", "null")


class BucketSource(IntakeSource):
    """All objects below a prefix."""

    def __init__(self, location: Location):
        self._location = location
        self._client = open_client()

    def count_waiting(self) -> int:
        """Returns how many objects wait.

        Raises:
            AmunError: S3 does not answer or refuses.
        """
        return len(self._list_keys())

    def read_waiting(self) -> Iterator[Waiting]:
        """Yields each object that waits, then older versions that come up after it; raises as `count_waiting`."""
        seen: set[FileId] = set()
        num_seen = -1
        while num_seen < len(seen):
            num_seen = len(seen)
            for key in self._list_keys():
                waiting = self._read(key)
                if waiting is not None and waiting.id not in seen:
                    seen.add(waiting.id)
                    yield waiting

    def put_away(self, waiting: Waiting, record: TakenFile) -> None:
        """Writes what was read to its new place, the reason before it, and deletes it where it was."""
        target = self._location.join(name_target(waiting, record))
        if record.reason is not None:
            self._write(target + REASON_SUFFIX, record.reason.encode() + b"\n")
        self._write(target, waiting.content)
        self._delete(waiting)

    def _list_keys(self) -> list[str]:
        start = len(self._location.join(""))
        return [found.key for found in list_objects(self._client, self._location) if is_meant(found.key[start:])]

    def _read(self, key: str) -> Waiting | None:
        """Returns the object; None where another run has put it away."""
        with translate_errors(self._describe()):
            try:
                answer = self._client.get_object(Bucket=self._location.bucket, Key=key)
            except self._client.exceptions.NoSuchKey:
                return None
            content = answer["Body"].read()
        file = FileId(
            source=str(self._location),
            name=key[len(self._location.join("")) :],
            version=answer.get("VersionId", ""),
            etag=answer["ETag"].strip('"'),
            modified_at=answer["LastModified"],
        )
        return Waiting(file, key, content)

    def _write(self, key: str, content: bytes) -> None:
        with translate_errors(self._describe()):
            self._client.put_object(Bucket=self._location.bucket, Key=key, Body=content)

    def _delete(self, waiting: Waiting) -> None:
        """Deletes the object that was read; one that has replaced it since stays, and is another."""
        place = {"Bucket": self._location.bucket, "Key": waiting.place}
        with translate_errors(self._describe()):
            if waiting.id.version not in NO_VERSIONS:
                self._client.delete_object(**place, VersionId=waiting.id.version)
            elif self._is_there(waiting, place):
                self._delete_unchanged(waiting, place)

    def _is_there(self, waiting: Waiting, place: dict[str, str]) -> bool:
        """Tells whether the object is the one that was read, down to when it was written."""
        try:
            answer = self._client.head_object(**place)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return False
            raise
        found = answer["ETag"].strip('"'), answer["LastModified"]
        return found == (waiting.id.etag, waiting.id.modified_at)

    def _delete_unchanged(self, waiting: Waiting, place: dict[str, str]) -> None:
        try:
            self._client.delete_object(**place, IfMatch=f'"{waiting.id.etag}"')
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] not in (404, 412):
                raise

    def _describe(self) -> str:
        return f"intake.source: {self._location}"
