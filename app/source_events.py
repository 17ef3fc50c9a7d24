"""What a delivery does to incidents: each event finds the incident it is about, or opens one."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct, structs

from app.database import Db
from app.incidents import ReferenceTaken, change_incident, find_by_reference, lock_reference, open_incident
from app.sources import Source
from domain.changes import Change
from domain.mappings import Delivery, SourceEvent
from domain.source_events import Origin, Result, apply_event, known_playbook, report_of
from domain.systems import System

STRENGTH: tuple[Result, ...] = ("created", "updated", "noted", "ignored")

# What came before of this source about one incident, and whether a person has written its header.
_BEFORE = """
SELECT (SELECT d.id FROM hook_deliveries d WHERE d.tenant_id = $1 AND d.source_id = $2 AND d.dedupe_key = $4
        AND d.result NOT IN ('unmapped', 'ignored')) AS same,
       (array_agg(d.id ORDER BY d.received_at DESC, d.id DESC))[1] AS last,
       max((d.headers ->> ':position')::bigint) AS position,
       EXISTS (SELECT 1 FROM events e JOIN event_data t ON t.tenant_id = e.tenant_id AND t.stream = e.stream
               AND t.stream_id = e.stream_id AND t.seq = e.seq
               WHERE e.tenant_id = $1 AND e.stream = 'incident' AND e.stream_id = $3 AND e.actor_kind = 'person'
               AND e.kind = 'incident.edited'
               AND t.data -> 'fields' ?| ARRAY['title', 'summary', 'labels']) AS is_edited
