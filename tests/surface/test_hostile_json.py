"""Whatever is sent to whatever address: never a failure of ours, never half a change (F2, RE2, AZ10)."""

from __future__ import annotations

import gzip
import importlib
import json
import pkgutil
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from sqlmodel import SQLModel

import app.tables
from tests.surface.contract import expect_none, faults
from tests.surface.prepared import Prepared
from tests.surface.surface import Operation, Surface

JSON = {"Content-Type": "application/json"}
Together = Callable[[Any], Awaitable[list[Any]]]
Stored = Callable[[Prepared], Awaitable[dict[str, str]]]


def with_member(body: Any, text: bytes) -> bytes:
    """A valid body with one more member, written as bytes."""
    inner = json.dumps(body).encode()[1:-1]
    return b"{" + inner + (b"," if inner else b"") + text + b"}"


def spoiled(body: Any) -> dict[str, tuple[bytes, dict[str, str]]]:
    """Each way in which a valid body is made hostile, with its headers."""
    plain = json.dumps(body).encode()
    name = next(iter(body), "title").encode()
    member = b'"' + name + b'":'
    return {
        "NUL": (with_member(body, b'"x":"a\\u0000b"'), JSON),
        "NUL in a name": (with_member(body, b'"a\\u0000b":1'), JSON),
        "raw NUL": (with_member(body, b'"x":"a\x00b"'), JSON),
        "lone surrogate": (with_member(body, b'"x":"\\ud800"'), JSON),
        "NaN": (with_member(body, b'"x":NaN'), JSON),
        "Infinity": (with_member(body, b'"x":-Infinity'), JSON),
        "1e400": (with_member(body, b'"x":1e400'), JSON),
        "duplicate key": (with_member(body, member + b"1," + member + b"2"), JSON),
        "duplicate key inside": (with_member(body, b'"x":{"a":1,"a":1}'), JSON),
        "integer past 2^53-1": (with_member(body, b'"x":9007199254740992'), JSON),
        "integer of 5000 digits": (with_member(body, b'"x":' + b"9" * 5000), JSON),
        "depth 65": (with_member(body, b'"x":' + b"[" * 64 + b"]" * 64), JSON),
        "depth 100000": (b"[" * 100_000, JSON),
        "no UTF-8": (with_member(body, b'"x":"\xff"'), JSON),
        "UTF-16": (json.dumps(body).encode("utf-16"), JSON),
        "byte order mark": (b"\xef\xbb\xbf" + plain, JSON),
        "truncated": (plain[:-1], JSON),
        "two values": (plain + plain, JSON),
        "empty text": (b" ", JSON),
        "no object": (b"[]", JSON),
        "null": (b"null", JSON),
        "a string": (b'"x"', JSON),
        "2 MiB": (with_member(body, b'"x":"' + b"y" * 2 * 1024 * 1024 + b'"'), JSON),
        "no content type": (plain, {"Content-Type": ""}),
        "form": (b"a=1&b=2", {"Content-Type": "application/x-www-form-urlencoded"}),
        "plain text": (plain, {"Content-Type": "text/plain"}),
        "XML": (
            b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
            {"Content-Type": "application/xml"},
        ),
        "latin-1": (plain, {"Content-Type": "application/json; charset=latin-1"}),
        "gzip": (gzip.compress(plain), {**JSON, "Content-Encoding": "gzip"}),
        "unknown member": (with_member(body, b'"no_such_member":1'), JSON),
        "prototype": (with_member(body, b'"__proto__":{"roles":["tenant_admin"]}'), JSON),
    }


CASES = list(spoiled({}))


@pytest.mark.parametrize("case", CASES)
async def test_no_operation_takes_a_hostile_body(
    surface: Surface, ours: Prepared, anybody: httpx.AsyncClient, together: Together, stored: Stored, case: str
) -> None:
    operations = [operation for operation in surface.operations if operation.takes_json]
    before = await stored(ours)

    async def call(operation: Operation) -> list[str]:
        content, headers = spoiled(ours.json(operation))[case]
        answer = await anybody.request(
            operation.method, ours.url(operation), content=content, headers={**ours.boss.headers, **headers}
        )
        if 400 <= answer.status_code < 500 and answer.status_code not in {401, 403, 404, 405, 409}:
            return faults(operation, answer)
        return [f"{operation} took it: {answer.status_code} {answer.text[:200]}"]

    expect_none(await together(call(operation) for operation in operations))
    assert await stored(ours) == before


