"""What privacy suites send and are answered (OpenDSR 2.0, https://github.com/opengdpr/OpenDSR, specification.md)."""

import base64
import hashlib
import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from amun.core.subject_ids import MAX_LENGTH
from amun.ledger.laws import Law
from amun.ledger.opendsr import Dsr, DsrStatus
from flows.api.forms import check_subject_id, read_time
from flows.api.problems import inline_schema

UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
VERSION: Literal["2.0"] = "2.0"
# section 5.1
IdentityType = Literal[
    "controller_customer_id",
    "android_advertising_id",
    "android_id",
    "email",
    "fire_advertising_id",
    "ios_advertising_id",
    "ios_vendor_id",
    "microsoft_advertising_id",
    "microsoft_publisher_id",
    "roku_publisher_id",
    "roku_advertising_id",
]


class IdentityForm(BaseModel):
    """By what a sender knows the person."""

    identity_type: IdentityType
    identity_value: Annotated[
        str,
        BeforeValidator(check_subject_id),
        Field(min_length=1, max_length=MAX_LENGTH, json_schema_extra={"format": "subject-id"}),
    ]
    identity_format: Literal["raw", "sha1", "md5", "sha256"]


class ErasureForm(BaseModel):
    """A request to erase somebody (section 7.1). What else is sent is left alone: it brings nothing in."""

    regulation: Law
    subject_request_id: Annotated[str, Field(pattern=UUID, description="The sender's own, drawn for this request.")]
    subject_request_type: Literal["erasure"]
    submitted_time: Annotated[
        datetime,
        BeforeValidator(read_time),
        Field(json_schema_extra={"type": "string", "format": "past-date-time"}),
    ]
    subject_identities: Annotated[list[IdentityForm], Field(min_length=1, max_length=20)]
    api_version: Literal["2.0"] = VERSION
    status_callback_urls: Annotated[
        list[Annotated[str, Field(max_length=2000, json_schema_extra={"format": "callback-url"})]],
        Field(max_length=5, description="At places that this service has been told of."),
    ] = []
    extensions: dict[str, Any] | None = None

    def list_subjects(self, identity: IdentityType) -> list[str]:
        """Returns who is meant, by the identities that are ids of people in the data."""
        given = self.subject_identities
        return [one.identity_value for one in given if (one.identity_type, one.identity_format) == (identity, "raw")]

    def digest(self) -> str:
        """Returns what is the same for one request written in several ways."""
        told = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()


class SupportedForm(BaseModel):
    """A kind of identity that is taken."""

    identity_type: IdentityType
    identity_format: Literal["raw"] = "raw"


class DiscoveryForm(BaseModel):
    """What is taken here (section 6.3)."""

    api_version: Literal["2.0"] = VERSION
    supported_identities: list[SupportedForm]
    supported_subject_request_types: list[Literal["erasure"]] = ["erasure"]
    processor_certificate: str


class TakenForm(BaseModel):
    """The answer to a request (section 7.3)."""

    controller_id: Annotated[str, Field(description="The name of the token that the request came with.")]
    expected_completion_time: datetime
    received_time: datetime
    encoded_request: Annotated[str, Field(description="The body as it was sent, in base64.")]
    subject_request_id: Annotated[str, Field(pattern=UUID)]
    api_version: Literal["2.0"] = VERSION


class StatusForm(BaseModel):
    """Where a request stands (section 8.3)."""

    controller_id: str
    expected_completion_time: datetime
    subject_request_id: Annotated[str, Field(pattern=UUID)]
    request_status: DsrStatus
    api_version: Literal["2.0"] = VERSION


class CancelledForm(BaseModel):
    """The answer to a cancellation (section 9.2)."""

    controller_id: str
    subject_request_id: Annotated[str, Field(pattern=UUID)]
    received_time: datetime
    api_version: Literal["2.0"] = VERSION


def write_request_schema(identity: IdentityType) -> dict[str, Any]:
    """Returns the schema of a request, which has just one identity of the kind that is taken."""
    schema = inline_schema(ErasureForm)
    taken = {"identity_type": {"const": identity}, "identity_format": {"const": "raw"}}
    schema["properties"]["subject_identities"] |= {
        "contains": {"properties": taken, "required": [*taken]},
        "minContains": 1,
        "maxContains": 1,
    }
    return schema


def describe_taken(dsr: Dsr, body: bytes) -> TakenForm:
    """Returns the answer to a request."""
    return TakenForm(
        controller_id=dsr.token,
        expected_completion_time=dsr.due_at,
        received_time=dsr.received_at,
        encoded_request=base64.b64encode(body).decode("ascii"),
        subject_request_id=dsr.subject_request_id,
    )


def describe_status(dsr: Dsr) -> StatusForm:
    """Returns where a request stands."""
    return StatusForm(
        controller_id=dsr.token,
        expected_completion_time=dsr.due_at,
        subject_request_id=dsr.subject_request_id,
        request_status=dsr.status,
    )


def describe_cancelled(dsr: Dsr) -> CancelledForm:
    """Returns the answer to a cancellation."""
    return CancelledForm(
        controller_id=dsr.token, subject_request_id=dsr.subject_request_id, received_time=datetime.now(UTC)
    )