FROM hook_deliveries d WHERE d.tenant_id = $1 AND d.incident_id = $3 AND d.source_id = $2
"""
_FIND_CLIENT = """
SELECT r.client_id FROM client_references r
JOIN clients c ON c.tenant_id = r.tenant_id AND c.id = r.client_id AND c.active
WHERE r.tenant_id = $1 AND r.system = $2 AND r.instance = ANY ($3) AND r.external_id = $4
ORDER BY r.instance = '-' LIMIT 1
"""


class Repeated(Exception):
    """The delivery was taken before, perhaps a moment ago. `is_clean`: nothing was written before it was found out;
    else the transaction has to be rolled back."""

    def __init__(self, *, is_clean: bool = False) -> None:
        super().__init__()
        self.is_clean = is_clean


class Outcome(Struct):
    """What a delivery did, and why. `number` is that of the incident, where it is known already."""

    result: Result
    because: str
    incident_id: UUID | None = None
    number: str | None = None


class Doing(Struct, kw_only=True):
    """A delivery that is about to act. `dedupe_key` may be made longer by what is found."""

    source: Source
    system: System
    delivery_id: UUID
    dedupe_key: str
    at: datetime
    has_written: bool = False

    @property
    def origin(self) -> Origin:
        """Where its events come from."""
        defaults = self.source.defaults
        return Origin(
            source_id=self.source.id,
            delivery_id=self.delivery_id,
            system=self.system,
            instance=self.source.instance,
            labels=tuple(defaults.get("labels") or ()),
        )


async def act(db: Db, doing: Doing, delivery: Delivery) -> Outcome:
    """Let every event of a delivery act; the outcome is the first with the strongest result.

    Raises Repeated, ReferenceTaken when another door was faster, and Invalid for what an incident cannot hold.
    """
    # In one order everywhere, so that two deliveries about the same things wait for each other instead of for ever.
    events = sorted(delivery.events, key=lambda event: event.external_id or "")
    if len(events) > 1:
        # All of them before anything else is locked: a counter taken in between would close a circle.
        for name in [event.external_id for event in events if event.external_id is not None]:
            await lock_reference(db, doing.source.system, doing.source.instance, name)
    outcomes = [await _act_on(db, doing, event) for event in events]
    outcomes.sort(key=lambda outcome: STRENGTH.index(outcome.result))
    first = outcomes[0]
    if len(outcomes) > 1:
        counts = {name: sum(outcome.result == name for outcome in outcomes) for name in STRENGTH}
        told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        first.because = f"{first.because} In all: {told}."
    return first


async def _act_on(db: Db, doing: Doing, event: SourceEvent) -> Outcome:
    source, name = doing.source, doing.system.title
    if event.action == "ignore":
        return Outcome("ignored", event.because or f"{name} sends it for information.")
    wanted = source.limits.get("sender")
    if wanted is not None and event.sender != wanted:
        return Outcome("ignored", "It comes from another organisation than the one this source is for.")
    if event.external_id is None and event.action != "open":
        return Outcome("ignored", "It does not say what it is about.")
    found: UUID | None = None
    if event.action != "open" and event.external_id is not None:
        await lock_reference(db, source.system, source.instance, event.external_id)
        found = await find_by_reference(db, source.system, source.instance, event.external_id)
        if found is None and (event.action != "update" or not (event.title or event.summary)):
            return Outcome("ignored", "No incident is known under this id; a later report still opens one.")
    if found is None:
        try:
            return await _open(db, doing, event)
        except ReferenceTaken as taken:
            if taken.current is None:
                raise  # the race was lost at the unique key, and the transaction with it
            found = UUID(str(taken.current["id"]))
    return await _change(db, doing, event, found)


async def _open(db: Db, doing: Doing, event: SourceEvent) -> Outcome:
    clients, how = await _clients(db, doing.source, event)
    name, principal = doing.system.title, doing.source.principal
    hint, why = known_playbook(event.playbook_hint), f"{name} names this playbook."
    if hint is None:
        hint, why = known_playbook(doing.source.defaults.get("playbook")), "It is the usual one of this source."
    report = report_of(event, doing.origin, clients, doing.at)
    if hint is not None:
        # Named by an alert, a playbook stays a suggestion: declaring it is left to people.
        report = structs.replace(report, suggestion={"slug": hint, "because": why})
    incident_id = await open_incident(db, principal, report)
    doing.has_written = True
    return Outcome("created", f"{event.because or f'{name} reported it.'} {how}".strip(), incident_id)


async def _change(db: Db, doing: Doing, event: SourceEvent, incident_id: UUID) -> Outcome:
    before = await db.row(_BEFORE, db.tenant_id, doing.source.id, incident_id, doing.dedupe_key)
    assert before is not None
    if before["same"] is not None:
        # Without a name of its own, an alert that fires again after something else happened looks like a repetition.
        if doing.dedupe_key.startswith("id:") or before["same"] == before["last"] or event.position is not None:
            raise Repeated(is_clean=not doing.has_written)
        doing.dedupe_key = f"{doing.dedupe_key}:{doing.delivery_id}"
    # A note that comes late is news all the same; a state that is old is not.
    newest = before["position"] if event.action != "comment" else None
    if event.position is not None and newest is not None and event.position < newest:
        return Outcome("ignored", "Something newer has been told already.", incident_id)
    origin, said = doing.origin, Outcome("noted", "", incident_id)

    def apply(change: Change) -> None:
        said.result, said.because = apply_event(change, event, origin, is_edited=before["is_edited"])

    doing.has_written = True
    record = await change_incident(db, doing.source.principal, incident_id, apply)
    said.number = record.incident.number
    return said


async def _clients(db: Db, source: Source, event: SourceEvent) -> tuple[list[UUID], str]:
    """The client by the source's map, by what the system calls it, or the source's default; and what is amiss.

    A body only ever names; which client a name means was said by people of the tenant.
    """
    named = [one for one in (event.client_ref, event.client_name) if one is not None]
    for one in named:
        if one in source.client_map:
            return [UUID(source.client_map[one])], ""
    if named:
        instances = [source.instance, "-"]
        found = await db.value(_FIND_CLIENT, db.tenant_id, source.system, instances, named[0])
        if found is not None:
            return [found], ""
    if source.default_client_id is not None:
        return [source.default_client_id], ""
    return [], "The client it names is not known here." if named else ""
