"""Control occurrences: what each control should have done in a period, and what it did.

The population is one query over stored rows. What narrows it is part of the answer, so nothing is left out in silence.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from msgspec import Struct, to_builtins

from app.authentication import Principal
from app.database import Db
from app.directory import time_zone_of
from app.reading import Slice, read_slice, read_tally
from app.rights import require, require_inside
from app.secrets import Vault
from app.statements import Shape
from domain.controls import controls
from domain.glossary import OccurrenceState
from domain.periods import Period, period
from domain.refusals import NotFound
from domain.timeline import instant_text

BASES = ("discovered_at", "due_at")
# The outcome that is stored beside what the clock still decides.
OUTCOME_OF = {"expected": "open", "breached": "open", "met": "met", "met_late": "met_late"} | {
    name: name for name in ("skipped", "voided")
}


class Asked(Struct, frozen=True, kw_only=True):
    """A population as a caller asks for it. Without `exercises` drills are left out."""

    control: str
    period_start: str | None = None
    period_end: str | None = None
    time_zone: str | None = None
    basis: str = "discovered_at"
    state: list[str] | None = None
    severity: list[str] | None = None
    client_id: UUID | None = None
    playbook: list[str] | None = None
    purpose: list[str] | None = None
    exercises: bool = False


async def list_occurrences(
    db: Db, principal: Principal, vault: Vault, asked: Asked, shape: Shape, *, cursor: str | None, limit: int
) -> tuple[Slice, str]:
    """The rows of one page of a population, in the order of its basis, and as JSON text what narrowed it.

    Raises NotFound, Forbidden and Invalid.
    """
    within = await _allowed(db, principal, asked)
    filters = _filters(principal, asked, within)
    found = await read_slice(
        db, "control_occurrence", shape, filters, principal, vault, sort=asked.basis, cursor=cursor, limit=limit
    )
    return found, orjson.dumps(_echo(principal, asked, within)).decode()


async def count_occurrences(db: Db, principal: Principal, asked: Asked) -> dict[str, Any]:
    """How many of a population are in each state now. Raises NotFound, Forbidden and Invalid."""
    within, now = await _allowed(db, principal, asked), datetime.now(UTC)
    filters = _filters(principal, asked, within)
    found = orjson.loads(await read_tally(db, "control_occurrence", "state", filters, principal, now=now))
    states = {state.value: found.get(state.value, 0) for state in OccurrenceState}
    return {
        "total": sum(states.values()),
        "states": states,
        "server_time": instant_text(now),
        "query": _echo(principal, asked, within),
    }


async def _allowed(db: Db, principal: Principal, asked: Asked) -> Period:
    require(principal, "audit.read")
    require_inside(principal)
    if asked.control not in controls():
        raise NotFound
    return period(asked.period_start, asked.period_end, asked.time_zone or await time_zone_of(db))


def _filters(principal: Principal, asked: Asked, within: Period) -> Mapping[str, Any]:
    """The filters of the read path. A key's own period is stated too: then rows outside it are never looked at."""
    start, end = within.start, within.end
    if asked.basis == "discovered_at":
        start = max((one for one in (start, principal.period_from) if one is not None), default=None)
        end = min((one for one in (end, principal.period_to) if one is not None), default=None)
    outcomes = {OUTCOME_OF[state] for state in asked.state or ()}
    unmet = outcomes.pop() if len(outcomes) == 1 and "met" not in outcomes else None
    return {
        "control": asked.control,
        f"{asked.basis}_from": start,
        f"{asked.basis}_to": end,
        "state": asked.state,
        "outcome": unmet,
        "severity": asked.severity,
        "client_id": asked.client_id,
        "playbook": asked.playbook,
        "purpose": asked.purpose,
        "exercise": None if asked.exercises else False,
    }


def _echo(principal: Principal, asked: Asked, within: Period) -> dict[str, Any]:
    """Everything that narrowed the population, the limits of the key included."""
    limits = {
        "period_from": _text(principal.period_from),
        "period_to": _text(principal.period_to),
        "client_ids": None if principal.client_ids is None else [str(one) for one in principal.client_ids],
    }
    return {
        **to_builtins(asked),
        "period_start": _text(within.start),
        "period_end": _text(within.end),
        "time_zone": within.time_zone,
        "key_limits": limits if any(value is not None for value in limits.values()) else None,
    }


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant_text(instant)
