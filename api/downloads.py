"""Downloads of files that somebody else made: always an attachment, never rendered, one range at most."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from typing import BinaryIO
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import StreamingResponse

from api.errors import DoorRefusal

CHUNK_BYTES = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class RangeNotSatisfiable(DoorRefusal):
    """The range asked for lies outside the file."""

    status = 416
    code = "range-not-satisfiable"

    def __init__(self, size: int) -> None:
        super().__init__(f"The file has {size} bytes.", headers={"Content-Range": f"bytes */{size}"})


def download(
    request: Request, file: BinaryIO, size: int, digest: str, filename: str, media_type: str
) -> StreamingResponse:
    """The answer that hands out an open file; `digest` is its SHA-256 in hex. Closes the file.

    Several ranges, or one that is not understood, answer the whole file (RFC 9110 section 14.2).
    Raises RangeNotSatisfiable.
    """
    try:
        first, last = _wanted(request, size, digest)
    except RangeNotSatisfiable:
        file.close()
        raise
    is_part = (first, last) != (0, size - 1) or _asks(request, digest) is not None
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Disposition": content_disposition(filename),
        "Content-Length": str(last - first + 1),
        "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
        "ETag": f'"{digest}"',
        "Repr-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(digest)).decode()}:",
        "Content-Type": media_type,  # set here, or the framework would add a charset of its own
    }
    if is_part:
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    return StreamingResponse(_bytes(file, first, last - first + 1), 206 if is_part else 200, headers)


def content_disposition(filename: str) -> str:
    """An attachment under this name (RFC 6266): plain ASCII for old readers, UTF-8 percent-encoded for the others."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


def _asks(request: Request, digest: str) -> re.Match[str] | None:
    """The one range asked for, None where there is none to obey."""
    condition = request.headers.get("if-range")
    if condition is not None and condition != f'"{digest}"':
        return None
    found = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", "").lower()[:64])
    return found if found and (found[1] or found[2]) else None


def _wanted(request: Request, size: int, digest: str) -> tuple[int, int]:
    found = _asks(request, digest)
    if found is None:
        return 0, size - 1
    if not found[1]:
        first, last = max(0, size - int(found[2])), size - 1
    else:
        first, last = int(found[1]), min(int(found[2]) if found[2] else size - 1, size - 1)
    if first >= size or (found[1] and found[2] and int(found[2]) < first) or first > last:
        raise RangeNotSatisfiable(size)
    return first, last


async def _bytes(file: BinaryIO, first: int, left: int) -> AsyncIterator[bytes]:
    try:
        file.seek(first)
        while left > 0:
            block = await asyncio.to_thread(file.read, min(CHUNK_BYTES, left))
            if not block:
                return
            left -= len(block)
            yield block
    finally:
        file.close()
