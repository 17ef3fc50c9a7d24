"""Scalars and enums of the graph. Values travel as the text that the read path and REST use."""

import enum
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any, NewType

import strawberry
from strawberry.schema.config import StrawberryConfig

DateTime = NewType("DateTime", str)
Date = NewType("Date", str)
JSON = NewType("JSON", object)
UUID = NewType("UUID", str)
BigInt = NewType("BigInt", int)


def _same(value: Any) -> Any:
    return value


def _instant(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("an instant is text")
    datetime.fromisoformat(value)
    return value


def _id(value: Any) -> Any:
    """The id within its kind; of a global id the part that follows the type."""
    if not isinstance(value, str):
        raise ValueError("an id is text")
    return value.rpartition(":")[2]


CONFIG = StrawberryConfig(
    disable_field_suggestions=True,
    default_resolver=lambda source, name: source[name] if isinstance(source, dict) else getattr(source, name),
    scalar_map={
        DateTime: strawberry.scalar(
            name="DateTime", description="An instant, RFC 3339, in UTC.", serialize=_same, parse_value=_instant
        ),
        Date: strawberry.scalar(name="Date", description="A day, ISO 8601.", serialize=_same, parse_value=_instant),
        JSON: strawberry.scalar(
            name="JSON", description="JSON whose members are named as in REST.", serialize=_same, parse_value=_same
        ),
        UUID: strawberry.scalar(
            name="UUID",
            description="An id within its kind; where one is given, a global id serves too.",
            serialize=_same,
            parse_value=_id,
        ),
        BigInt: strawberry.scalar(
            name="BigInt", description="An integer up to 2**53-1.", serialize=_same, parse_value=_same
        ),
    },
)


@cache
def enum_of(name: str, values: tuple[str, ...], doc: str | None) -> type[enum.Enum]:
    """A GraphQL enum whose names are its values, so that stored text is the answer."""
    made = enum.Enum(name, {value: value for value in values})  # type: ignore[misc]
    return strawberry.enum(made, name=name, description=doc)


def are_names(values: Iterable[object]) -> bool:
    """Whether all values can be names of GraphQL."""
    return all(isinstance(value, str) and value.isidentifier() and value.isascii() for value in values)
