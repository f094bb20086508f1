"""What every call of a program needs: a token with the scope, and where there is a body one that is JSON."""

from typing import Any

from fastapi import Request, Security
from fastapi.security import HTTPBearer

from amun.ledger.api_tokens import Scope
from flows.api.guard import CALL
from flows.api.log import Call
from flows.api.problems import Problem


def require(scope: Scope) -> Any:
    """Returns the dependency that lets only tokens with a scope go on; the guard has found out whose call it is."""

    async def check(request: Request) -> None:
        if scope not in get_call(request).scopes:
            challenge = f'Bearer realm="amun", error="insufficient_scope", scope="{scope}"'
            raise Problem(
                403, "no-scope", f"this token has not the scope {scope}; use another", {"WWW-Authenticate": challenge}
            )

    bearer = HTTPBearer(auto_error=False, scheme_name="token", description="Drawn by `amun api token add`.")
    return [Security(bearer), Security(check)]


def get_call(request: Request) -> Call:
    """Returns what the log is to tell of a call."""
    call: Call = request.scope[CALL]
    return call


async def check_json(request: Request) -> None:
    """Refuses a body that is not JSON by its own head."""
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "no-json", "the body has to be JSON; send it with `Content-Type: application/json`")
