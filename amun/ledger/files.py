"""Files of demands: each one is taken or rejected once, in the transaction of its requests."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from amun.ledger.database import Database
from amun.ledger.demands import Demand, FileId, TakenFile
from amun.ledger.intake import Unknown, UnmatchedError, check_demands, record_demands
from amun.ledger.schema import FileRow


class FileBook(Database):
    """The part of the ledger that knows which files of demands were seen already."""

    def find_file(self, file: FileId) -> TakenFile | None:
        """Returns what became of a file, if it was seen before."""
        with self._read() as session:
            return _find(session, file)

    def take_file(
        self, file: FileId, demands: Sequence[Demand], *, now: datetime, max_unmatched_share: float | None = None
    ) -> TakenFile:
        """Records the demands of a file, as `add_demands` does, and the file as taken; said again it changes nothing.

        One of which too many match nobody is recorded as rejected, and none of its demands is.

        Raises:
            InputError: as `add_demands`; nothing is recorded.
        """
        checked = check_demands(demands, now)
        with self._write() as session:
            if known := _find(session, file):
                return known
            unknown = Unknown(max_share=max_unmatched_share)
            number = _record(session, file, None, now)
            try:
                added = record_demands(session, checked, self.name, now, unknown, number)
            except UnmatchedError as error:
                session.get_one(FileRow, number).reason = str(error)
                return TakenFile(number, str(error))
            return TakenFile(number, None, tuple(added))

    def reject_file(self, file: FileId, reason: str, *, now: datetime) -> TakenFile:
        """Records a file as rejected; said again it changes nothing."""
        with self._write() as session:
            return _find(session, file) or TakenFile(_record(session, file, reason, now), reason)


def _find(session: Session, file: FileId) -> TakenFile | None:
    row = session.scalar(select(FileRow).where(FileRow.digest == _digest(file)))
    return None if row is None else TakenFile(row.number, row.reason)


def _record(session: Session, file: FileId, reason: str | None, now: datetime) -> int:
    """Writes the file's row and returns its number."""
    row = FileRow(
        digest=_digest(file),
        source=file.source,
        name=file.name,
        version=file.version,
        etag=file.etag,
        modified_at=file.modified_at,
        taken_at=now,
        reason=reason,
    )
    session.add(row)
    session.flush()
    return row.number


def _digest(file: FileId) -> str:
    parts = json.dumps([*astuple(file)[:-1], file.modified_at.timestamp()])
    return hashlib.sha256(parts.encode()).hexdigest()
