"""Races over two processes: one of several equal requests wins, and the others hear so."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import httpx

from bench.site import report

RIVALS = 2  # per process
TOGETHER = 8  # incidents that are prepared at the same time
WHY = "A reason of a whole sentence that an auditor can read."
INPUTS: dict[str, dict[str, object]] = {
    "DL.1.3": {
        "ai_systems": {
            "entries": [{"name": "ExampleChat", "url": "https://chat.example.com", "identification": "identified"}]
        }
    },
    "DL.1.4": {
        "affected_data": {
            "entries": [
                {
                    "data_type": "contact_data",
                    "record_count": 40,
                    "individuals_count": 40,
                    "fields": ["name"],
                    "count_precision": "exact",
                    "encrypted": False,
                }
            ]
        },
        "credentials_exposed": False,
    },
    "DL.1.5": {"impacted_parties": {"none": True, "reason": "It was our own list and touched nobody else at all."}},
}


@dataclass
class Races:
    """The outcome of many rounds."""

    rounds: int = 0
    faults: list[str] = field(default_factory=list)


async def race_for_steps(callers: Sequence[httpx.AsyncClient], rounds: int) -> Races:
    """Prepare an incident per round, then let rivals at all processes complete one action and one step at once."""
    found, gate = Races(), asyncio.Semaphore(TOGETHER)

    async def one(number: int) -> None:
        async with gate:
            base = await _prepared(callers[number % len(callers)], callers, found)
            await _race(callers, f"{base}/steps/DL.1/transitions", found)
            kinds = await _kinds(callers[0], base)
            for kind, times in (("step.completed", 1), ("action.completed", 5)):
                if kinds.count(kind) != times:
                    found.faults.append(f"{base}: {kind} stands {kinds.count(kind)} times in the timeline")
            found.rounds += 1

    await asyncio.gather(*(one(number) for number in range(rounds)))
    return found


async def race_for_a_key(callers: Sequence[httpx.AsyncClient], equal: int) -> list[str]:
    """Send one report `equal` times at once with one key over all processes; faults if it is not one incident."""
    key, title = uuid4().hex, f"Race {uuid4().hex}"
    headers = {"Idempotency-Key": key}

    async def send(number: int) -> httpx.Response:
        while True:
            http = callers[number % len(callers)]
            answer = await http.post("/v1/incidents", json=report(title=title), headers=headers)
            if answer.status_code != 409:
                return answer
            if answer.json()["code"] != "idempotency-in-flight" or "retry-after" not in answer.headers:
                return answer
            await asyncio.sleep(0.2)

    answers = await asyncio.gather(*(send(number) for number in range(equal)))
    faults = [f"{a.status_code}: {a.text[:200]}" for a in answers if a.status_code != 201]
    if len({a.content for a in answers}) != 1:
        faults.append("the answers differ")
    if sum("idempotency-replayed" not in a.headers for a in answers) != 1:
        faults.append("not exactly one answer is the first")
    listed = (await callers[0].get("/v1/incidents", params={"q": title.split()[1]})).json()["items"]
    if len(listed) != 1:
        faults.append(f"{len(listed)} incidents were opened")
    return faults


async def _prepared(http: httpx.AsyncClient, callers: Sequence[httpx.AsyncClient], found: Races) -> str:
    """The path of a new incident whose first step only waits to be completed; its first action was raced for."""
    opened = await http.post("/v1/incidents", json=report())
    opened.raise_for_status()
    base = f"/v1/incidents/{opened.json()['id']}"
    await _race(callers, f"{base}/actions/DL.1.1/transitions", found)
    shot = await http.post(
        f"{base}/evidence?filename=prompt.txt&kind=screenshot&action_id=DL.1.2",
        content=b"what was typed in",
        headers={"Content-Type": "text/plain"},
    )
    shot.raise_for_status()
    calls: list[tuple[str, dict[str, object]]] = [("DL.1.2", {"evidence_ids": [shot.json()["id"]]})]
    calls += [(action, {"inputs": inputs}) for action, inputs in INPUTS.items()]
    for action, body in calls:
        answer = await http.post(f"{base}/actions/{action}/transitions", json={"transition": "complete", **body})
        answer.raise_for_status()
    return base


async def _race(callers: Sequence[httpx.AsyncClient], path: str, found: Races) -> None:
    rivals = [http for http in callers for _ in range(RIVALS)]
    answers = await asyncio.gather(*(http.post(path, json={"transition": "complete"}) for http in rivals))
    statuses = sorted(answer.status_code for answer in answers)
    if statuses != [200] + [409] * (len(rivals) - 1):
        said = next((a.text[:200] for a in answers if a.status_code not in (200, 409)), "")
        found.faults.append(f"{path}: {statuses} {said}")


async def _kinds(http: httpx.AsyncClient, base: str) -> list[str]:
    answer = await http.get(f"{base}/timeline?limit=200")
    return [event["kind"] for event in answer.raise_for_status().json()["items"]]
