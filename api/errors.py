"""From a refusal to a status: the one place where the kinds of the rules meet HTTP."""

from collections.abc import Sequence

import asyncpg
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match

from api.problems import problem, problem_of
from app.authentication import Unauthenticated
from app.database import DatabaseAway
from domain.refusals import Conflict, Forbidden, InputError, Invalid, NotFound, Refusal

log = structlog.get_logger("holdfast.api")


class DoorRefusal(Refusal):
    """A refusal of the door itself: about HTTP, not about incidents. Carries its own status."""

    status = 400
    code = "invalid-input"


class Malformed(DoorRefusal):
    """The request cannot be read."""

    code = "invalid-json"

    def __init__(self, detail: str, errors: Sequence[InputError] = ()) -> None:
        super().__init__(detail, errors=errors)


class TooLarge(DoorRefusal):
    """The body exceeds what this address takes. The connection closes: the rest is not read."""

    status = 413
    code = "payload-too-large"

    def __init__(self, bytes_max: int) -> None:
        super().__init__(f"The body may have at most {bytes_max} bytes.", headers={"Connection": "close"})


class BodyTimeout(DoorRefusal):
    """The body stopped arriving."""

    status = 408
    code = "body-timeout"

    def __init__(self) -> None:
        super().__init__("The body did not arrive in time. Send the request again.", headers={"Connection": "close"})


class UnsupportedMediaType(DoorRefusal):
    """The body is of a kind this address does not take."""

    status = 415
    code = "unsupported-media-type"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"Accept": "application/json", "Accept-Encoding": "identity"})


class RateLimited(DoorRefusal):
    """Too many requests. `retry_after` in whole seconds."""

    status = 429
    code = "rate-limited"

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"Too many requests. Wait {retry_after} s.", headers={"Retry-After": str(retry_after)})


class Unavailable(DoorRefusal):
    """The service cannot do this now and knows that it may be repeated."""

    status = 503
    code = "unavailable"

    def __init__(self, retry_after: int = 2) -> None:
        super().__init__(
            "The service cannot answer now. Repeat the request in a moment; with an Idempotency-Key that is safe.",
            headers={"Retry-After": str(retry_after)},
        )


STATUS_OF_CODE = {"precondition-failed": 412}
STATUS_OF_KIND: tuple[tuple[type[Refusal], int], ...] = (
    (Unauthenticated, 401),
    (NotFound, 404),
    (Forbidden, 403),
    (Invalid, 422),
    (Conflict, 409),
)
CODE_OF_STATUS = {400: "invalid-input", 401: "unauthenticated", 403: "forbidden", 404: "not-found"} | {
    405: "method-not-allowed",
    413: "payload-too-large",
    415: "unsupported-media-type",
}
# The database cannot work now; what else it says of being away, `app.database` has already put into these words.
AWAY = (DatabaseAway, asyncpg.TransactionRollbackError, asyncpg.InvalidCachedStatementError)
REASONS = {
    "extra_forbidden": "unknown field",
    "missing": "needed",
    "timezone_aware": "needs a time zone, as in 2026-01-31T00:00:00Z",
}


def status_of(refusal: Refusal) -> int:
    """The HTTP status of a refusal."""
    if isinstance(refusal, DoorRefusal):
        return refusal.status
    if refusal.code in STATUS_OF_CODE:
        return STATUS_OF_CODE[refusal.code]
    return next((status for kind, status in STATUS_OF_KIND if isinstance(refusal, kind)), 409)


def install(api: FastAPI) -> None:
    """Let every error of the application leave as a problem."""
    api.add_exception_handler(Refusal, _refusal)
    api.add_exception_handler(RequestValidationError, _validation)
    api.add_exception_handler(HTTPException, _http)
    for kind in AWAY:
        api.add_exception_handler(kind, _away)
    api.add_exception_handler(asyncpg.DataError, _data)


def request_id(request: Request) -> str:
    """The id of this request, as the answer's `X-Request-Id` shows it."""
    return str(request.scope.get("holdfast.request_id", "-"))


def input_errors(error: RequestValidationError) -> list[InputError]:
    """The faults of a body or parameter as pointers: of the body plainly, of others under /query, /path, /headers.

    What the caller sent is never repeated.
    """
    faults = []
    for one in error.errors():
        place, *rest = one["loc"]
        parts = [str(part).replace("~", "~0").replace("/", "~1")[:80] for part in rest]
        names = {"query": ["query"], "path": ["path"], "header": ["headers"]}.get(str(place), [])
        kind = str(one["type"])
        reason = REASONS.get(kind) or str(one["msg"]).removeprefix("Value error, ")
        faults.append(InputError("".join(f"/{part}" for part in names + parts), reason[:300]))
    return faults


async def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    status = status_of(error)
    if status in {401, 403, 429}:
        request.scope["holdfast.refused"] = error.code  # for the line that the request gets anyway
    return problem_of(error, status, request_id(request))


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = input_errors(error)
    detail = f"{len(faults)} fault{'s' if len(faults) != 1 else ''} in the request; `errors` says where."
    return problem(422, "invalid-input", detail, request_id(request), errors=faults[:50])


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 404:
        return problem_of(NotFound(), 404, request_id(request))
    if error.status_code == 405:
        headers["Allow"] = ", ".join(allowed_methods(request))
        detail = f"This address answers to {headers['Allow']}."
        return problem(405, "method-not-allowed", detail, request_id(request), headers=headers)
    code = CODE_OF_STATUS.get(error.status_code, "invalid-input")
    return problem(error.status_code, code, "The request cannot be read.", request_id(request), headers=headers)


async def _away(request: Request, error: Exception) -> Response:
    log.warning("database away", error=type(error).__name__)
    seconds = error.retry_after_seconds if isinstance(error, DatabaseAway) else 1
    return problem_of(Unavailable(seconds), 503, request_id(request))


async def _data(request: Request, error: Exception) -> Response:
    """A value the database cannot hold although the models let it pass: the caller's fault, and a gap of ours."""
    log.error("value refused by the database", error=type(error).__name__)
    return problem(422, "invalid-input", "A value is outside the range that can be kept.", request_id(request))


def allowed_methods(request: Request) -> list[str]:
    """Every method that some route of this path takes, HEAD with GET."""
    routes: Sequence[BaseRoute] = request.app.router.routes
    found: set[str] = set()
    for route in routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    if "GET" in found:
        found.add("HEAD")
    return sorted(found)
