"""Receipts of erasure: drafted before keys are destroyed, issued one after the other, emptied when retention ends.

Their numbers are given in the transaction that writes them: several clones make one chain.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Annotated

from pydantic import Field
from sqlalchemy import ColumnElement, delete, exists, select, update
from sqlalchemy.orm import Session

from amun.core.databases import split_chunks
from amun.evidence.receipt import ChainEntry, Draft, Reproduction
from amun.evidence.scan import ScanRecord
from amun.evidence.wave import parse_record
from amun.ledger.checks import format_request_id, parse_request_id
from amun.ledger.database import Database
from amun.ledger.lookups import SAME_OUTCOME, check_model, get_wave_row
from amun.ledger.records import DraftedReceipt, IssuedReceipt
from amun.ledger.requests import describe_erasure
from amun.ledger.schema import ErasureRow, OutcomeRow, ReceiptDraftRow, ReceiptRow, ReproductionRow
from amun.receipts.entries import parse_entry, write_line

_COLUMNS = (
    ReceiptRow.request_number,
    ReceiptRow.model,
    ReceiptRow.entry,
    ReceiptRow.sealed.is_not(None),
    ReceiptRow.destroyed_at,
    ReceiptRow.commit,
)
_OWN = tuple(Reproduction.model_fields)


class _KeptReproduction(Reproduction):
    """How the ledger keeps one: with the last one of the wave that was drawn, where this one was not."""

    drawn: Annotated[Reproduction | None, Field(exclude_if=lambda value: value is None)] = None


class ReceiptBook(Database):
    """The part of the ledger that keeps receipts of erasure."""

    def find_undrafted(self, model: str, request_ids: Collection[str]) -> set[str]:
        """Returns those of the requests that have neither a draft nor a receipt."""
        numbers = [parse_request_id(request_id) for request_id in request_ids]
        known = set[int]()
        with self._read() as session:
            for row in (ReceiptDraftRow, ReceiptRow):
                for chunk in split_chunks(numbers):
                    query = select(row.request_number).where(row.model == model, row.request_number.in_(chunk))
                    known.update(session.scalars(query))
        return {format_request_id(number) for number in numbers if number not in known}

    def draft_receipts(self, model: str, drafts: Mapping[str, Draft]) -> None:
        """Keeps what goes into the receipts of requests; what was drafted before stays.

        Args:
            model: which has forgotten the people.
            drafts: by id of the request.
        """
        with self._write() as session:
            for request_id, draft in drafts.items():
                number = parse_request_id(request_id)
                if session.get(ReceiptDraftRow, (number, model)) is None:
                    row = ReceiptDraftRow(request_number=number, model=model, content=draft.model_dump_json())
                    session.add(row)

    def note_scans(self, model: str, scans: Mapping[str, ScanRecord | None]) -> None:
        """Keeps what a scan has found of people until their receipts are issued; the last one counts, also if none.

        Args:
            model: which has forgotten the people.
            scans: by id of the request; one that has no draft is left out.
        """
        with self._write() as session:
            for request_id, scan in scans.items():
                row = session.get(ReceiptDraftRow, (parse_request_id(request_id), model))
                if row is not None:
                    draft = parse_record(Draft, row.content, f"a draft of a receipt in {self.name}")
                    row.content = draft.model_copy(update={"scan": scan}).model_dump_json()

    def list_drafted(self, model: str) -> list[DraftedReceipt]:
        """Returns the receipts that can be issued, those whose people were erased first at the head.

        Raises:
            InputError: the model is not registered.
        """
        same = ReceiptDraftRow.request_number == ErasureRow.request_number, ReceiptDraftRow.model == ErasureRow.model
        query = (
            select(ReceiptDraftRow, ErasureRow, OutcomeRow.wave_number)
            .join(ErasureRow, same[0] & same[1])
            .join(OutcomeRow, SAME_OUTCOME)
            .where(ReceiptDraftRow.model == model, ErasureRow.erased_at.is_not(None))
            .order_by(ErasureRow.erased_at, ErasureRow.request_number)
        )
        with self._read() as session:
            check_model(session, model, self.name)
            return [
                DraftedReceipt(
                    format_request_id(draft.request_number),
                    wave_number,
                    describe_erasure(erasure),
                    parse_record(Draft, draft.content, f"a draft of a receipt in {self.name}"),
                )
                for draft, erasure, wave_number in session.execute(query).tuples()
                if wave_number is not None
            ]

    def add_receipt(
        self, model: str, request_id: str, sealed: bytes, append: Callable[[ChainEntry | None], ChainEntry]
    ) -> None:
        """Issues the receipt of a request in place of its draft; where it was issued already nothing changes.

        Args:
            model: which has forgotten the person.
            request_id: of the request.
            sealed: its body.
            append: returns the next entry of the chain, given the last one.
        """
        number = parse_request_id(request_id)
        with self._write() as session:
            session.execute(
                delete(ReceiptDraftRow).where(ReceiptDraftRow.model == model, ReceiptDraftRow.request_number == number)
            )
            if session.scalar(select(exists().where(ReceiptRow.model == model, ReceiptRow.request_number == number))):
                return
            entry, row = append(self._find_last(session, model)), ReceiptRow(model=model, request_number=number)
            row.number, row.entry, row.sealed = entry.number, write_line(entry), sealed
            session.add(row)

    def list_receipts(self, model: str) -> list[IssuedReceipt]:
        """Returns a model's receipts in the order of its chain.

        Raises:
            InputError: the model is not registered.
            AmunError: an entry is damaged.
        """
        with self._read() as session:
            check_model(session, model, self.name)
            return self._select(session, ReceiptRow.model == model)

    def find_receipt(self, model: str, request_id: str) -> IssuedReceipt | None:
        """Returns the receipt of a request; None where there is none.

        Raises:
            AmunError: its entry is damaged.
        """
        meant = ReceiptRow.model == model, ReceiptRow.request_number == parse_request_id(request_id)
        with self._read() as session:
            return next(iter(self._select(session, *meant)), None)

    def read_sealed(self, model: str, request_id: str) -> bytes | None:
        """Returns the sealed body of a request's receipt; None where there is none, or none any more."""
        meant = ReceiptRow.model == model, ReceiptRow.request_number == parse_request_id(request_id)
        with self._read() as session:
            return session.scalar(select(ReceiptRow.sealed).where(*meant))

    def record_committed(self, model: str, numbers: Collection[int], commit: str) -> None:
        """Records a commit that has these entries of the chain; what was recorded before stays."""
        with self._write() as session:
            for chunk in split_chunks(list(numbers)):
                meant = ReceiptRow.model == model, ReceiptRow.number.in_(chunk), ReceiptRow.commit.is_(None)
                session.execute(update(ReceiptRow).where(*meant).values(commit=commit))

    def empty_receipts(self, model: str, request_ids: Collection[str], now: datetime) -> None:
        """Removes the sealed bodies of these requests' receipts; the entries stay."""
        with self._write() as session:
            for chunk in split_chunks([parse_request_id(request_id) for request_id in request_ids]):
                meant = ReceiptRow.model == model, ReceiptRow.request_number.in_(chunk), ReceiptRow.sealed.is_not(None)
                session.execute(update(ReceiptRow).where(*meant).values(sealed=None, destroyed_at=now))

    def count_without_receipt(self, model: str) -> int:
        """Returns how many are erased without a receipt or a draft of one: erased before there were receipts."""
        query = select(ErasureRow.request_number).where(ErasureRow.model == model, ErasureRow.erased_at.is_not(None))
        with self._read() as session:
            erased = [format_request_id(number) for number in session.scalars(query)]
        return len(self.find_undrafted(model, erased))

    def record_reproduction(self, model: str, number: int, reproduction: Reproduction) -> None:
        """Records that a wave was run again, in the place of the time before; the last time it was drawn stays, too.

        Raises:
            InputError: there is no such wave.
        """
        with self._write() as session:
            get_wave_row(session, model, number, self.name)
            before = session.get(ReproductionRow, (model, number))
            drawn = None if before is None or reproduction.draw is not None else self._read_drawn(before)
            kept = _KeptReproduction(**dict(reproduction), drawn=drawn)
            session.merge(ReproductionRow(model=model, wave_number=number, content=kept.model_dump_json()))

    def find_reproduction(self, model: str, number: int) -> Reproduction | None:
        """Returns the last time that a wave was run again; None where it never was."""
        with self._read() as session:
            row = session.get(ReproductionRow, (model, number))
            return None if row is None else parse_record(Reproduction, row.content, f"a record in {self.name}")

    def find_drawn(self, model: str) -> Reproduction | None:
        """Returns the last time that a drawn wave of a model was run again; None where none ever was."""
        with self._read() as session:
            rows = session.scalars(select(ReproductionRow).where(ReproductionRow.model == model))
            drawn = [one for row in rows if (one := self._read_drawn(row)) is not None]
        return max(drawn, key=lambda one: one.finished_at, default=None)

    def _read_drawn(self, row: ReproductionRow) -> Reproduction | None:
        kept = parse_record(_KeptReproduction, row.content, f"a record in {self.name}")
        return kept.drawn if kept.draw is None else Reproduction(**{name: getattr(kept, name) for name in _OWN})

    def _select(self, session: Session, *conditions: ColumnElement[bool]) -> list[IssuedReceipt]:
        query = select(*_COLUMNS).where(*conditions).order_by(ReceiptRow.number)
        return [
            IssuedReceipt(format_request_id(number), model, self._parse(line), has_body, destroyed_at, commit)
            for number, model, line, has_body, destroyed_at, commit in session.execute(query).tuples()
        ]

    def _find_last(self, session: Session, model: str) -> ChainEntry | None:
        query = select(ReceiptRow.entry).where(ReceiptRow.model == model).order_by(ReceiptRow.number.desc()).limit(1)
        line = session.scalar(query)
        return None if line is None else self._parse(line)

    def _parse(self, line: str) -> ChainEntry:
        return parse_entry(line, f"a receipt in the ledger {self.name}")
