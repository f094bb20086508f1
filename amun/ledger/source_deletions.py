"""Deletions in the source of the data: whose files are to go, and what is left of them to the source's owner."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import update

from amun.ledger.checks import parse_request_id
from amun.ledger.database import Database
from amun.ledger.erasures import read_erasures
from amun.ledger.lookups import check_model
from amun.ledger.records import PlannedErasure
from amun.ledger.schema import ErasureRow


class SourceBook(Database):
    """The part of the ledger that says whose files in the source are deleted."""

    def begin_source_deletions(self, model: str, now: datetime, *, is_wanted: bool) -> list[PlannedErasure]:
        """Returns the erasures whose people's files are still to be deleted in the source, once that is written.

        Args:
            model: whose source it is.
            now: the present time.
            is_wanted: begins with everybody whose erasure is begun or done; else what was begun is all.

        Raises:
            InputError: the model is not registered.
        """
        with self._write() as session:
            check_model(session, model, self.name)
            if is_wanted:
                is_new = ErasureRow.started_at.is_not(None), ErasureRow.source_begun_at.is_(None)
                begin = update(ErasureRow).where(ErasureRow.model == model, *is_new)
                session.execute(begin.values(source_begun_at=now))
            is_unfinished = ErasureRow.source_begun_at.is_not(None), ErasureRow.source_deleted_at.is_(None)
            return read_erasures(session, model, now, *is_unfinished)

    def finish_source_deletions(self, model: str, left: Mapping[str, Sequence[str]], now: datetime) -> None:
        """Records that no file of these requests' people is left that can be deleted; what was recorded before stays.

        Args:
            model: whose source it is.
            left: by request, what the source's owner has to take the person out of.
            now: the present time.
        """
        with self._write() as session:
            for request_id, places in left.items():
                meant = ErasureRow.model == model, ErasureRow.request_number == parse_request_id(request_id)
                values = {"source_deleted_at": now, "source_left": list(places)}
                session.execute(update(ErasureRow).where(*meant, ErasureRow.source_deleted_at.is_(None)).values(values))