def server_owned() -> set[str]:
    """Every column that the database holds."""
    for module in pkgutil.iter_modules(app.tables.__path__, "app.tables."):
        importlib.import_module(module.name)
    return {column.name for table in SQLModel.metadata.tables.values() for column in table.columns}


async def test_no_operation_lets_a_caller_write_what_the_server_owns(
    surface: Surface, ours: Prepared, anybody: httpx.AsyncClient, together: Together, stored: Stored
) -> None:
    columns, before = server_owned(), await stored(ours)
    assert {"tenant_id", "id", "created_at", "seq", "hash", "status"} <= columns

    async def call(operation: Operation) -> list[str]:
        assert operation.body is not None
        # What a body declares is the caller's to say; everything else is not. Faults are told 50 at a time.
        owned, missed = sorted(columns - set(operation.body.get("properties", {}))), []
        for start in range(0, len(owned), 40):
            some = owned[start : start + 40]
            body = {**ours.json(operation), **dict.fromkeys(some, "x")}
            answer = await anybody.request(operation.method, ours.url(operation), json=body, headers=ours.boss.headers)
            if answer.status_code != 422:
                return [f"{operation} took {some}: {answer.status_code} {answer.text[:200]}"]
            if operation.body.get("additionalProperties") is False:
                named = {fault["pointer"].lstrip("/") for fault in answer.json().get("errors", [])}
                missed += [f"{operation} passes over {name}" for name in some if name not in named]
        return missed

    operations = [operation for operation in surface.operations if operation.takes_json]
    expect_none(await together(call(operation) for operation in operations))
    assert await stored(ours) == before


HOSTILE_TEXTS = {
    "NUL": "%00",
    "NUL inside": "a%00b",
    "no UTF-8": "%ff",
    "half a surrogate": "%ed%a0%80",
    "overlong": "%c0%af",
    "line break": "%0d%0aX-Injected:%201",
    "3000 letters": "x" * 3000,
    "up": "..%2f..%2fetc%2fpasswd",
    "SQL": quote("' OR 1=1; DROP TABLE incidents; --", safe=""),
    "not an id": "nobody",
    "zero": "0",
    "minus": "-1",
    "huge": "9" * 40,
    "1e400": "1e400",
    "half an id": "01a20175-d182-72bc-bfcf",
    "id in braces": "%7B01a20175-d182-72bc-bfcf-edd2f314c022%7D",
    "other digits": quote("\u0660\u0661\u0662"),
    "right to left": quote("\u202egnp.exe"),
    "percent": "%25",
    "bad escape": "%zz",
}


@pytest.mark.parametrize("case", HOSTILE_TEXTS)
async def test_no_path_takes_a_hostile_part(
    surface: Surface, ours: Prepared, anybody: httpx.AsyncClient, together: Together, stored: Stored, case: str
) -> None:
    hostile, before = HOSTILE_TEXTS[case], await stored(ours)

    async def call(operation: Operation, spoilt: str) -> list[str]:
        url = operation.url(lambda place: hostile if place == spoilt else ours.value(place))
        request = ours.body(operation)
        headers = {**request.pop("headers", {}), **ours.boss.headers}
        answer = await anybody.request(operation.method, url, headers=headers, **request)
        if 400 <= answer.status_code < 500 and answer.status_code not in {401, 409}:
            return faults(operation, answer)
        return [f"{operation} with {spoilt}: {answer.status_code} {answer.text[:200]}"]

    # A reference to another system is any text, the system's word too; those are the one place for other names.
    targets = [
        (operation, place)
        for operation in surface.operations
        if not operation.is_public and "by-reference" not in operation.path
        for place in operation.places
    ]
    expect_none(await together(call(*target) for target in targets))
    assert await stored(ours) == before


