"""Reading bodies: bounded in size and in time, never decompressed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import ClientDisconnect, Request

from api.arguments import ABSENT
from api.errors import BodyTimeout, Malformed, TooLarge, UnsupportedMediaType
from api.strict_json import loads


async def read_json(request: Request, *, bytes_max: int, stall_seconds: float, total_seconds: float) -> Any:
    """Read and check a JSON body: its value, ABSENT for an empty one. `request.body()` finds its bytes again.

    Raises TooLarge, BodyTimeout, UnsupportedMediaType, Malformed and
    Invalid.
    """
    body = await read_body(request, bytes_max=bytes_max, stall_seconds=stall_seconds, total_seconds=total_seconds)
    request._body = body
    if not body:
        return ABSENT
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    kind = kind.strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise UnsupportedMediaType("Send the body as `Content-Type: application/json`.")
    if "charset" in parameters.lower() and "utf-8" not in parameters.lower():
        raise UnsupportedMediaType("JSON is UTF-8; leave the charset away.")
    return loads(body)


async def read_body(request: Request, *, bytes_max: int, stall_seconds: float, total_seconds: float) -> bytes:
    """The whole body. Raises TooLarge as soon as the size is known, BodyTimeout when it stalls or takes too long."""
    check_encoding(request)
    length = declared_length(request)
    if length is not None and length > bytes_max:
        raise TooLarge(bytes_max)
    parts, size = [], 0
    try:
        async with asyncio.timeout(total_seconds):
            async for part in read_parts(request, stall_seconds):
                size += len(part)
                if size > bytes_max:
                    raise TooLarge(bytes_max)
                parts.append(part)
    except TimeoutError:
        raise BodyTimeout from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def read_parts(request: Request, stall_seconds: float) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises BodyTimeout when nothing comes for `stall_seconds`, ClientDisconnect."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            async with asyncio.timeout_at(loop.time() + stall_seconds):
                message = await request.receive()
        except TimeoutError:
            raise BodyTimeout from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body"):
            return


def check_encoding(request: Request) -> None:
    """Refuse compressed bodies: a small one can unfold to gigabytes. Raises UnsupportedMediaType."""
    if request.headers.get("content-encoding", "identity").strip().lower() not in {"identity", ""}:
        raise UnsupportedMediaType("Send the body without Content-Encoding.")


def declared_length(request: Request) -> int | None:
    """The `Content-Length`, None when there is none. Raises Malformed when it is no number."""
    text = request.headers.get("content-length")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit():
        raise Malformed("Content-Length is not a number.")
    return int(text)
