"""Routes that read strictly: the credential first, then the address, then the body, then the models.

`router()` makes a router of such routes; `declares()` says of a route which operation of the permission table it is.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from fastapi import APIRouter
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.arguments import ABSENT, Arguments
from api.bodies import read_json
from api.doorkeeper import Doorkeeper
from domain.refusals import InputError, Invalid, Refusal

PARAMETER_CHARACTERS_MAX = 2_048
PARAMETERS_MAX = 100


def router(tag: str, *, prefix: str = "/v1") -> APIRouter:
    """A router of strict routes, grouped under `tag` in the reference."""
    return APIRouter(
        prefix=prefix,
        route_class=StrictRoute,
        tags=[tag],
        redirect_slashes=False,
        generate_unique_id_function=lambda route: f"{tag.lower().replace(' ', '_')}.{route.name.strip('_')}",
    )


def declares(
    operation: str | Sequence[str],
    *,
    answer: type[BaseModel] | None = None,
    status: int = 200,
    also: int | None = None,
    refuses: Sequence[int] = (),
) -> dict[str, Any]:
    """Keywords of a route: its row or rows of the permission table, the model and status of its answer (`also` is a
    second status with it) and the refusals it adds to those that every route may give (400, 401, 403, 404, 422, 429,
    503)."""
    statuses = [status] if also is None else [status, also]
    return {
        "openapi_extra": {"x-operation": operation, "x-refuses": sorted(refuses)},
        "responses": {one: {"model": answer} for one in statuses} if answer is not None else None,
        "status_code": status,
        "response_class": Response,
        "response_model": None,
    }


class StrictRoute(APIRoute):
    """A route that accepts only what it declares. With `x-public` in `openapi_extra` it needs no credential; with
    `x-streamed` it reads its body itself."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        handle = self.get_route_handler()

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive, send)
            await (await handle(request))(scope, receive, send)

        self.app = answer  # without the framework's stacks for dependencies that end after the answer: there are none

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint, with the strict reading before it."""
        arguments, endpoint, extra = Arguments(self.dependant, self.path), self.endpoint, self.openapi_extra or {}
        is_public, reads_json = bool(extra.get("x-public")), self.body_field is not None and not extra.get("x-streamed")

        async def handle(request: Request, keeper: Doorkeeper) -> Response:
            pairs = _read_address(request, arguments.repeatable)
            body = await _read_body(request, keeper) if reads_json else ABSENT
            response: Response = await endpoint(**arguments.bind(request, pairs, body))
            return response

        async def strict(request: Request) -> Response:
            keeper: Doorkeeper = request.app.state.keeper
            if is_public:
                return await handle(request, keeper)
            await keeper.admit(request)
            try:
                return await handle(request, keeper)
            except (RequestValidationError, Refusal):
                # A stranger learns only that it is one, whatever else is wrong with the request.
                await keeper.prove(request)
                raise

        return strict


async def _read_body(request: Request, keeper: Doorkeeper) -> Any:
    settings = keeper.settings
    return await read_json(
        request,
        bytes_max=settings.json_body_bytes_max,
        stall_seconds=settings.body_stall_seconds,
        total_seconds=settings.body_total_seconds,
    )


def _read_address(request: Request, known: Mapping[str, bool]) -> list[tuple[str, str]]:
    """The parameters of the query. Refuses what is no UTF-8 text in the path or query, and parameters that are unknown
    or given twice; `known` says of each whether it may be repeated."""
    faults: list[InputError] = []
    pairs: list[tuple[str, str]] = []
    raw: bytes = request.scope["raw_path"]
    if b"%" in raw:
        try:
            path = unquote_to_bytes(raw).decode("utf-8")
        except UnicodeDecodeError:
            path = "\0"
        if any(character < " " or character == "\x7f" for character in path):
            faults.append(InputError("/path", "control characters or no UTF-8"))
    query: bytes = request.scope["query_string"]
    if query:
        try:
            pairs = parse_qsl(
                query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS_MAX
            )
        except (UnicodeDecodeError, ValueError):
            faults.append(InputError("/query", f"no UTF-8, or more than {PARAMETERS_MAX} parameters"))
        faults += _query_faults(pairs, known)
    if faults:
        raise Invalid("The address holds parameters that cannot be read; `errors` says which.", errors=faults[:20])
    return pairs


def _query_faults(pairs: Sequence[tuple[str, str]], known: Mapping[str, bool]) -> list[InputError]:
    faults, seen = [], set()
    for name, value in pairs:
        place = "/query/" + name[:80].replace("~", "~0").replace("/", "~1")
        if name not in known:
            faults.append(InputError(place, "unknown parameter"))
        elif name in seen and not known[name]:
            faults.append(InputError(place, "given twice"))
        elif "\0" in value:
            faults.append(InputError(place, "NUL character"))
        elif len(value) > PARAMETER_CHARACTERS_MAX:
            faults.append(InputError(place, f"longer than {PARAMETER_CHARACTERS_MAX} characters"))
        seen.add(name)
    return faults
