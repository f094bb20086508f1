"""What is sent and what is answered, as the schema tells it. No answer names a person."""

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from amun.core.errors import InputError
from amun.core.subject_ids import MAX_LENGTH, find_fault
from amun.ledger import OutcomeState, Posted, Request
from amun.ledger.checks import UNFIT_CHARACTERS, check_received
from amun.ledger.laws import Law
from amun.ledger.records import HoldKind

TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")  # RFC 3339
REQUEST_ID = r"^R-[0-9]{6,9}$"
KEY = r"^[!-~]{1,255}$"


def check_subject_id(given: object) -> object:
    """Returns an id of a person as it is; refuses one that cannot be."""
    if isinstance(given, str) and (fault := find_fault(given)):
        raise ValueError(f"it has {fault}; write it as the data set does")
    return given


def _check_reference(given: object) -> object:
    if isinstance(given, str) and not given.strip():
        raise ValueError("it is empty; write the ticket's number, or leave it out")
    if isinstance(given, str) and UNFIT_CHARACTERS.search(given):
        raise ValueError("it has control characters; write the ticket's number, or leave it out")
    return given


def read_time(given: object) -> object:
    """Returns a time of the past; refuses what is none, or has no zone."""
    if given is None:
        return None
    if not isinstance(given, str) or not TIME.fullmatch(given):
        raise ValueError("it is no time with its zone; write it as 2026-01-31T09:00:00+01:00")
    try:
        return check_received(datetime.fromisoformat(given.upper()), datetime.now(UTC))
    except InputError:
        # its line repeats the time
        raise ValueError("it lies in the future, or before 1970; give the time of receipt") from None
    except (ValueError, OverflowError):
        raise ValueError("there is no such time; write it as 2026-01-31T09:00:00+01:00") from None


class DemandForm(BaseModel):
    """A person's demand to be forgotten. It can bring nothing but these: no data, no address of data."""

    model_config = ConfigDict(extra="forbid")

    subject_id: Annotated[
        str,
        BeforeValidator(check_subject_id),
        Field(
            min_length=1,
            max_length=MAX_LENGTH,
            description="The person, spelled as the data set spells it: no invisible characters, no blanks around it.",
            json_schema_extra={"format": "subject-id"},
        ),
    ]
    received_at: Annotated[
        datetime | None,
        BeforeValidator(read_time),
        Field(
            description="When the demand reached you, with its zone, not in the future nor before 1970; else now.",
            json_schema_extra={"anyOf": [{"type": "string", "format": "past-date-time"}, {"type": "null"}]},
        ),
    ] = None
    reference: Annotated[
        Annotated[str, Field(max_length=MAX_LENGTH)] | None,
        BeforeValidator(_check_reference),
        Field(
            description="Your own ticket. It is kept in the ledger, and no answer has it.",
            json_schema_extra={
                "anyOf": [
                    {"type": "string", "format": "reference", "minLength": 1, "maxLength": MAX_LENGTH},
                    {"type": "null"},
                ]
            },
        ),
    ] = None
    law: Annotated[Law, Field(description="Whose clock it runs by.")] = "gdpr"
    is_verified: Annotated[
        bool,
        Field(strict=True, description="false: nobody knows yet that it is the person who asks; it waits for that."),
    ] = True


class PostedForm(BaseModel):
    """The answer to a demand. Where the request stands it does not say: that is for `requests:read`."""

    request_id: Annotated[str, Field(pattern=REQUEST_ID)]
    is_new: Annotated[bool, Field(description="false where an earlier request of the person is still open")]
    due_at: datetime


class OutcomeForm(BaseModel):
    """Where a request stands for one model."""

    model: str
    state: OutcomeState
    wave: Annotated[int | None, Field(description="the wave that handles or handled it, or had done so before")]
    decided_at: datetime | None
    erase_after: Annotated[datetime | None, Field(description="when the waiting days before the erasure end")]
    erased_at: datetime | None


class RequestForm(BaseModel):
    """Where a request stands."""

    request_id: Annotated[str, Field(pattern=REQUEST_ID)]
    received_at: datetime
    due_at: datetime
    law: Law
    is_extended: Annotated[bool, Field(description="its due date was put off once, as the law allows")]
    is_held: Annotated[bool, Field(description="a hold keeps it back")]
    held_for: Annotated[
        HoldKind | None,
        Field(description="a legal hold; nobody knows yet that it is the person who asks; it waits for approval"),
    ]
    held_since: datetime | None
    has_receipt: Annotated[bool, Field(description="its receipt of erasure can be fetched")]
    outcomes: list[OutcomeForm]


class HealthForm(BaseModel):
    """That requests can be taken."""

    status: Literal["ok"] = "ok"


def describe_posted(posted: Posted) -> PostedForm:
    """Returns the answer to a demand."""
    return PostedForm(request_id=posted.request_id, is_new=posted.is_new, due_at=posted.due_at)


def describe_request(request: Request, has_receipt: bool) -> RequestForm:
    """Returns where a request stands, less whose it is and what people have typed."""
    outcomes = [
        OutcomeForm(
            model=outcome.model,
            state=outcome.state,
            wave=outcome.wave_number,
            decided_at=outcome.decided_at,
            erase_after=None if outcome.erasure is None else outcome.erasure.erase_after,
            erased_at=None if outcome.erasure is None else outcome.erasure.erased_at,
        )
        for outcome in request.outcomes
    ]
    return RequestForm(
        request_id=request.request_id,
        received_at=request.received_at,
        due_at=request.find_due(datetime.now(UTC)),
        law=request.law,
        is_extended=request.extension is not None,
        is_held=request.is_held,
        held_for=None if request.hold is None else request.hold.kind,
        held_since=None if request.hold is None else request.hold.held_at,
        has_receipt=has_receipt,
        outcomes=outcomes,
    )
