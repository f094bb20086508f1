"""The application: demands are taken, requests looked up, receipts handed out.

It calls the ledger as the command line does, so that the same rules hold whichever way a demand comes in.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from anyio.to_thread import current_default_thread_limiter
from fastapi import Depends, FastAPI, Header, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from amun import __version__
from amun.core.errors import AmunError, InputError
from amun.ledger import Demand, KeyReusedError, Ledger, Posted
from amun.ledger.posted import PostedDemand
from flows.api.forms import (
    KEY,
    REQUEST_ID,
    DemandForm,
    HealthForm,
    PostedForm,
    RequestForm,
    describe_posted,
    describe_request,
)
from flows.api.guard import Application, Guard, make_failed, make_unavailable, make_unrecorded
from flows.api.log import Call, tell_failure, tell_fault
from flows.api.opendsr import Processor, make_router
from flows.api.problems import OPENDSR, Problem, answer_problem, document_problems, tell_faults
from flows.api.scopes import check_json, get_call, require
from flows.api.writer import Writer
from tasks.workspace.receipts import read_issued
from tasks.workspace.workspace import Workspace

DESCRIPTION = "Requests to be forgotten by a trained image classifier. No address, answer or log names a person."
Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        pattern=KEY,
        description="Of your choice, a new one for each demand: said again with it, a demand is answered as before.",
    ),
]
RequestId = Annotated[str, Path(pattern=REQUEST_ID, description="As it was answered: R-000001.")]
MAX_THREADS = 12  # SQLAlchemy keeps 15 connections to a database
HTTP_PROBLEMS = {
    400: ("faulty", "the body cannot be read as JSON"),
    404: ("no-such-path", "nothing lies there; the schema of all that does is /openapi.json"),
    405: ("no-such-method", "nothing is done so; the schema of all that is lies at /openapi.json"),
}


def make_application(
    workspace: Workspace,
    ledger: Ledger,
    rate: float,
    write: Callable[[str], object] | None = None,
    processor: Processor | None = None,
) -> Application:
    """Returns what answers each call.

    Args:
        workspace: whose model and key store it is.
        ledger: open as long as the application is used, by several threads.
        rate: calls a second that each token may make.
        write: takes the log's lines; they are printed where it is None.
        processor: what this service is to privacy suites; None where it takes none of their requests.
    """
    app = FastAPI(
        title="amun",
        version=__version__,
        description=DESCRIPTION,
        # pages of the schema would load scripts from the network
        docs_url=None,
        redoc_url=None,
        lifespan=_limit_threads,
        # the answer would repeat the path and the host that were sent
        redirect_slashes=False,
    )
    app.exception_handler(Problem)(_answer_problem)
    app.exception_handler(RequestValidationError)(_answer_faults)
    app.exception_handler(HTTPException)(_answer_http)
    app.exception_handler(Exception)(_answer_failure)
    app.exception_handler(AmunError)(_answer_unavailable)
    num_approvals = workspace.params.intake.approvals
    _add_posting(app, ledger, num_approvals)
    _add_reading(app, workspace, ledger)
    _add_health(app, ledger)
    if processor is not None:
        app.include_router(make_router(ledger, processor, num_approvals))
    return Guard(app, ledger.find_token, rate, write)


@asynccontextmanager
async def _limit_threads(_: FastAPI) -> AsyncIterator[None]:
    current_default_thread_limiter().total_tokens = MAX_THREADS
    yield


async def _check_head(request: Request) -> None:
    """Refuses a demand that is not JSON by its own head, or has two keys."""
    await check_json(request)
    if len(request.headers.getlist("Idempotency-Key")) > 1:
        raise Problem(422, "faulty", "header Idempotency-Key: there are several; send one")


def _add_posting(app: FastAPI, ledger: Ledger, num_approvals: int) -> None:
    writer = Writer(ledger)

    @app.post(
        "/requests",
        status_code=201,
        dependencies=[*require("requests:write"), Depends(_check_head)],
        responses={
            200: {"model": PostedForm, "description": "It stands under an earlier request, which is still open."},
            201: {"description": "A request was recorded."},
            **document_problems(409, 415, 422),
        },
    )
    async def post_request(demand: DemandForm, request: Request, response: Response, key: Key) -> PostedForm:
        """Take a person's demand to be forgotten."""
        call = get_call(request)
        given = Demand(
            demand.subject_id, demand.received_at, demand.reference, demand.law, demand.is_verified, num_approvals
        )
        posted = await _take(writer, given, call, key)
        call.request_id = posted.request_id
        call.outcome = "repeated" if posted.is_repeated else "recorded" if posted.is_new else "known"
        response.status_code = 201 if posted.is_new else 200
        response.headers["Location"] = f"/requests/{posted.request_id}"
        return describe_posted(posted)


