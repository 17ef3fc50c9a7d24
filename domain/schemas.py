"""Checking a value against a JSON Schema of the catalogue, with errors that point at the place."""

import json
from functools import lru_cache
from typing import Any

import jsonschema_rs

from domain.refusals import InputError, Invalid

ERRORS_AT_MOST = 20


@lru_cache(maxsize=512)
def _validator(schema_text: str) -> Any:
    return jsonschema_rs.validator_for(json.loads(schema_text), validate_formats=True)


def check_schema(schema: dict[str, Any], value: Any, pointer: str = "") -> None:
    """Raise Invalid with one error per fault when `value` does not fit. `pointer` is where it stands in the body."""
    validator = _validator(json.dumps(schema, sort_keys=True))
    errors = []
    for fault in validator.iter_errors(value):
        place = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in fault.instance_path)
        errors.append(InputError(f"{pointer}{place}" or "/", _short(fault.message)))
        if len(errors) == ERRORS_AT_MOST:
            break
    if errors:
        raise Invalid(f"{errors[0].pointer}: {errors[0].reason}", errors=errors)


def _short(message: str) -> str:
    return message if len(message) <= 300 else f"{message[:297]}..."
