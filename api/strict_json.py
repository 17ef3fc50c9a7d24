"""JSON as we accept it: RFC 8259 without the corners on which two parsers, or a parser and the database, disagree.

Refused: duplicate keys, NaN and Infinity, numbers too large for a double, integers past +-(2^53-1), NUL, lone
surrogates, depth over 64, text that is not UTF-8. Most bodies are compact and take a fast way that needs no walk.
"""

import json
import re
from typing import Any

import orjson

from api.errors import Malformed
from domain.refusals import InputError, Invalid

DEPTH_MAX = 64
INTEGER_MAX = 2**53 - 1
FAULTS_MAX = 20
SUSPECT = re.compile(rb"\\u0000|\d{16}")  # might hold a NUL or an integer that is too large: look closely


def loads(body: bytes) -> Any:
    """The value of a JSON text. Raises Malformed (400) for what is not JSON, Invalid (422, pointers) for the rest."""
    try:
        value = orjson.loads(body)
        # What comes out byte for byte as it went in had no duplicate key; orjson itself refuses the other corners.
        if (
            orjson.dumps(value) == body
            and not SUSPECT.search(body)
            and body.count(b"[") + body.count(b"{") <= DEPTH_MAX
        ):
            return value
    except (orjson.JSONDecodeError, TypeError, RecursionError):
        pass  # the slow way says what is wrong and where
    return _loads_slowly(body)


def _loads_slowly(body: bytes) -> Any:
    try:
        value = json.loads(
            body.decode("utf-8"), object_pairs_hook=_Object, parse_constant=_Constant, parse_float=_float
        )
    except UnicodeDecodeError as error:
        raise Malformed(f"The body is not UTF-8 (byte {error.start}).", [InputError("", "not UTF-8")]) from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Malformed(f"The body is not JSON: {error.msg} at {where}.", [InputError("", error.msg)]) from None
    except RecursionError:
        raise Malformed("The body is nested too deeply.", [InputError("", f"deeper than {DEPTH_MAX}")]) from None
    except ValueError:  # an integer of thousands of digits
        raise Malformed("The body holds a number that is too long.", [InputError("", "number too long")]) from None
    faults: list[InputError] = []
    value = _plain(value, "", 1, faults)
    if faults:
        raise Invalid(
            "The body holds values that cannot be kept exactly.", code="invalid-json", errors=faults[:FAULTS_MAX]
        )
    return value


class _Object(list[tuple[str, Any]]):
    """The members of an object, duplicates included."""


class _Constant(str):
    """NaN, Infinity or -Infinity, or a number that a double cannot hold."""

    __slots__ = ()


def _float(text: str) -> float | _Constant:
    value = float(text)
    return _Constant(text[:40]) if value in (float("inf"), float("-inf")) else value


def _plain(value: Any, pointer: str, depth: int, faults: list[InputError]) -> Any:
    """The value with dicts in place of members, faults collected with their places."""
    if len(faults) >= FAULTS_MAX:
        return None
    if isinstance(value, (_Object, list)) and depth > DEPTH_MAX:
        faults.append(InputError(pointer, f"nested deeper than {DEPTH_MAX}"))
        return None
    if isinstance(value, _Object):
        members: dict[str, Any] = {}
        for name, member in value:
            place = f"{pointer}/{_escaped(name)}"
            if name in members:
                faults.append(InputError(place, "duplicate key"))
            _check_text(name, place, faults)
            members[name] = _plain(member, place, depth + 1, faults)
        return members
    if isinstance(value, list):
        return [_plain(member, f"{pointer}/{index}", depth + 1, faults) for index, member in enumerate(value)]
    if isinstance(value, _Constant):
        faults.append(InputError(pointer, f"{value} is not a number that JSON can carry"))
    elif isinstance(value, str):
        _check_text(value, pointer, faults)
    elif isinstance(value, int) and abs(value) > INTEGER_MAX:
        faults.append(InputError(pointer, "integer beyond 2^53-1; send it as text"))
    return value


def _check_text(text: str, pointer: str, faults: list[InputError]) -> None:
    if "\0" in text:
        faults.append(InputError(pointer, "NUL character"))
    elif not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        faults.append(InputError(pointer, "lone surrogate"))


def _escaped(name: str) -> str:
    """A member name as a part of a JSON pointer, fit to be sent back."""
    name = name[:80].replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    return name.replace("~", "~0").replace("/", "~1")
