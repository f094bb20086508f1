"""What there may be to alert somebody to that no other part of the ledger tells; in numbers, which name nobody."""

from datetime import datetime

from sqlalchemy import and_, func, select

from amun.ledger.alert_records import FileNews
from amun.ledger.database import Database
from amun.ledger.lookups import is_due_like_any
from amun.ledger.schema import FileRow, OutcomeRow, RequestRow


class CauseBook(Database):
    """The part of the ledger that says what of requests and files somebody should hear."""

    def count_due(self, model: str, until: datetime) -> int:
        """Returns how many requests are due by then, of those that wait for a wave or a person, or are in a wave.

        A legal hold keeps a request out: that is somebody's decision. One that waits for approval counts.
        """
        query = (
            select(func.count())
            .select_from(OutcomeRow)
            .join(RequestRow, RequestRow.number == OutcomeRow.request_number)
            .where(OutcomeRow.model == model, is_due_like_any(), RequestRow.due_at <= until)
        )
        with self._read() as session:
            return session.scalars(query).one()

    def count_strays(self, model: str) -> int:
        """Returns how many requests match nobody and came in no file: of files each is told by itself."""
        query = (
            select(func.count())
            .select_from(OutcomeRow)
            .join(RequestRow, RequestRow.number == OutcomeRow.request_number)
            .where(OutcomeRow.model == model, OutcomeRow.state == "unmatched", RequestRow.file_number.is_(None))
        )
        with self._read() as session:
            return session.scalars(query).one()

    def find_next_due(self, model: str) -> datetime | None:
        """Returns the nearest due date of those requests; None where there is none."""
        query = (
            select(func.min(RequestRow.due_at))
            .join(OutcomeRow, OutcomeRow.request_number == RequestRow.number)
            .where(OutcomeRow.model == model, is_due_like_any())
        )
        with self._read() as session:
            return session.scalars(query).one()

    def list_file_news(self, model: str, since: datetime, source: str | None) -> list[FileNews]:
        """Returns the files since a time that were rejected, or have requests that match nobody in this model.

        Args:
            model: the model.
            since: the time.
            source: where the model's workspace takes files from, as `FileId.source` has it. What was rejected elsewhere
                others mend; None has nothing rejected.
        """
        is_rejected = and_(FileRow.reason.is_not(None), FileRow.source == source)
        is_unmatched = and_(
            OutcomeRow.request_number == RequestRow.number, OutcomeRow.model == model, OutcomeRow.state == "unmatched"
        )
        query = (
            select(FileRow.number, is_rejected, func.count(OutcomeRow.request_number))
            .outerjoin(RequestRow, RequestRow.file_number == FileRow.number)
            .outerjoin(OutcomeRow, is_unmatched)
            .where(FileRow.taken_at >= since)
            .group_by(FileRow.number)
            .order_by(FileRow.number)
        )
        with self._read() as session:
            rows = session.execute(query).tuples().all()
        return [
            FileNews(number, bool(rejected), num_unmatched)
            for number, rejected, num_unmatched in rows
            if rejected or num_unmatched
        ]
