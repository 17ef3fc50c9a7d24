"""A storm of tickets: each told of in several changes, each change sent up to four times, in any order, over all
processes. In the end there is one incident for each, as the last change left it."""

import asyncio
import base64
import hashlib
import hmac
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx

CONNECTIONS = 20
COPIES_MAX = 4
SECRET = "example-signing-secret-of-a-storm"  # noqa: S105 (of a source that lives as long as the run)
BEGAN = datetime(2026, 6, 9, 8, tzinfo=UTC)
PRIORITIES = (("Priority 1 - Critical", "critical"), ("Priority 2 - High", "high"), ("Priority 3 - Medium", "medium"))


@dataclass
class Storm:
    """What became of it. `faults` says what was wrong; `statuses` counts the answers."""

    deliveries: int = 0
    seconds: float = 0.0
    statuses: dict[int, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Last:
    """How a ticket stands in the end."""

    title: str
    severity: str
    is_closed: bool


async def storm_of_tickets(callers: Sequence[httpx.AsyncClient], tickets: int, updates: int, seed: int) -> Storm:
    """Send everything through `callers` in turns, then look at every incident."""
    chosen, found, label = random.Random(seed), Storm(), f"storm-{uuid4().hex[:8]}"  # noqa: S311 (no secret)
    given = {"name": label, "system": "connectwise", "secret": SECRET, "defaults": {"labels": [label]}}
    source = (await callers[0].post("/v1/sources", json=given)).raise_for_status().json()
    path = "/hooks/" + source["hook_url"].rsplit("/", 1)[1]
    bodies, wanted = [], {}
    for number in range(1, tickets + 1):
        told, wanted[str(number)] = _ticket(number, updates, chosen)
        bodies += [body for body in told for _ in range(chosen.randint(1, COPIES_MAX))]
    chosen.shuffle(bodies)
    found.deliveries, began = len(bodies), time.monotonic()
    left = iter(enumerate(bodies))

    async def send() -> None:
        for index, body in left:
            await _send(callers[index % len(callers)], path, body, found)

    await asyncio.gather(*(send() for _ in range(CONNECTIONS)))
    found.seconds = time.monotonic() - began
    found.faults += await _compare(callers[-1], label, wanted)
    return found


def _ticket(number: int, updates: int, chosen: random.Random) -> tuple[list[bytes], _Last]:
    """The bodies of one ticket in order, and how it ends."""
    bodies, is_closed = [], False
    for change in range(updates + 1):
        is_closed = change == updates and chosen.random() < 0.5
        name, severity = PRIORITIES[chosen.randrange(len(PRIORITIES))]
        last = _Last(f"Ticket {number}, change {change}", severity, is_closed)
        at = BEGAN + timedelta(minutes=number, seconds=change)
        entity = {
            "id": number,
            "summary": last.title,
            "status": {"name": ">Closed" if is_closed else "In Progress"},
            "priority": {"name": name},
            "closedFlag": is_closed,
            "_info": {"dateEntered": BEGAN.isoformat(), "lastUpdated": at.isoformat()},
        }
        callback = {
            "MessageId": f"{number}-{change}",
            "CompanyId": "examplemsp",
            "Action": "updated" if change else "added",
            "Type": "ticket",
            "ID": number,
            "Entity": json.dumps(entity),
        }
        bodies.append(json.dumps(callback).encode())
    return bodies, last


async def _send(caller: httpx.AsyncClient, path: str, body: bytes, found: Storm) -> None:
    key = hashlib.sha256(SECRET.encode()).digest()
    headers = {"x-content-signature": base64.b64encode(hmac.digest(key, body, "sha256")).decode()}
    answer = await caller.post(path, content=body, headers=headers)
    found.statuses[answer.status_code] = found.statuses.get(answer.status_code, 0) + 1
    if answer.status_code != 202 or answer.json()["result"] == "unmapped":
        found.faults.append(f"a delivery was answered {answer.status_code}: {answer.text[:200]}")


async def _compare(caller: httpx.AsyncClient, label: str, wanted: dict[str, _Last]) -> list[str]:
    """What is not as it should be among the incidents."""
    seen: dict[str, int] = {}
    faults, cursor = [], ""
    while cursor is not None:
        page = (await caller.get(f"/v1/incidents?limit=100&label={label}{cursor}")).raise_for_status().json()
        for item in page["items"]:
            one = (await caller.get(f"/v1/incidents/{item['id']}")).raise_for_status().json()
            name = one["external_references"][0]["id"]
            seen[name] = seen.get(name, 0) + 1
            stands = _Last(one["title"], one["severity_hint"], one["close_asked"] is not None)
            if stands != wanted[name]:
                faults.append(f"ticket {name} stands as {stands} instead of {wanted[name]}")
        cursor = f"&cursor={page['next_cursor']}" if page["next_cursor"] else None
    faults += [f"ticket {name} has {seen.get(name, 0)} incidents" for name in wanted if seen.get(name) != 1]
    return faults