REFUSED_QUERIES = ("%00", "%ff", "%ed%a0%80", "x" * 3000, "a%00b")
INSTANTS = ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "2026-11-22T04:00:00%2B23:59", "+infinity")
ODD_QUERIES = (
    "",
    "'",
    "-1",
    "9" * 30,
    "1e400",
    "NaN",
    "%25",
    "%5C",
    "(((",
    "*",
    quote("\u202e\u0660"),
    "null",
    "INC-1",
)


async def test_no_query_brings_a_failure(
    surface: Surface, ours: Prepared, anybody: httpx.AsyncClient, together: Together
) -> None:
    async def call(operation: Operation, query: str, is_refused: bool) -> list[str]:
        answer = await anybody.get(f"{ours.url(operation)}?{query}", headers=ours.boss.headers)
        if is_refused and answer.status_code != 422:
            return [f"{operation}?{query[:80]}: {answer.status_code} {answer.text[:200]}"]
        return [f"?{query[:80]}: {fault}" for fault in faults(operation, answer)]

    calls = []
    for operation in surface.operations:
        if operation.is_read:
            calls += [
                call(operation, query, True) for query in ("nobody=1", "limit=1&limit=2", "a" * 50 + "=1", "%ff=1")
            ]
            calls += [call(operation, f"{name}={value}", True) for name in operation.query for value in REFUSED_QUERIES]
            calls += [
                call(operation, f"{name}={value}", False)
                for name in operation.query
                for value in ODD_QUERIES + INSTANTS
            ]
    expect_none(await together(calls))


@pytest.mark.parametrize("name", ["If-Match", "Idempotency-Key", "Accept", "Range"])
async def test_no_header_brings_a_failure(
    surface: Surface, ours: Prepared, anybody: httpx.AsyncClient, together: Together, name: str
) -> None:
    async def call(operation: Operation, value: str) -> list[str]:
        request = ours.body(operation)
        if request.get("json") is not None:
            request["json"] = {**request["json"], "no_such_member": 1}
        headers = {**request.pop("headers", {}), **ours.boss.headers, name: value}
        sent = {key: text.encode("latin-1") for key, text in headers.items()}
        answer = await anybody.request(operation.method, ours.url(operation), headers=sent, **request)
        return (
            [f"{name}: {value[:40]}: {fault}" for fault in faults(operation, answer)]
            if answer.status_code >= 500
            else []
        )

    values = ("", "\xff", "x" * 300, "bytes=9-1,0-0", "text/csv;q=banana")
    reads = [operation for operation in surface.operations if operation.is_read or operation.takes_json]
    answers = await together(call(operation, value) for operation in reads for value in values)
    expect_none(answers)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain", "Content-Encoding": "gzip"},
        {"Content-Type": "multipart/form-data"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "multipart/form-data; boundary=" + "x" * 500},
    ],
    ids=str,
)
async def test_an_upload_in_a_hostile_form_is_refused(
    surface: Surface, ours: Prepared, anybody: httpx.AsyncClient, stored: Stored, headers: dict[str, str]
) -> None:
    before = await stored(ours)
    streamed = [one for one in surface.operations if one.media_types and not one.takes_json and not one.is_public]
    assert streamed
    for operation in streamed:
        for content in (
            b"",
            gzip.compress(b"x"),
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n',
            b"\0" * 100,
        ):
            answer = await anybody.request(
                operation.method, ours.url(operation), content=content, headers={**ours.boss.headers, **headers}
            )
            assert 400 <= answer.status_code < 500, answer.text
            assert faults(operation, answer) == []
    assert await stored(ours) == before


async def test_a_delivery_of_any_content_is_kept_or_refused_never_failed(
    ours: Prepared, anybody: httpx.AsyncClient
) -> None:
    hook = f"/hooks/{ours.value('/hooks/{token}')}"
    for case, (content, headers) in spoiled({"summary": "x"}).items():
        answer = await anybody.post(hook, content=content, headers=headers)
        assert answer.status_code in {202, 413}, f"{case}: {answer.status_code} {answer.text[:200]}"
