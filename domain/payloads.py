"""The body of a delivery, from bytes to a value: JSON, a form, JSON inside a string.

What has no exact counterpart in what we keep (NUL, broken UTF-8, endless nesting) is refused as unreadable; the raw
bytes are kept by the caller in any case.
"""

import base64
import binascii
import json
import re
from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import parse_qsl

import orjson
from pydantic import BaseModel, ConfigDict, Field

DEPTH_MAX = 64
FORM_FIELDS_MAX = 1_000
SUSPECT = re.compile(rb"\\u0000|\d{16}")  # a NUL, or a number that a double would round: look closely
EXACT_MAX = 2**53 - 1


class Unreadable(ValueError):
    """A body that cannot be read; the message says why, in words that may be shown."""


class DecodeStep(BaseModel):
    """One step of decoding. `at` is a dotted path to a string inside what the steps before made; without it the body.

    `form_field` names the field that holds the JSON when the body comes as a form instead; `form_or_json` is what the
    content type says. An `optional` step leaves a string that it cannot read as it is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    kind: Literal["json", "form", "form_or_json", "base64", "text"] = Field(alias="as")
    at: str | None = None
    form_field: str | None = None
    optional: bool = False


def decode(body: bytes, content_type: str, steps: Sequence[DecodeStep]) -> Any:
    """The value of a body. Raises Unreadable."""
    current: Any = body
    for step in steps:
        if step.at is None:
            current = _decode(step, current, content_type)
        else:
            _decode_inside(step, current)
    if isinstance(current, bytes):
        current = _text(current)
    return current


def _decode(step: DecodeStep, raw: bytes | str, content_type: str) -> Any:
    if step.kind == "base64":
        try:
            return base64.b64decode(raw, validate=True)
        except (binascii.Error, ValueError):
            raise Unreadable("The body is not base64.") from None
    if isinstance(raw, str):
        raw = raw.encode("utf-8", "surrogatepass")
    is_form = content_type.startswith("application/x-www-form-urlencoded")
    if step.kind == "form" or (step.kind == "form_or_json" and is_form):
        return _form(raw)
    if step.kind in ("json", "form_or_json"):
        if step.form_field is not None and is_form:
            raw = str(_form(raw).get(step.form_field, "")).encode()
        return loads(raw)
    return _text(raw)


def _decode_inside(step: DecodeStep, value: Any) -> None:
    """Replace the string at the path by what it holds. A path that leads nowhere is left alone."""
    assert step.at is not None
    *way, last = step.at.split(".")
    for name in way:
        value = value.get(name) if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(value.get(last), str) or not value[last].strip():
        return
    try:
        value[last] = _decode(step, value[last], "")
    except Unreadable:
        if not step.optional:
            raise


def loads(raw: bytes) -> Any:
    """The value of a JSON text; integers past 2^53 become text, since ids are text. Raises Unreadable."""
    if raw.startswith(b"\xef\xbb\xbf"):  # a byte order mark, which some senders put before their JSON
        raw = raw[3:]
    try:
        if SUSPECT.search(raw):
            value = json.loads(raw.decode("utf-8"), parse_int=_exact, parse_constant=_no_number)
            _check_texts(value)
        else:
            value = orjson.loads(raw)
    except UnicodeDecodeError:
        raise Unreadable("The body is not UTF-8.") from None
    except RecursionError:
        raise Unreadable(f"The body is nested deeper than {DEPTH_MAX}.") from None
    except ValueError as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable("The body is not JSON.") from None
    if raw.count(b"[") + raw.count(b"{") > DEPTH_MAX:
        _check_depth(value)
    return value


def _exact(digits: str) -> int | str:
    if len(digits) > 16:
        return digits
    number = int(digits)
    return number if -EXACT_MAX <= number <= EXACT_MAX else digits


def _no_number(name: str) -> Any:
    raise Unreadable(f"{name} is not a number that JSON can carry.")


def _check_texts(value: Any) -> None:
    """Refuse NUL and lone surrogates, which no text of ours can hold."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            if "\0" in one:
                raise Unreadable("The body holds a NUL character.")
            if not one.isascii() and any("\ud800" <= character <= "\udfff" for character in one):
                raise Unreadable("The body holds half of a character.")
        elif isinstance(one, dict):
            waiting += one.keys()
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        if depth > DEPTH_MAX:
            raise Unreadable(f"The body is nested deeper than {DEPTH_MAX}.")
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)]


def _form(raw: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=FORM_FIELDS_MAX)
    except (UnicodeDecodeError, ValueError):
        raise Unreadable("The body is not a form.") from None
    form = dict(pairs)
    _check_texts(form)
    return form


def _text(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Unreadable("The body is not UTF-8.") from None
    _check_texts(text)
    return text
