"""The tools that an incident names: locked and read with it, registered when new, written in its transaction.

Nothing is asked of the database for an incident whose D03 names no tool and whose playbook decides on none.
"""

from collections.abc import Collection
from uuid import UUID

from app.authentication import Principal, lifted
from app.database import Db
from app.record import Stored
from app.tool_entries import find_tool, lock_tools, save_tool
from domain.ai_services import find_service
from domain.changes import Change
from domain.incident_tools import held_tool, link_tools, new_tool, systems, tool_ids, unregistered
from domain.refusals import InputError, Invalid
from domain.tools import host_of, name_key

_SEEN = "SELECT id FROM tools WHERE tenant_id = $1 AND id = ANY ($2::uuid[])"


async def load_tools(db: Db, principal: Principal | None, stored: Stored, change: Change) -> None:
    """Lock and read the tools that D03 names, where the playbook decides on tools."""
    if change.playbook is None or not change.playbook.decides_tools:
        return
    wanted = [tool_id for tool_id in tool_ids(change.record) if tool_id not in change.tools]
    if wanted:
        async with lifted(db, principal):
            await _hold(db, stored, change, wanted)


async def register_tools(
    db: Db, principal: Principal, stored: Stored, change: Change, known: Collection[UUID] = ()
) -> None:
    """After a change of the record: check the tools that it names anew, and register what a playbook will decide on.

    `known` are tools that the record takes over from another one. Raises Invalid for a tool that the caller cannot see.
    """
    await _check_named(db, stored, change, known)
    if change.playbook is None or not change.playbook.decides_tools:
        return
    await load_tools(db, principal, stored, change)
    positions = unregistered(change.record)
    if not positions:
        return
    found: dict[int, UUID] = {}
    async with lifted(db, principal):
        # By name, so that two incidents that name the same tools in another order do not wait for each other.
        for position in sorted(positions, key=lambda at: name_key(systems(change.record)[at]["name"])):
            system = systems(change.record)[position]
            host = host_of(system.get("url") or "")
            tool_id = held_tool(change, system["name"], host) or await find_tool(db, system["name"], host)
            if tool_id is None:
                tool_id = new_tool(change, system, find_service(system["name"], host)).tool.id
            found[position] = tool_id
        link_tools(change, found)
        await _hold(db, stored, change, [tool_id for tool_id in found.values() if tool_id not in change.tools])


async def save_tools(db: Db, stored: Stored, change: Change) -> None:
    """Write what the change did to the tools. The caller has lifted the limits that hide the register."""
    for tool_id in sorted(change.tools):
        told = [(event.kind, event.data) for of_tool, event in change.tool_events if of_tool == tool_id]
        await save_tool(db, stored.tools.get(tool_id), change.tools[tool_id], told, change.actor, change.now)


async def _check_named(db: Db, stored: Stored, change: Change, known: Collection[UUID]) -> None:
    before = stored.filters.tools if stored.filters is not None else known
    fresh = [tool_id for tool_id in tool_ids(change.record) if tool_id not in before]
    if not fresh:
        return
    seen = {row[0] for row in await db.fetch(_SEEN, db.tenant_id, fresh)}
    if not seen.issuperset(fresh):
        text = "names no tool of the register that you can see: leave it out and give the name"
        raise Invalid(f"/tool_id {text}.", errors=[InputError("/tool_id", text)])


async def _hold(db: Db, stored: Stored, change: Change, wanted: Collection[UUID]) -> None:
    for tool_id, (entry, before) in (await lock_tools(db, wanted)).items():
        change.tools[tool_id], stored.tools[tool_id] = entry, before
