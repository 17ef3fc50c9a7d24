"""Problems: every error is `application/problem+json` (RFC 9457), and every `type` is a page one can read."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from api.pages import PlainRoute, page
from domain.refusals import InputError, Missing, Refusal

MEDIA_TYPE = "application/problem+json; charset=utf-8"

# code: (title, what to do). Codes that the rules add later are shown with a title made from the code.
PROBLEMS: Mapping[str, tuple[str, str]] = {
    "unauthenticated": (
        "Authentication needed",
        "Send an API key or an access token as `Authorization: Bearer ...`. A revoked or expired one reads like none.",
    ),
    "forbidden": (
        "Not allowed",
        "The roles of this key do not allow the operation. Ask a tenant administrator, or use another key.",
    ),
    "not-found": (
        "Not found",
        "There is nothing at this address that you can see. Check the id and the permissions of the key.",
    ),
    "method-not-allowed": (
        "Method not allowed",
        "The header `Allow` lists the methods of this address.",
    ),
    "invalid-input": (
        "Invalid input",
        "`errors` lists each fault: a JSON pointer into the body (or /query, /path, /headers) and the reason.",
    ),
    "invalid-json": (
        "Invalid JSON",
        (
            "The body is not JSON as we accept it: UTF-8, no duplicate keys, no NaN, no NUL, integers within "
            "2^53-1, at most 64 levels deep."
        ),
    ),
    "invalid-cursor": (
        "Invalid cursor",
        "A cursor continues exactly the list it came from: same filters, same sort, same tenant.",
    ),
    "unsupported-media-type": (
        "Unsupported media type",
        "Send `Content-Type: application/json`, not compressed.",
    ),
    "payload-too-large": (
        "Body too large",
        "The body is larger than this address accepts.",
    ),
    "body-timeout": (
        "Body too slow",
        "The body stopped arriving before it was complete. Send it again.",
    ),
    "state-conflict": (
        "Conflict with the present state",
        "`current` says which state that is. Read the thing again and decide anew.",
    ),
    "gate-refused": (
        "A gate refuses this",
        "`gate` names the rule, `missing` what has to be supplied first. The refusal is in the timeline.",
    ),
    "precondition-failed": (
        "Changed in the meantime",
        "`If-Match` names a version that is not the present one. Read again and repeat the change.",
    ),
    "external-reference-exists": (
        "External reference known",
        "`current` names the incident that carries this reference.",
    ),
    "idempotency-key-reused": (
        "Idempotency key reused",
        "This `Idempotency-Key` answered another request. Use a new key for a new request.",
    ),
    "idempotency-in-flight": (
        "Request in flight",
        "A request with this `Idempotency-Key` is being worked on. Repeat it after `Retry-After` seconds.",
    ),
    "documentation-incomplete": (
        "Documentation incomplete",
        "`missing` lists the items and actions that have to be complete before the incident can be signed off.",
    ),
    "rate-limited": (
        "Too many requests",
        "Wait `Retry-After` seconds. `RateLimit` says what is left.",
    ),
    "unavailable": (
        "Temporarily unavailable",
        (
            "Nothing was lost that was acknowledged. Repeat the request after `Retry-After` seconds, with "
            "the same `Idempotency-Key`."
        ),
    ),
    "misdirected": (
        "Unknown host",
        "The service does not answer to this host name.",
    ),
    "headers-too-large": (
        "Headers too large",
        "All headers together are larger than 16 kB.",
    ),
    "headers-timeout": (
        "Headers too slow",
        "Request line and headers have to arrive within ten seconds.",
    ),
    "invalid-http": (
        "Not HTTP as we read it",
        "The bytes are no HTTP/1.1 request, or one that two servers could read differently.",
    ),
    "uri-too-long": (
        "Address too long",
        "The address is longer than 8 kB.",
    ),
    "internal-error": (
        "Our mistake",
        (
            "Something failed on our side. Report the `request_id`; repeating the request is safe with an "
            "`Idempotency-Key`."
        ),
    ),
}


def title_of(code: str) -> str:
    """The title of a problem; one made from the code when the code has none of its own."""
    return PROBLEMS[code][0] if code in PROBLEMS else code.replace("-", " ").capitalize()


def problem(
    status: int,
    code: str,
    detail: str,
    request_id: str,
    *,
    errors: Sequence[InputError] = (),
    missing: Sequence[Missing] = (),
    current: Mapping[str, object] | None = None,
    gate: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer that tells of a problem. Members without a value are left out."""
    members: dict[str, Any] = {
        "type": f"/problems/{code}",
        "title": title_of(code),
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
    if errors:
        members["errors"] = [{"pointer": error.pointer, "reason": error.reason} for error in errors]
    if gate is not None:
        members["gate"] = gate
    if current is not None:
        members["current"] = current
    if missing or gate is not None:
        members["missing"] = [msgspec.to_builtins(one) for one in missing]
    return Response(orjson.dumps(members, default=str), status, headers, MEDIA_TYPE)


def problem_of(refusal: Refusal, status: int, request_id: str) -> Response:
    """The answer for a refusal of the rules."""
    return problem(
        status,
        refusal.code,
        refusal.detail,
        request_id,
        errors=refusal.errors,
        missing=refusal.missing,
        current=refusal.current,
        gate=refusal.gate,
        headers=refusal.headers,
    )


async def _page(request: Request) -> Response:
    code = request.path_params["code"]
    known = PROBLEMS.get(code)
    if known is None and not (code.isascii() and code.replace("-", "").isalnum() and len(code) <= 60):
        code, known = "not-found", PROBLEMS["not-found"]
    text = known[1] if known else "The `detail` of the answer says what was refused and what would be accepted."
    body = f"<h1>{html.escape(title_of(code))}</h1><p><code>{html.escape(code)}</code></p><p>{html.escape(text)}</p>"
    return HTMLResponse(page(title_of(code), body))


async def _index(request: Request) -> Response:
    rows = "".join(
        f'<tr><td><a href="/problems/{code}"><code>{code}</code></a><td>{html.escape(title)}'
        for code, (title, _) in PROBLEMS.items()
    )
    return HTMLResponse(page("Problems", f"<h1>Problems</h1><table>{rows}</table>"))


ROUTES = [PlainRoute("/problems/{code}", _page, methods=["GET"]), PlainRoute("/problems", _index, methods=["GET"])]
