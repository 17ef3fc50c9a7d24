"""The OpenAPI document: FastAPI's, put right where it would tell callers something untrue."""

import json
from typing import Any

from fastapi import FastAPI

from api.problems import title_of
from domain.event_types import TYPES, EventType

ALWAYS = (400, 401, 403, 404, 422, 429, 503)
REFUSALS = {
    400: "The request cannot be read.",
    401: "No valid credential.",
    403: "The roles of the credential do not allow this.",
    404: "There is nothing here that the caller can see.",
    408: "The body did not arrive in time.",
    409: "Not possible in the present state.",
    412: "The thing changed since the version named by If-Match.",
    413: "The body is too large.",
    415: "The body is of a kind that is not taken.",
    422: "The input is wrong; `errors` says where.",
    429: "Too many requests.",
    503: "Temporarily unavailable; repeat after Retry-After.",
}
PROBLEM = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457. `code` is stable; `detail` is for people.",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "reason"],
                "properties": {"pointer": {"type": "string"}, "reason": {"type": "string"}},
            },
        },
        "gate": {"type": "string"},
        "current": {"type": "object"},
        "missing": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["kind", "ref", "message"],
                "properties": {name: {"type": "string"} for name in ("kind", "ref", "message", "href")},
            },
        },
    },
}
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Makes repeating safe: the same key answers alike for 7 days and acts once.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "Change only the version with this entity tag; 412 when it is another by now.",
    "schema": {"type": "string"},
}


def openapi(api: FastAPI) -> dict[str, Any]:
    """The document of an application, made once and kept."""
    if api.openapi_schema is None:
        document = FastAPI.openapi(api)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        schemas["Problem"] = PROBLEM
        document["components"]["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer", "bearerFormat": "API key", "description": "`hf_...`"}
        }
        document["security"] = [{"key": []}]
        for operations in document["paths"].values():
            for method, operation in operations.items():
                _put_right(method, operation)
        _tell_webhooks(document, schemas)
        api.openapi_schema = document
    return api.openapi_schema


def _tell_webhooks(document: dict[str, Any], schemas: dict[str, Any]) -> None:
    """What endpoints are sent in the standard form: one webhook for each type of the catalogue."""
    logged = schemas.get("LoggedEvent")
    if logged is None:
        return
    place = {**logged["properties"]["log_index"], "type": ["integer", "null"]}
    schemas["WebhookMessage"] = {
        **logged,
        "title": "WebhookMessage",
        "description": "An event as it is sent: as the feed tells it, and perhaps before it has its place in the log.",
        "properties": {**logged["properties"], "log_index": place},
    }
    document["webhooks"] = {
        one.type: {
            "post": {
                "operationId": f"webhook.{one.type}",
                "tags": ["Events"],
                "summary": one.title,
                "description": f"{one.description} Version {one.version}.",
                "requestBody": {"required": True, "content": {"application/json": {"schema": _message(one)}}},
                "responses": {"2XX": {"description": "It is taken, and not sent again."}},
                "security": [],
            }
        }
        for one in TYPES.values()
    }


def _message(one: EventType) -> dict[str, Any]:
    data = {"anyOf": [one.data_schema, {"type": "null"}]}
    own = {"type": {"const": one.type}, "data": data}
    return {"allOf": [{"$ref": "#/components/schemas/WebhookMessage"}, {"type": "object", "properties": own}]}


def _put_right(method: str, operation: dict[str, Any]) -> None:
    refuses = {*ALWAYS}
    if operation.pop("x-public", False):
        operation["security"] = []
        refuses -= {401, 403}
    refuses |= set(operation.pop("x-refuses", []))
    if "requestBody" in operation:
        refuses |= {408, 413, 415}
    if method in {"patch", "put"}:
        refuses.add(412)
        operation.setdefault("parameters", []).append(IF_MATCH)
    if method == "post":
        refuses.add(409)
        operation.setdefault("parameters", []).append(IDEMPOTENCY_KEY)
    operation.pop("x-streamed", None)
    responses = operation.setdefault("responses", {})
    for status in sorted(refuses):
        answer = {"$ref": "#/components/schemas/Problem"}
        responses[str(status)] = {
            "description": REFUSALS.get(status, title_of(str(status))),
            "content": {"application/problem+json": {"schema": answer}},
        }


def text(api: FastAPI) -> str:
    """The document as it is committed: sorted only where the framework is, indented, with a last newline."""
    return json.dumps(openapi(api), indent=2, ensure_ascii=False) + "\n"
