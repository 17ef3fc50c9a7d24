"""JSON written with expressions: a text that begins with `=` is one, and what it gives takes its place.

What gives nothing is left out, and so is an object of which nothing is left: a field that nobody filled is not sent.
"""

import re
from collections.abc import Collection
from typing import Any
from urllib.parse import quote

from domain.expressions import EvaluationFailed, Expression, InvalidExpression, Scope, compile_expression

PLACE = re.compile(r"\{([^{}]+)\}")
STEPS = (".", "..")  # segments that whoever reads a path takes away (RFC 3986 5.2.4), quoted or not


class Unfillable(ValueError):
    """An expression does not fit what is known: a fault of the data file or of what the tenant typed in."""


class Written:
    """Compiled JSON. Immutable."""

    __slots__ = ("_made",)

    def __init__(self, written: Any, names: Collection[str]) -> None:
        self._made = _compiled(written, names)

    def fill(self, scope: Scope) -> Any:
        """The JSON value, None when nothing is left of it. Raises Unfillable."""
        return _filled(self._made, scope)


class Address:
    """A path such as `/tickets/{ticket.id}/notes`: what an expression in braces gives is one segment of it."""

    __slots__ = ("_parts",)

    def __init__(self, text: str, names: Collection[str]) -> None:
        parts = PLACE.split(text)
        self._parts: list[str | Expression] = [
            compile_expression(part, names, shipped=True) if index % 2 else part for index, part in enumerate(parts)
        ]

    def fill(self, scope: Scope) -> str:
        """The path. Raises Unfillable when an expression gives what leads somewhere else: nothing, or a step up."""
        made = []
        for part in self._parts:
            if isinstance(part, str):
                made.append(part)
                continue
            value = evaluated(part, scope)
            if value is None or value == "":
                raise Unfillable(f"{part.text!r} gives nothing")
            if value in STEPS:
                raise Unfillable(f"{part.text!r} names no thing")
            made.append(quote(str(value), safe=""))
        return "".join(made)


def evaluated(expression: Expression, scope: Scope) -> Any:
    """What an expression gives. Raises Unfillable."""
    try:
        return expression.evaluate(scope)
    except EvaluationFailed as error:
        raise Unfillable(str(error)[:300]) from None


def compiled(text: str, names: Collection[str]) -> Expression:
    """An expression of a data file. Raises InvalidExpression."""
    return compile_expression(text, names, shipped=True)


def _compiled(written: Any, names: Collection[str]) -> Any:
    if isinstance(written, dict):
        return {key: _compiled(value, names) for key, value in written.items()}
    if isinstance(written, list):
        return [_compiled(value, names) for value in written]
    if isinstance(written, str) and written.startswith("="):
        try:
            return compiled(written[1:].strip(), names)
        except InvalidExpression as error:
            raise InvalidExpression(f"{written!r}: {error.reason}", error.position) from None
    return written


def _filled(made: Any, scope: Scope) -> Any:
    if isinstance(made, Expression):
        return evaluated(made, scope)
    if isinstance(made, dict):
        found = {key: _filled(value, scope) for key, value in made.items()}
        kept = {key: value for key, value in found.items() if value is not None}
        return kept or (None if made else {})
    if isinstance(made, list):
        return [value for value in (_filled(one, scope) for one in made) if value is not None]
    return made
