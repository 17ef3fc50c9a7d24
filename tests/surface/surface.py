"""The whole surface, read from the OpenAPI document: every operation, how to address it and a body that it would take.

An operation that is added tomorrow is enumerated here tomorrow: its path is filled by `Prepared` (prepared.py), its
body from its schema. Only where a schema does not say enough does `BODIES` help out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel

METHODS = ("get", "post", "put", "patch", "delete")
PARAMETER = re.compile(r"\{([a-z_]+)\}")
SENTENCE = "A sentence of a reason that an auditor can read."
FUTURE = "2097-03-01T09:00:00Z"


@dataclass(frozen=True)
class Operation:
    """One method of one path. `rows` are its rows of the permission table; `answers` the models of its 2xx answers."""

    method: str
    path: str
    rows: tuple[str, ...]
    is_public: bool
    body: Mapping[str, Any] | None
    media_types: tuple[str, ...]
    query: Mapping[str, Mapping[str, Any]]
    statuses: frozenset[int]
    answers: Mapping[int, type[BaseModel]] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def is_read(self) -> bool:
        return self.method == "GET"

    @property
    def takes_json(self) -> bool:
        return "application/json" in self.media_types

    @property
    def places(self) -> list[str]:
        """Each parameter of the path, as the path up to and including it: `{id}` of clients is not `{id}` of keys."""
        return [self.path[: found.end()] for found in PARAMETER.finditer(self.path)]

    def url(self, value_of: Callable[[str], str]) -> str:
        """The path with its parameters filled."""
        return PARAMETER.sub(lambda found: value_of(self.path[: found.end()]), self.path)


class Surface:
    """Every operation of an application, and its schemas."""

    def __init__(self, api: FastAPI) -> None:
        document = api.openapi()
        self.schemas: Mapping[str, Any] = document["components"]["schemas"]
        models = {
            (method, route.path_format): route.responses for route in _routes(api) for method in route.methods or ()
        }
        self.operations = [
            self._operation(method, path, told, models.get((method.upper(), path), {}))
            for path, methods in document["paths"].items()
            for method, told in methods.items()
            if method in METHODS
        ]

    def _operation(self, method: str, path: str, told: Mapping[str, Any], models: Mapping[Any, Any]) -> Operation:
        rows = told.get("x-operation") or ()
        content = told.get("requestBody", {}).get("content", {})
        asked = content.get("application/json", {}).get("schema")
        return Operation(
            method=method.upper(),
            path=path,
            rows=(rows,) if isinstance(rows, str) else tuple(rows),
            is_public=told.get("security") == [],
            body=self.resolve(asked) if asked is not None else None,
            media_types=tuple(content),
            query={one["name"]: one["schema"] for one in told.get("parameters", []) if one["in"] == "query"},
            statuses=frozenset(int(status) for status in told["responses"]),
            answers={int(status): one["model"] for status, one in models.items() if "model" in one},
        )

    def resolve(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """The schema behind references and behind `or null`."""
        while True:
            if "$ref" in schema:
                schema = self.schemas[schema["$ref"].rpartition("/")[2]]
            elif "anyOf" in schema:
                schema = next(one for one in schema["anyOf"] if one.get("type") != "null")
            elif "allOf" in schema:
                schema = schema["allOf"][0]
            else:
                return schema

    def sample(self, schema: Mapping[str, Any], name: str, named: Mapping[str, str]) -> Any:
        """A minimal value that a schema lets pass. `named` are ids by the name of a member (`person_id`)."""
        schema = self.resolve(schema)
        if "const" in schema or "enum" in schema:
            return schema["const"] if "const" in schema else schema["enum"][0]
        kind = schema.get("type")
        if kind == "object":
            members = schema.get("properties", {})
            return {one: self.sample(members[one], one, named) for one in schema.get("required", [])}
        if kind == "array":
            return [
                self.sample(schema["items"], name.removesuffix("s"), named) for _ in range(schema.get("minItems", 0))
            ]
        if kind == "string":
            return self._text(schema, name, named)
        if kind in {"integer", "number"}:
            least = schema.get("minimum", 1)
            return int(least) if kind == "integer" else least  # the document writes bounds as 1.0
        return False if kind == "boolean" else None

    def _text(self, schema: Mapping[str, Any], name: str, named: Mapping[str, str]) -> str:
        if name in named:
            return named[name]
        if schema.get("format") == "uuid":
            return named["id"]
        if schema.get("format") == "date-time":
            return FUTURE
        text = "word" if "pattern" in schema else SENTENCE
        return text[: schema.get("maxLength", 200)].ljust(schema.get("minLength", 0), "x")


def _routes(api: FastAPI) -> Iterator[APIRoute]:
    return (route for route in api.router.routes if isinstance(route, APIRoute))


BODIES: dict[str, dict[str, Any]] = {
    "POST /graphql": {"query": "{ __typename }"},
    "POST /v1/incidents": {"title": "Prompt with customer data"},
    "PUT /v1/incidents/by-reference/{system}/{instance}/{external_id}": {"title": "Prompt with customer data"},
    "POST /v1/incidents/{incident_id}/transitions": {"transition": "hold", "reason": SENTENCE, "waiting_for": "vendor"},
    "PUT /v1/incidents/{incident_id}/documentation/{item}": {
        "discovered_by": "Ann Alder",
        "discovery_method": "self_report",
    },
    "POST /v1/risks/{ref}/revisions": {"decision": "no_change", "reason": SENTENCE},
    "PUT /v1/clients/by-reference/{system}/{instance}/{external_id}": {"name": "Client by reference"},
    "POST /v1/incidents/{incident_id}/erasures": {"fields": ["/incident/summary"], "reason": SENTENCE},
    "POST /v1/incidents/{incident_id}/external-references": {"system": "jira", "id": "HF-1"},
    "POST /v1/tools/{id}/decisions": {"outcome": "block", "reason": SENTENCE, "blocked_domains": ["chat.example"]},
    "POST /v1/sources": {"name": "Alerts", "system": "generic"},
    "POST /v1/sources/{id}/preview": {"body": {"event_action": "trigger", "summary": SENTENCE}},
    "POST /v1/connections": {
        "name": "Tickets",
        "system": "zendesk",
        "base_url": "https://tickets.example",
        "credentials": {"email": "bot@msp.example", "api_token": "0123456789"},
    },
    "PATCH /v1/connections/{id}": {"name": "Other tickets", "instance": "main"},
    "POST /v1/connections/{id}/rotate": {"credentials": {"email": "bot@msp.example", "api_token": "9876543210"}},
    "POST /v1/webhook-endpoints": {
        "name": "Board",
        "url": "https://receiver.example/events",
        "event_types": ["incident.*"],
        "filter": "type != 'incident.held'",
    },
    "POST /v1/webhook-endpoints/{id}/samples": {"event_type": "step.completed"},
    "PATCH /v1/webhook-endpoints/{id}": {
        "url": "https://receiver.example/others",
        "event_types": ["*"],
        "filter": "incident.severity == 'SEV1'",
        "status": "active",
    },
}
"""Bodies that a schema alone does not tell: a rule ties members together, or a word means something."""
