"""Values on their way into an expression: made plain, bounded, found by a path; and the functions we add to CEL."""

import html
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

from domain.deadlines import parse_duration

LIST_MAX = 1_000  # elements an expression sees of a list
MAPPED_LIST_MAX = 500  # the same where `map` or `filter` is used: their cost is quadratic
STRING_MAX = 65_536  # characters an expression sees of a string
DEPTH_MAX = 64  # as deep as a JSON body may nest
INT_MAX = 2**63 - 1  # beyond it the evaluator makes a float without saying so

MISSING: Final[Any] = object()
LINE_END = re.compile(r"<(?:br|/p|/div|/li|/tr|/h[1-6])\b[^<>]*>", re.IGNORECASE)
MARK = re.compile(r"<[^<>]*>")


def plain(value: Any, list_max: int, depth: int = 0) -> Any:
    """`value` in the types the evaluator knows. Sets become sorted lists, decimals floats, ids text.

    Raises ValueError for what has no counterpart (other types, nesting deeper than DEPTH_MAX).
    """
    if value is None or value is True or value is False:
        return value
    kind = type(value)
    if kind is str:
        return value if len(value) <= STRING_MAX else value[:STRING_MAX]
    if kind is int:
        return value if -INT_MAX <= value <= INT_MAX else float(value)
    if kind is float or kind is timedelta:
        return value
    if depth > DEPTH_MAX:
        raise ValueError("nested too deeply")
    if kind is dict:
        return {str(key): plain(item, list_max, depth + 1) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [plain(item, list_max, depth + 1) for item in value[:list_max]]
    return _plain_rare(value, list_max, depth)


def _plain_rare(value: Any, list_max: int, depth: int) -> Any:
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    if isinstance(value, UUID | date):
        return str(value)
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, set | frozenset):
        return [plain(item, list_max, depth + 1) for item in sorted(value, key=str)[:list_max]]
    if isinstance(value, Mapping):
        return plain(dict(value), list_max, depth)
    if isinstance(value, msgspec.Struct):
        return plain(msgspec.structs.asdict(value), list_max, depth)
    if isinstance(value, str | int | float):
        base = next(kind for kind in (str, int, float) if isinstance(value, kind))
        return plain(base(value), list_max, depth)
    raise ValueError(f"no expression can see a {type(value).__name__}")


def find(value: Any, path: tuple[str | int, ...], list_max: int) -> Any:
    """The value at `path` below `value`, or MISSING."""
    for key in path:
        if isinstance(key, int):
            if not isinstance(value, list | tuple) or not key < min(len(value), list_max):
                return MISSING
            value = value[key]
        elif isinstance(value, Mapping):
            value = value.get(key, MISSING)
            if value is MISSING:
                return MISSING
        elif isinstance(value, msgspec.Struct):
            value = getattr(value, key, MISSING) if key in value.__struct_fields__ else MISSING
        else:
            return MISSING
    return value


def dotted(path: str) -> tuple[str | int, ...]:
    """The path that `get` is given: `a.b.0.c`; digits index a list."""
    return tuple(int(part) if part.isascii() and part.isdigit() and len(part) < 5 else part for part in path.split("."))


# A function that raises would print its argument to stderr, which may be personal data: these never do. They answer
# null for what they cannot take, which compares unequal to everything.


def _get(value: Any, path: Any, default: Any) -> Any:
    """Fallback of `get` where value or path is not written out in the expression."""
    try:
        found = find(value, dotted(path), LIST_MAX) if isinstance(path, str) else MISSING
        return default if found is MISSING or found is None else plain(found, LIST_MAX)
    except Exception:
        return default


def _on_text(function: Callable[[str], Any]) -> Callable[[Any], Any]:
    def call(value: Any) -> Any:
        try:
            return function(value) if isinstance(value, str) else None
        except Exception:
            return None

    return call


def _split(value: Any, separator: Any) -> Any:
    if not isinstance(value, str) or not isinstance(separator, str) or not separator:
        return None
    return value.split(separator, LIST_MAX)[:LIST_MAX]


def _join(value: Any, separator: Any) -> Any:
    if not isinstance(value, list) or not isinstance(separator, str):
        return None
    return separator.join(item for item in value if isinstance(item, str))[:STRING_MAX]


def _replace(value: Any, old: Any, new: Any) -> Any:
    if not (isinstance(value, str) and isinstance(old, str) and isinstance(new, str)):
        return None
    # Counted first: a long replacement of a short text must not grow past the bound before it is cut.
    room = STRING_MAX // max(len(new), 1)
    return value.replace(old, new, room)[:STRING_MAX]


def _whole(value: Any) -> int | None:
    """`value` as a whole number, where it is one or the text of one."""
    if type(value) is int:
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16 else None


def _after(value: Any, prefix: Any) -> Any:
    """`value` without `prefix` where it begins with it, whatever the case; else as it is."""
    if not isinstance(value, str) or not isinstance(prefix, str):
        return None
    return value[len(prefix) :] if value[: len(prefix)].casefold() == prefix.casefold() else value


def _html_text(value: str) -> str:
    """What a piece of HTML says, without its marks. For reading, not for showing as HTML."""
    return html.unescape(MARK.sub("", LINE_END.sub("\n", value))).strip()


def _instant(value: str) -> datetime | None:
    parsed = datetime.fromisoformat(value)
    return parsed if parsed.tzinfo is not None else None


def _iso_duration(value: str) -> timedelta | None:
    parsed = parse_duration(value)
    return parsed if isinstance(parsed, timedelta) else None


FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "get": _get,
    "lower": _on_text(str.lower),
    "upper": _on_text(str.upper),
    "trim": _on_text(str.strip),
    "split": _split,
    "join": _join,
    "replace": _replace,
    "after": _after,
    "whole": _whole,
    "html_text": _on_text(_html_text),
    "instant": _on_text(_instant),
    "iso_duration": _on_text(_iso_duration),
}
