"""Reading an upload as it arrives: a raw body, or one file among the fields of a form. Nothing is held in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from api.bodies import check_encoding, declared_length, read_parts
from api.errors import BodyTimeout, DoorRefusal, Malformed, TooLarge
from domain.refusals import InputError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FIELDS_MAX = 20
FIELD_BYTES_MAX = 16_384
NAME_BYTES_MAX = 4_096
AROUND_FILE_BYTES_MAX = 512 * 1024  # the fields and boundaries of a form, beside the file
UPLOAD_SECONDS_MAX = 3_600.0

Sink = Callable[[bytes], Awaitable[None]]


class InvalidForm(Malformed):
    """The form cannot be read."""

    code = "invalid-form"


class Interrupted(DoorRefusal):
    """The caller went away before the body was complete. Nobody reads this."""

    status = 400
    code = "body-incomplete"

    def __init__(self) -> None:
        super().__init__("The body ended before it was complete.", headers={"Connection": "close"})


@dataclass(slots=True)
class Upload:
    """What came beside the bytes of the file: its name as the caller gave it, and the fields of the form."""

    filename: str | None = None
    fields: dict[str, str] = field(default_factory=dict)


async def read_upload(request: Request, sink: Sink, *, file_bytes_max: int, stall_seconds: float) -> Upload:
    """Pass the file on to `sink` as it arrives. Sizes count what was received, whatever Content-Length says.

    Raises TooLarge, BodyTimeout, Interrupted, InvalidForm and UnsupportedMediaType.
    """
    check_encoding(request)
    kind, options = parse_options_header(request.headers.get("content-type"))
    is_form = kind == b"multipart/form-data"
    length = declared_length(request)
    if length is not None and length > file_bytes_max + (AROUND_FILE_BYTES_MAX if is_form else 0):
        raise TooLarge(file_bytes_max)
    counted = _Counted(sink, file_bytes_max)
    try:
        async with asyncio.timeout(UPLOAD_SECONDS_MAX):
            parts = read_parts(request, stall_seconds)
            if is_form:
                return await _read_form(parts, options.get(b"boundary", b""), counted)
            async for part in parts:
                await counted.take(part)
            return Upload()
    except TimeoutError:
        raise BodyTimeout from None
    except ClientDisconnect:
        raise Interrupted from None


class _Counted:
    """The sink, with a limit on what it takes."""

    def __init__(self, sink: Sink, bytes_max: int) -> None:
        self._sink = sink
        self._bytes_max = bytes_max
        self._size = 0

    async def take(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._bytes_max:
            raise TooLarge(self._bytes_max)
        await self._sink(data)


async def _read_form(parts: AsyncIterator[bytes], boundary: bytes, counted: _Counted) -> Upload:
    if not boundary:
        raise InvalidForm("The Content-Type of a form names its boundary.")
    form = _Form()
    around = 0
    try:
        parser = MultipartParser(boundary, form.callbacks())
        async for part in parts:
            around += len(part)
            parser.write(part)
            for piece in form.arrived:
                around -= len(piece)
                await counted.take(piece)
            form.arrived.clear()
            if around > AROUND_FILE_BYTES_MAX:
                raise TooLarge(AROUND_FILE_BYTES_MAX)
    except FormParserError:
        raise InvalidForm("The body is not a well-formed multipart/form-data.") from None
    if not form.is_complete:
        raise InvalidForm("The form breaks off before its last boundary.")
    if not form.has_file:
        raise InvalidForm("The form has no file.", [InputError("/file", "needed")])
    return form.upload


class _Form:
    """Listens to the parser: collects fields, and the pieces of the file that the last write brought."""

    def __init__(self) -> None:
        self.upload = Upload()
        self.arrived: list[bytes] = []
        self.has_file = False
        self.is_complete = False
        self._name: str | None = None
        self._header = b""
        self._value = b""
        self._disposition = b""
        self._content = bytearray()
        self._count = 0

    def callbacks(self) -> "MultipartCallbacks":
        """What the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._complete,
        }

    def _begin(self) -> None:
        self._name, self._disposition, self._content = None, b"", bytearray()
        self._count += 1
        if self._count > FIELDS_MAX:
            raise InvalidForm(f"A form has at most {FIELDS_MAX} parts.")

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _headers(self) -> None:
        kind, options = parse_options_header(self._disposition.decode("latin-1"))
        named = options.get(b"name")
        if kind != b"form-data" or named is None or len(named) > NAME_BYTES_MAX:
            raise InvalidForm("Each part has `Content-Disposition: form-data` and a name.")
        self._name = _text(named)
        if self._name == "file":
            if self.has_file:
                raise InvalidForm("A form brings one file.", [InputError("/file", "given twice")])
            self.has_file = True
            if b"filename" in options:
                # A name is data: bytes that are no text are replaced, not refused.
                name = options[b"filename"].decode("utf-8", "replace")
                # Browsers escape these three in the header of a part (WHATWG, multipart/form-data encoding).
                self.upload.filename = name.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")
        elif b"filename" in options:
            raise InvalidForm("The file is the part called `file`.", [InputError(f"/{self._name[:80]}", "is a file")])

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._name == "file":
            self.arrived.append(data[start:end])
            return
        self._content += data[start:end]
        if len(self._content) > FIELD_BYTES_MAX:
            raise InvalidForm(f"A field has at most {FIELD_BYTES_MAX} bytes.")

    def _end(self) -> None:
        if self._name is None or self._name == "file":
            return
        if self._name in self.upload.fields:
            raise InvalidForm("A field is given twice.", [InputError(f"/{self._name[:80]}", "given twice")])
        self.upload.fields[self._name] = _text(bytes(self._content))

    def _complete(self) -> None:
        self.is_complete = True


def _text(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidForm("Names and fields of a form are UTF-8.") from None
    if "\0" in text:
        raise InvalidForm("Names and fields of a form have no NUL character.")
    return text
