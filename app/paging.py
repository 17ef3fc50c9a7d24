"""Cursors: where a page ended, as opaque text bound to the tenant, the noun, the sort and the filters.

A cursor holds the sort value and the id of the last row, so the cost of a page does not grow with its depth. The code
at its end (MAC) makes a cursor of another tenant, list or filter useless: it is refused, never half obeyed.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from app.secrets import Vault
from domain.refusals import InputError, Invalid

LIMIT_DEFAULT = 50
LIMIT_MAX = 200
CURSOR_CHARACTERS_MAX = 1_000
MAC_BYTES = 16


@dataclass(frozen=True, slots=True)
class Position:
    """The last row of a page: its sort value as text of the database, and its id as text."""

    value: str
    id: str


@dataclass(frozen=True, slots=True)
class Cursors:
    """Makes and reads the cursors of one list."""

    vault: Vault
    bound_to: bytes

    def write(self, position: Position) -> str:
        """The cursor text that continues after `position`."""
        payload = orjson.dumps([position.value, position.id])
        code = self.vault.mac(self.bound_to + payload)
        return base64.urlsafe_b64encode(code + payload).rstrip(b"=").decode()

    def read(self, text: str) -> Position:
        """The position a cursor stands for. Raises Invalid when it was not made for exactly this list."""
        try:
            if len(text) > CURSOR_CHARACTERS_MAX:
                raise ValueError
            raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
            code, payload = raw[:MAC_BYTES], raw[MAC_BYTES:]
            if not self.vault.verify(self.bound_to + payload, code):
                raise ValueError
            value, row_id = orjson.loads(payload)
        except (ValueError, binascii.Error, UnicodeEncodeError):
            raise Invalid(
                "The cursor does not belong to this list. Start again without `cursor`, or keep the filters.",
                code="invalid-cursor",
                errors=[InputError("/query/cursor", "not a cursor of this list")],
            ) from None
        return Position(value, row_id)


def cursors(vault: Vault, tenant_id: UUID, noun: str, sort: str, filters: Mapping[str, Any]) -> Cursors:
    """The cursors of one list of one tenant."""
    bound = orjson.dumps([noun, sort, filters], option=orjson.OPT_SORT_KEYS, default=str)
    return Cursors(vault, tenant_id.bytes + bound + b"\x00")
