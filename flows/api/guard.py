"""What stands before every call: who asks, how often, how much they send, how slowly; and a line of the log after it.

Nobody is listened to before their token is known. A path is told as its pattern and a query is refused: either may
name a person by mistake.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from time import monotonic
from typing import Any

from starlette.concurrency import run_in_threadpool

from amun.core.errors import AmunError
from amun.ledger import ApiToken
from amun.ledger.api_tokens import TOKEN
from flows.api.log import OPEN_PATHS, Call, describe_call, print_line, tell_failure, tell_fault
from flows.api.problems import Problem, answer_problem

Message = MutableMapping[str, Any]
CallScope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[CallScope, Receive, Send], Awaitable[None]]

MAX_BODY = 16 * 1024  # bytes; a demand of the longest id and reference in escapes takes half
WAIT_SECONDS = 20.0  # for a whole body
HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
CALL = "amun.call"  # in the scope
FAILED = "failed"


class GoneError(Exception):
    """Whoever called went away before the call was whole: it is none, and nobody waits for an answer."""


class RateLimit:
    """Lets each token make so many calls a second, and twice as many at once after a pause."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._kept: dict[str, tuple[float, float]] = {}

    def take(self, name: str, now: float) -> float:
        """Returns 0 and counts a call, or else returns the seconds to wait and counts none."""
        most = max(1.0, 2 * self._per_second)
        left, since = self._kept.get(name, (most, now))
        left = min(most, left + (now - since) * self._per_second)
        waits = left < 1
        self._kept[name] = (left - (not waits), now)
        return (1 - left) / self._per_second if waits else 0.0


class Guard:
    """Lets a call through to the application, or answers it."""

    def __init__(
        self,
        application: Application,
        find_token: Callable[[str], ApiToken | None],
        rate: float,
        write: Callable[[str], object] | None = None,
    ) -> None:
        """Takes what is guarded, what knows the tokens, calls a second for each, and where the log's lines go."""
        self._application, self._find_token, self._limit = application, find_token, RateLimit(rate)
        self._write, self._is_mute = write or print_line, False

    async def __call__(self, scope: CallScope, receive: Receive, send: Send) -> None:
        """Answers one call; what is no call of HTTP is the application's own."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        began, call, is_told = monotonic(), Call(), False
        scope[CALL] = call

        def tell(status: int) -> None:
            nonlocal is_told
            is_told = True
            self._tell(describe_call(scope, call, status, monotonic() - began))

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
                # before the answer: nobody has one of which there is no line
                tell(message["status"])
            await send(message)

        try:
            await self._let_through(scope, receive, answer, call)
        except Exception as error:
            if call.outcome != FAILED:
                tell_failure(error)
            if not is_told:
                call.outcome = FAILED
                await answer_problem(make_failed(), scope["path"])(scope, receive, answer)
        finally:
            if not is_told:
                tell(0)

    def _tell(self, line: str) -> None:
        """Writes a line of the log. Where that fails, nothing more is done for anybody until one can be written."""
        try:
            self._write(line)
        except (OSError, ValueError) as error:
            if not self._is_mute:
                tell_fault(f"the log cannot be written, so that no call is taken: {type(error).__name__}")
            self._is_mute = True
        else:
            self._is_mute = False

    async def _let_through(self, scope: CallScope, receive: Receive, send: Send, call: Call) -> None:
        try:
            if self._is_mute:
                raise Problem(503, "unavailable", "the log cannot be written now; say it again", {"Retry-After": "5"})
            if scope["query_string"]:
                raise Problem(400, "query", "no query is taken: what names somebody belongs into the body")
            if scope["path"] not in OPEN_PATHS:
                call.token = await self._admit(scope)
            body = await _read_body(scope, receive)
        except GoneError:
            call.outcome = "gone"
            return
        except Problem as problem:
            call.outcome = problem.code
            await answer_problem(problem, scope["path"])(scope, receive, send)
            return
        except AmunError as error:
            tell_fault(str(error))
            call.outcome = "unavailable"
            await answer_problem(make_unavailable(), scope["path"])(scope, receive, send)
            return
        await self._application(scope, _replay(body, receive), send)

    async def _admit(self, scope: CallScope) -> ApiToken:
        """Returns whose call it is.

        Raises:
            Problem: nobody's, or it is one too many.
            AmunError: the ledger does not answer.
        """
        given = b"".join(value for name, value in scope["headers"] if name == b"authorization").decode("latin-1")
        scheme, _, text = given.partition(" ")
        token = None
        # what has not the form of a token is not looked for
        if scheme.lower() == "bearer" and TOKEN.fullmatch(text := text.strip()):
            token = await run_in_threadpool(self._find_token, text)
        if token is None:
            detail = "the token is missing or opens nothing; send it as `Authorization: Bearer TOKEN`"
            raise Problem(401, "no-token", detail, {"WWW-Authenticate": 'Bearer realm="amun"'})
        if seconds := self._limit.take(token.name, monotonic()):
            wait = str(int(seconds) + 1)
            raise Problem(429, "too-many", f"too many calls with this token; wait {wait} s", {"Retry-After": wait})
        return token


def make_unavailable(what: str = "the ledger") -> Problem:
    """Returns the problem that nothing can be recorded or looked up now."""
    return Problem(503, "unavailable", f"{what} cannot be asked now; say it again", {"Retry-After": "5"})


def make_unrecorded() -> Problem:
    """Returns the problem that a demand was refused by the ledger; why, its line says, which may quote the demand."""
    tell_fault("a demand could not be recorded; `amun status` may say why")
    return make_unavailable()


def make_failed() -> Problem:
    """Returns the problem that is a fault of ours."""
    return Problem(500, FAILED, "it failed here, and the service's log says where; say it again later")


async def _read_body(scope: CallScope, receive: Receive) -> bytes:
    """Returns a call's whole body.

    Raises:
        Problem: it is too long, or does not come.
        GoneError: it broke off; what has come of it is no demand (RFC 9112, 8).
    """
    too_long = Problem(413, "too-long", f"the body has more than {MAX_BODY} bytes", {"Connection": "close"})
    told = b"".join(value for name, value in scope["headers"] if name == b"content-length")
    if told.isdigit() and int(told) > MAX_BODY:
        raise too_long
    body, is_more = b"", True
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while is_more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise GoneError
                body += message.get("body", b"")
                if len(body) > MAX_BODY:
                    raise too_long
                is_more = message.get("more_body", False)
    except TimeoutError:
        late = f"the body did not come within {WAIT_SECONDS:g} s"
        raise Problem(408, "too-slow", late, {"Connection": "close"}) from None
    return body


def _replay(body: bytes, receive: Receive) -> Receive:
    given = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return given.pop() if given else await receive()

    return replay
