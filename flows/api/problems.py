"""What is wrong with a call, as RFC 9457 has it: `application/problem+json`, a line for people, a code for programs.

No problem repeats what was sent: it may name a person, and answers end in other programs' logs.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel

MEDIA_TYPE = "application/problem+json"
OPENDSR = "/v2/"  # what lies below speaks OpenDSR, errors too
MAX_FAULTS = 20  # that are told of one call
# what pydantic would tell by the pattern
FORMS = {
    "Idempotency-Key": "it is missing or none; send 1 to 255 printable characters of ASCII without blanks",
    "request_id": "it is no id of a request; write it as it was answered: R-000001",
}


class FaultForm(BaseModel):
    """A fault of a part of the body or the head."""

    pointer: str
    detail: str


class ProblemForm(BaseModel):
    """A problem as it is sent; `type` is `about:blank`, so that `title` is the status in words."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FaultForm] = []


class RefusedPart(BaseModel):
    """A fault as OpenDSR has it (section 7.6)."""

    domain: str
    reason: str
    message: str


class Refusal(BaseModel):
    """A problem as OpenDSR has it; `code` is the status of HTTP."""

    code: int
    message: str
    errors: list[RefusedPart]


class RefusalForm(BaseModel):
    """A problem below `OPENDSR`."""

    error: Refusal


class Problem(Exception):  # noqa: N818 - the standard's word
    """What is wrong with a call.

    Attributes:
        status: of HTTP.
        code: which problem it is, for programs.
        detail: what was wrong and what to do, in one line.
        headers: that go with it.
        errors: each fault with the place in the call that has it.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FaultForm] = (),
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.headers, self.errors = headers or {}, errors


def answer_problem(problem: Problem, path: str = "") -> JSONResponse:
    """Returns the response that tells a problem; below `OPENDSR` as that standard has it."""
    if path.startswith(OPENDSR):
        return _answer_refusal(problem)
    title = HTTPStatus(problem.status).phrase
    form = ProblemForm(
        type="about:blank",
        title=title,
        status=problem.status,
        detail=problem.detail,
        code=problem.code,
        errors=list(problem.errors),
    )
    content = form.model_dump(exclude_defaults=True)
    return JSONResponse(content, problem.status, dict(problem.headers), media_type=MEDIA_TYPE)


def _answer_refusal(problem: Problem) -> JSONResponse:
    found = [RefusedPart(domain=one.pointer, reason=problem.code, message=one.detail) for one in problem.errors]
    part = RefusedPart(domain="request", reason=problem.code, message=problem.detail)
    refusal = Refusal(code=problem.status, message=problem.detail, errors=found or [part])
    return JSONResponse({"error": refusal.model_dump()}, problem.status, dict(problem.headers))


def tell_faults(errors: Sequence[Mapping[str, Any]]) -> list[FaultForm]:
    """Returns what pydantic says of a call, without what was sent."""
    # the same one of many fields is told once
    found = {(fault.pointer, fault.detail): fault for fault in map(_describe, errors)}
    return list(found.values())[:MAX_FAULTS]


def _describe(error: Mapping[str, Any]) -> FaultForm:
    where, *names = [str(part) for part in error["loc"]]
    if error["type"] == "extra_forbidden":
        # its name is the sender's, and may be anybody's
        return FaultForm(
            pointer="#",
            detail="no demand has this field; there are subject_id, received_at, reference, law, is_verified",
        )
    if error["type"] == "json_invalid":
        return FaultForm(pointer="#", detail="the body is no JSON")
    if where in ("header", "path") and names[-1] in FORMS:
        return FaultForm(pointer=f"{where} {names[-1]}", detail=FORMS[names[-1]])
    pointer = "#" + "".join(f"/{name}" for name in names) if where == "body" else f"{where} {' '.join(names)}"
    return FaultForm(pointer=pointer, detail=error["msg"].removeprefix("Value error, "))


def document_problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns these problems as a schema has them, with those that every call may have."""
    return _document(MEDIA_TYPE, ProblemForm, statuses)


def document_refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns the same for what speaks OpenDSR."""
    return _document("application/json", RefusalForm, statuses)


def inline_schema(form: type[BaseModel]) -> dict[str, Any]:
    """Returns a form's schema with its parts written where they are used: it stands inside of another schema."""
    schema = form.model_json_schema()
    parts = schema.pop("$defs", {})

    def inline(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return inline(parts[node["$ref"].rpartition("/")[2]])
            return {name: inline(value) for name, value in node.items()}
        return [inline(value) for value in node] if isinstance(node, list) else node

    inlined: dict[str, Any] = inline(schema)
    return inlined


def _document(media_type: str, form: type[BaseModel], statuses: Sequence[int]) -> dict[int | str, dict[str, Any]]:
    schema = {"schema": inline_schema(form)}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {media_type: schema}}
        for status in sorted({*statuses, 400, 401, 403, 405, 408, 413, 429, 500, 503})
    }
