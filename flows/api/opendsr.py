"""Requests as privacy suites send them: OpenDSR 2.0, below `/v2`, with signed answers."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool

from amun.core.errors import InputError
from amun.ledger import Demand, KeyReusedError, Ledger
from amun.ledger.opendsr import DsrDemand, NotPendingError
from flows.api.guard import make_unrecorded
from flows.api.opendsr_forms import (
    UUID,
    CancelledForm,
    DiscoveryForm,
    ErasureForm,
    IdentityType,
    StatusForm,
    SupportedForm,
    TakenForm,
    describe_cancelled,
    describe_status,
    describe_taken,
    write_request_schema,
)
from flows.api.problems import OPENDSR, Problem, document_refusals
from flows.api.scopes import check_json, get_call, require
from tasks.tools.processor_key import ProcessorKey
from tasks.workspace.callbacks import is_allowed

RequestId = Annotated[str, Path(pattern=UUID, description="As it was sent.")]


@dataclass(frozen=True)
class Processor:
    """What this service is to a privacy suite.

    Attributes:
        key: signs what it says.
        identity: which kind of identity is the id of a person in the data.
        origins: where callbacks may go.
    """

    key: ProcessorKey
    identity: IdentityType
    origins: tuple[str, ...]


def make_router(ledger: Ledger, processor: Processor, num_approvals: int) -> APIRouter:
    """Returns what answers below `/v2`; so many people are to approve each request."""
    router = APIRouter(tags=["OpenDSR 2.0"])
    _add_discovery(router, processor)
    _add_taking(router, ledger, processor, num_approvals)
    _add_following(router, ledger, processor)
    return router


def _sign(processor: Processor, form: BaseModel, status: int = 200) -> Response:
    body = form.model_dump_json().encode()
    return Response(body, status, processor.key.sign(body), media_type="application/json")


def _add_discovery(router: APIRouter, processor: Processor) -> None:
    found = DiscoveryForm(
        supported_identities=[SupportedForm(identity_type=processor.identity)],
        processor_certificate=f"https://{processor.key.domain}{OPENDSR}certificate.pem",
    )

    @router.get(f"{OPENDSR}discovery/", include_in_schema=False)
    @router.get(f"{OPENDSR}discovery", response_model=DiscoveryForm, responses=document_refusals())
    def discover() -> Response:
        """Tell what is taken here, and where the certificate lies."""
        return _sign(processor, found)

    @router.get(
        f"{OPENDSR}certificate.pem",
        response_class=Response,
        responses={
            200: {
                "description": "The certificate of what is signed, with those that certify it.",
                "content": {"application/x-pem-file": {"schema": {"type": "string"}}},
            },
            **document_refusals(),
        },
    )
    def hand_out_certificate() -> Response:
        """Hand out the certificate by which signatures are verified."""
        return Response(processor.key.certificate, media_type="application/x-pem-file")


def _add_taking(router: APIRouter, ledger: Ledger, processor: Processor, num_approvals: int) -> None:
    schema = write_request_schema(processor.identity)

    @router.post(
        f"{OPENDSR}requests/",
        include_in_schema=False,
        dependencies=[*require("requests:write"), Depends(check_json)],
    )
    @router.post(
        f"{OPENDSR}requests",
        status_code=201,
        response_model=TakenForm,
        dependencies=[*require("requests:write"), Depends(check_json)],
        responses=document_refusals(409, 415),
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}},
    )
    async def take_request(request: Request) -> Response:
        """Take a person's request to be erased."""
        body, call = await request.body(), get_call(request)
        form = _read_form(body)
        subject = _choose_subject(form, processor)
        demand = Demand(
            subject, form.submitted_time, form.subject_request_id, form.regulation, num_approvals=num_approvals
        )
        dsr = DsrDemand(form.subject_request_id, call.name, form.digest(), form.status_callback_urls)
        try:
            taken = await run_in_threadpool(ledger.take_dsr, demand, dsr, now=datetime.now(UTC))
        except KeyReusedError as error:
            raise Problem(409, "key-reused", str(error)) from None
        except InputError:
            raise make_unrecorded() from None
        call.request_id, call.outcome = taken.request_id, "recorded"
        return _sign(processor, describe_taken(taken, body), 201)


def _read_form(body: bytes) -> ErasureForm:
    try:
        return ErasureForm.model_validate_json(body)
    except ValidationError as error:
        found = [{**one, "loc": ("body", *one["loc"])} for one in error.errors(include_input=False)]
        raise RequestValidationError(found) from None


def _choose_subject(form: ErasureForm, processor: Processor) -> str:
    """Returns who is meant.

    Raises:
        Problem: nobody by the identity that is taken, or several; or somebody else is to be told than may be.
    """
    subjects = form.list_subjects(processor.identity)
    if len(subjects) != 1:
        detail = f"subject_identities: there has to be one {processor.identity}, raw; /v2/discovery says what is taken"
        raise Problem(400, "faulty", detail)
    if not all(is_allowed(url, processor.origins) for url in form.status_callback_urls):
        detail = "status_callback_urls: nobody is told there; the service's operator names the places that are"
        raise Problem(400, "faulty", detail)
    return subjects[0]


def _add_following(router: APIRouter, ledger: Ledger, processor: Processor) -> None:
    @router.get(
        f"{OPENDSR}requests/{{subject_request_id}}",
        response_model=StatusForm,
        dependencies=require("requests:read"),
        responses=document_refusals(404),
    )
    def show_status(subject_request_id: RequestId, request: Request) -> Response:
        """Show where a request stands."""
        call = get_call(request)
        dsr = ledger.find_dsr(call.name, subject_request_id, now=datetime.now(UTC))
        if dsr is None:
            raise _make_missing()
        call.request_id = dsr.request_id
        return _sign(processor, describe_status(dsr))

    @router.delete(
        f"{OPENDSR}requests/{{subject_request_id}}",
        status_code=202,
        response_model=CancelledForm,
        dependencies=require("requests:write"),
        responses=document_refusals(404),
    )
    def cancel_request(subject_request_id: RequestId, request: Request) -> Response:
        """Cancel a request that is still pending."""
        call = get_call(request)
        try:
            dsr = ledger.cancel_dsr(call.name, subject_request_id, now=datetime.now(UTC))
        except NotPendingError as error:
            raise Problem(400, "not-pending", str(error)) from None
        if dsr is None:
            raise _make_missing()
        call.request_id, call.outcome = dsr.request_id, "cancelled"
        return _sign(processor, describe_cancelled(dsr), 202)


def _make_missing() -> Problem:
    return Problem(404, "no-such-request", "there is no such request")
