"""What every answer promises, whatever it answers: headers, the form of a problem, the model of a result."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter, ValidationError

from tests.surface.surface import Operation

PROBLEM_ALWAYS = {"type", "title", "status", "detail", "code", "request_id"}
PROBLEM_MAYBE = {"errors", "gate", "current", "missing"}
TELLTALES = ("Traceback", "asyncpg", "psycopg", 'File "', "SELECT ", "INSERT INTO", 'relation "', "/site-packages/")


def expect_none(found: Iterable[list[str]]) -> None:
    """Fail with every fault on a line of its own."""
    lines = [fault for one in found for fault in one]
    if lines:
        pytest.fail(f"{len(lines)} faults\n" + "\n".join(line[:1_500] for line in lines[:40]), pytrace=False)


def faults(operation: Operation, answer: httpx.Response) -> list[str]:
    """What is wrong with an answer, in words; nothing when it keeps the contract."""
    found = [fault for fault in _headers(answer) if fault]
    if answer.status_code >= 500:
        found.append("a failure of ours")
    if answer.status_code not in operation.statuses | {404, 405, 414, 431}:
        found.append("a status that the document does not name")
    if answer.status_code >= 400 and answer.request.method != "HEAD":
        found += problem_faults(answer)
    elif answer.is_success and answer.request.method != "HEAD":
        found += _result(operation, answer)
    return [f"{operation} -> {answer.status_code}: {fault} {answer.text[:300]}" for fault in found]


def _headers(answer: httpx.Response) -> list[str]:
    headers = answer.headers
    return [
        "" if headers.get("x-content-type-options") == "nosniff" else "no nosniff",
        "" if "no-store" in headers.get("cache-control", "") else "no no-store",
        "" if headers.get("x-request-id") else "no request id",
    ]


def problem_faults(answer: httpx.Response) -> list[str]:
    """What is wrong with a refusal as RFC 9457 and we want it."""
    if not answer.headers.get("content-type", "").startswith("application/problem+json"):
        return [f"no problem but {answer.headers.get('content-type')}"]
    told: dict[str, Any] = answer.json()
    found = []
    if missing := PROBLEM_ALWAYS - told.keys():
        found.append(f"lacks {sorted(missing)}")
    if more := told.keys() - PROBLEM_ALWAYS - PROBLEM_MAYBE:
        found.append(f"has {sorted(more)}")
    if told.get("status") != answer.status_code or told.get("type") != f"/problems/{told.get('code')}":
        found.append("status or type do not agree")
    if told.get("request_id") != answer.headers.get("x-request-id"):
        found.append("another request id")
    if any(set(fault) != {"pointer", "reason"} for fault in told.get("errors", [])):
        found.append("errors without pointer and reason")
    if any(
        not {"kind", "ref", "message"} <= set(one) <= {"kind", "ref", "message", "href"}
        for one in told.get("missing", [])
    ):
        found.append("missing without kind, ref and message")
    if any(word in answer.text for word in TELLTALES):
        found.append("tells of the inside")
    return found


def _result(operation: Operation, answer: httpx.Response) -> list[str]:
    model = operation.answers.get(answer.status_code)
    kind = answer.headers.get("content-type", "")
    if model is None or not kind.startswith("application/json"):
        return []
    if kind != "application/json; charset=utf-8":
        return [f"content type {kind}"]
    try:
        TypeAdapter(model).validate_json(answer.content, strict=True, extra="forbid")
    except ValidationError as error:
        return [f"is no {model.__name__}: {fault['loc']} {fault['msg']}" for fault in error.errors()[:5]]
    return []
