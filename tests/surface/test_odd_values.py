"""Well-formed but odd: every member of every body with every kind of value never brings a failure of ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.surface.contract import expect_none, faults
from tests.surface.prepared import Prepared
from tests.surface.surface import Operation, Surface

Together = Callable[[Any], Awaitable[list[Any]]]
ODD: dict[str, Any] = {
    "null": None,
    "true": True,
    "negative": -1,
    "largest": 2**53 - 1,
    "empty text": "",
    "long text": "x" * 70_000,
    "controls": "a\u0001\u001b[31m\r\nb",
    "odd letters": "\u202e\ufeff\u0301\U0001f600\ufffe",
    "end of time": "9999-12-31T23:59:59.999999Z",
    "start of time": "0001-01-01T00:00:00+23:59",
    "an id": "00000000-0000-0000-0000-000000000000",
    "formula": "=cmd|'/c calc'!A1",
    "list": [],
    "list of null": [None],
    "list of objects": [{}],
    "object": {},
    "object of odd names": {"": "", "a.b": 1, "$where": 1, "x" * 300: None},
    "deep": [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]],
}


@pytest.mark.parametrize("case", ODD)
async def test_no_member_of_a_body_brings_a_failure(
    surface: Surface, ours: Prepared, anybody: httpx.AsyncClient, together: Together, case: str
) -> None:
    async def call(operation: Operation, member: str) -> list[str]:
        body = {**ours.json(operation), member: ODD[case]}
        url = operation.url(ours.value)
        answer = await anybody.request(operation.method, url, json=body, headers=ours.boss.headers)
        return [f"{member}: {fault}" for fault in faults(operation, answer)]

    calls = [
        call(operation, member)
        for operation in surface.operations
        if operation.takes_json and operation.body is not None
        for member in operation.body.get("properties", {}) or ("discovered_by", "entries")
    ]
    expect_none(await together(calls))