async def _take(writer: Writer, demand: Demand, call: Call, key: str) -> Posted:
    try:
        return await writer.take(PostedDemand(demand, call.name, key))
    except KeyReusedError as error:
        raise Problem(409, "key-reused", str(error)) from None
    except InputError:
        raise make_unrecorded() from None


def _add_reading(app: FastAPI, workspace: Workspace, ledger: Ledger) -> None:
    @app.get("/requests/{request_id}", dependencies=require("requests:read"), responses=document_problems(404, 422))
    def show_request(request_id: RequestId, request: Request) -> RequestForm:
        """Show where a request stands."""
        found = _find(ledger, request_id)
        get_call(request).request_id = found.request_id
        receipt = ledger.find_receipt(workspace.model, found.request_id)
        return describe_request(found, receipt is not None and receipt.has_body)

    @app.get(
        "/requests/{request_id}/receipt",
        dependencies=require("receipts:read"),
        response_class=Response,
        responses={
            200: {
                "description": "The receipt, as `amun receipt verify` takes it.",
                "content": {"application/json": {"schema": {"type": "object"}}},
            },
            **document_problems(404, 410, 422),
        },
    )
    def hand_out_receipt(request_id: RequestId, request: Request) -> Response:
        """Hand out the signed receipt of a person who is erased."""
        found = _find(ledger, request_id)
        get_call(request).request_id = found.request_id
        receipt = ledger.find_receipt(workspace.model, found.request_id)
        if receipt is None:
            raise Problem(404, "no-receipt", "there is no receipt of this request; one is issued after an erasure")
        if receipt.destroyed_at is not None:
            raise Problem(410, "receipt-destroyed", "what the receipt said was destroyed when its retention ended")
        return Response(read_issued(workspace, ledger, receipt), media_type="application/json")


def _add_health(app: FastAPI, ledger: Ledger) -> None:
    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz", responses={**document_problems()})
    def tell_health() -> HealthForm:
        """Tell whether requests can be taken."""
        ledger.require_models()
        return HealthForm()


def _find(ledger: Ledger, request_id: str) -> Any:
    try:
        return ledger.get_request(request_id)
    except InputError:
        raise Problem(404, "no-such-request", "there is no such request") from None


async def _answer_problem(request: Request, problem: Problem) -> Response:
    get_call(request).outcome = problem.code
    return answer_problem(problem, request.url.path)


async def _answer_faults(request: Request, error: RequestValidationError) -> Response:
    faults = tell_faults(error.errors())
    first = f"{faults[0].pointer}: {faults[0].detail}"
    status = 400 if request.url.path.startswith(OPENDSR) else 422
    return await _answer_problem(request, Problem(status, "faulty", first, errors=faults))


async def _answer_http(request: Request, error: HTTPException) -> Response:
    code, detail = HTTP_PROBLEMS.get(error.status_code, ("refused", "it is refused"))
    return await _answer_problem(request, Problem(error.status_code, code, detail, error.headers))


async def _answer_failure(request: Request, error: Exception) -> Response:
    tell_failure(error)
    return await _answer_problem(request, make_failed())


async def _answer_unavailable(request: Request, error: AmunError) -> Response:
    tell_fault(str(error))
    return await _answer_problem(request, make_unavailable("the ledger or the key store"))
