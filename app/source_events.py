"""What a delivery does to incidents: each event finds the incident it is about, or opens one."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct, field, structs

from app.correlations import Counted, begin_correlation, count_alert, window_of
from app.database import Db
from app.incidents import ReferenceTaken, change_incident, find_by_reference, lock_reference, open_incident
from app.source_files import Keeping, keep_files
from app.sources import Source
from app.unmapped_clients import note_unmapped
from app.waiting_deliveries import find_waiting, settle_waiting
from domain.changes import Change
from domain.mappings import DESCRIBING, Delivery, SourceEvent
from domain.source_events import (
    Origin,
    Result,
    apply_event,
    attach_files,
    count_event,
    known_playbook,
    report_of,
)
from domain.systems import System
from domain.ticket_notes import is_own_note, number_in

NOT_KNOWN = "No incident is known under this id; a later report still opens one, and then this counts."
NEWER = "Something newer has been told already."
BEFORE_MAX = 500  # deliveries that an older one may have been overtaken by
STRENGTH: tuple[Result, ...] = ("created", "updated", "noted", "ignored")

# The incident that carries a reference, what came before of this source about it, and whether a person has written its
# header. Of many deliveries the last ones say where it stands.
# A ticket that was opened and is not known is that of an attempt which has not ended, or has failed.
_OPENED_FOR = """
SELECT i.id FROM incidents i WHERE i.tenant_id = $1 AND i.number = $2 AND EXISTS (
    SELECT 1 FROM connections c
    JOIN webhook_endpoints e ON e.tenant_id = c.tenant_id AND e.connection_id = c.id
    JOIN webhook_deliveries d ON d.tenant_id = e.tenant_id AND d.endpoint_id = e.id
        AND d.stream = 'incident' AND d.stream_id = i.id AND d.status IN ('pending', 'failed')
    WHERE c.tenant_id = i.tenant_id AND (c.id = $3 OR c.system = $4 AND c.instance = $5))
"""
_BEFORE = f"""
WITH found AS MATERIALIZED (
    SELECT coalesce($7::uuid, (SELECT incident_id FROM external_references WHERE tenant_id = $1 AND system = $3
                               AND instance = $5 AND external_id = $6)) AS id)
SELECT (SELECT id FROM found) AS incident_id,
       (SELECT d.id FROM hook_deliveries d WHERE d.tenant_id = $1 AND d.source_id = $2 AND d.dedupe_key = $4
        AND d.result NOT IN ('unmapped', 'ignored')) AS same,
       (array_agg(d.id ORDER BY d.received_at DESC, d.id DESC))[1] AS last,
       max((d.headers ->> ':position')::bigint) AS position,
       max((d.headers ->> ':described')::bigint) AS described,
       EXISTS (SELECT 1 FROM events e JOIN event_data t ON t.tenant_id = e.tenant_id AND t.stream = e.stream
               AND t.stream_id = e.stream_id AND t.seq = e.seq
               WHERE e.tenant_id = $1 AND e.stream = 'incident' AND e.stream_id = (SELECT id FROM found)
               AND e.actor_kind = 'person' AND e.kind = 'incident.edited'
               AND t.data -> 'fields' ?| ARRAY['title', 'summary', 'labels']) AS is_edited
FROM (SELECT id, headers, received_at FROM hook_deliveries
      WHERE tenant_id = $1 AND incident_id = (SELECT id FROM found) AND source_id = $2
      ORDER BY received_at DESC LIMIT {BEFORE_MAX}) d
"""
_SAME = """
SELECT close_asked IS NULL AND title = coalesce($3, title)
   AND severity_hint IS NOT DISTINCT FROM coalesce($4, severity_hint)
FROM incidents WHERE tenant_id = $1 AND id = $2
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
    """What a delivery did, and why. `number` is that of the incident, where it is known already.

    `waiting_for` is the id of something unknown that it told of; `is_counted` says that it is one of many alerts.
    """

    result: Result
    because: str
    incident_id: UUID | None = None
    number: str | None = None
    waiting_for: str | None = None
    is_counted: bool = False


class Doing(Struct, kw_only=True):
    """A delivery that is about to act. `dedupe_key` may be made longer by what is found; `opened` are the events that
    opened incidents, for which others may wait.

    Without a `keeping` its files are left alone, as they are when it is only tried.
    """

    source: Source
    system: System
    delivery_id: UUID
    dedupe_key: str
    at: datetime
    keeping: Keeping | None = None
    has_written: bool = False
    opened: list[tuple[SourceEvent, UUID]] = field(default_factory=list)

    @property
    def origin(self) -> Origin:
        """Where its events come from."""
        return self.origin_of(self.delivery_id)

    def origin_of(self, delivery_id: UUID) -> Origin:
        """Where the events of another delivery of the same source come from."""
        defaults = self.source.defaults
        return Origin(
            source_id=self.source.id,
            delivery_id=delivery_id,
            system=self.system,
            instance=self.source.instance,
            labels=tuple(defaults.get("labels") or ()),
            facts=defaults.get("facts") or {},
        )


async def act(db: Db, doing: Doing, delivery: Delivery) -> Outcome:
    """Let every event of a delivery act; the outcome is the first with the strongest result.

    Raises Repeated, ReferenceTaken when another door was faster, and Invalid for what an incident cannot hold.
    """
    # In one order everywhere, so that two deliveries about the same things wait for each other instead of for ever.
    events = sorted(delivery.events, key=lambda event: event.external_id or "")
    if len(events) > 1:
        # All of them before anything else is locked: a counter taken in between would close a circle.
        names = [event.external_id for event in events if event.external_id is not None]
        names += sorted(_lock_name(event.correlation) for event in events if event.correlation is not None)
        for name in names:
            await lock_reference(db, doing.source.system, doing.source.instance, name)
    outcomes = [await _act_on(db, doing, event) for event in events]
    outcomes.sort(key=lambda outcome: STRENGTH.index(outcome.result))
    first = outcomes[0]
    if len(outcomes) > 1:
        counts = {name: sum(outcome.result == name for outcome in outcomes) for name in STRENGTH}
        told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        first.because = f"{first.because} In all: {told}."
    return first


async def act_on_waiting(db: Db, doing: Doing) -> None:
    """Let act what came before the things that this delivery opened, in the order in which it happened."""
    for event, incident_id in doing.opened:
        for waiting in await find_waiting(db, doing.source, doing.system, event.external_id or ""):
            late = waiting.event
            if late.action != "comment" and (late.position or 0) < (event.position or 0):
                await settle_waiting(db, waiting, "ignored", NEWER, incident_id)
                continue
            said, origin = Outcome("noted", ""), doing.origin_of(waiting.delivery_id)

            def apply(change: Change, late: SourceEvent = late, origin: Origin = origin, said: Outcome = said) -> None:
                said.result, said.because = apply_event(change, late, origin, is_edited=False)

            await change_incident(db, doing.source.principal, incident_id, apply)
            await _attach(db, doing, late, incident_id, origin)
            await settle_waiting(db, waiting, said.result, f"It came first. {said.because}", incident_id)


async def _act_on(db: Db, doing: Doing, event: SourceEvent) -> Outcome:
    source, name = doing.source, doing.system.title
    if event.action == "ignore":
        return Outcome("ignored", event.because or f"{name} sends it for information.")
    wanted = source.limits.get("sender")
    if wanted is not None and event.sender != wanted:
        return Outcome("ignored", "It comes from another organisation than the one this source is for.")
    if _is_own(source, event):
        return Outcome("ignored", "It is our own doing, which comes back.")
    if event.external_id is None and event.action != "open":
        return Outcome("ignored", "It does not say what it is about.")
    if event.action != "open" and event.external_id is not None:
        await lock_reference(db, source.system, source.instance, event.external_id)
        before = await _before(db, doing, event)
        if before["incident_id"] is not None:
            return await _change(db, doing, event, before)
        if event.action != "update" or not (event.title or event.summary):
            return Outcome("ignored", NOT_KNOWN, waiting_for=event.external_id)
    if source.own_accounts is not None and (opened := await _opened_for(db, source, event)) is not None:
        return await _change(db, doing, event, await _before(db, doing, event, opened))
    try:
        return await _count_or_open(db, doing, event)
    except ReferenceTaken as taken:
        if taken.current is None:
            raise  # the race was lost at the unique key, and the transaction with it
        return await _change(db, doing, event, await _before(db, doing, event))


async def _before(db: Db, doing: Doing, event: SourceEvent, incident_id: UUID | None = None) -> Mapping[str, Any]:
    """The incident that an event is about, that of its reference unless it is known, and what came before."""
    source = doing.source
    reference = (source.system, doing.dedupe_key, source.instance, event.external_id)
    row: Mapping[str, Any] | None = await db.row(_BEFORE, db.tenant_id, source.id, *reference, incident_id)
    assert row is not None, "an aggregate has a row"
    return row


def _is_own(source: Source, event: SourceEvent) -> bool:
    """Whether this is what we did there ourselves, or what we wrote."""
    own = (*(source.limits.get("own_authors") or ()), *(source.own_accounts or ()))
    return (event.author is not None and event.author != "" and event.author in own) or is_own_note(event.comment)


async def _opened_for(db: Db, source: Source, event: SourceEvent) -> UUID | None:
    """The incident that a ticket was opened for, told by its title: it may come back before it is known here.

    Anybody can write a number into a title, so it means something only while we may have opened a ticket.
    """
    number = number_in(event.title)
    if number is None:
        return None
    about = number, source.connection_id, source.system, source.instance
    found: UUID | None = await db.value(_OPENED_FOR, db.tenant_id, *about)
    return found


async def _count_or_open(db: Db, doing: Doing, event: SourceEvent) -> Outcome:
    """Open an incident, unless an open one stands for alerts like this already."""
    source, key = doing.source, event.correlation
    if event.action != "open" or key is None or not window_of(source):
        return await _open(db, doing, event)
    if event.external_id is not None:
        await lock_reference(db, source.system, source.instance, event.external_id)
        if await find_by_reference(db, source.system, source.instance, event.external_id) is not None:
            return await _open(db, doing, event)  # which finds it taken
    await lock_reference(db, source.system, source.instance, _lock_name(key))
    counted = await count_alert(db, source, key, doing.at)
    if counted is None:
        outcome = await _open(db, doing, event)
        assert outcome.incident_id is not None
        await begin_correlation(db, source, key, outcome.incident_id, doing.at)
        return outcome
    doing.has_written = True
    if counted.is_told:
        origin = doing.origin

        def tell(change: Change) -> None:
            count_event(change, event, origin, counted.alerts, counted.first_at)

        await change_incident(db, source.principal, counted.incident_id, tell)
    because = f"It is one of {counted.alerts} alike; they are counted."
    return Outcome("noted", because, counted.incident_id, counted.number, is_counted=True)


def _lock_name(key: str) -> str:
    return f"correlation\n{key}"


async def _open(db: Db, doing: Doing, event: SourceEvent) -> Outcome:
    clients, how = await _clients(db, doing.source, event)
    name, principal = doing.system.title, doing.source.principal
    hint, why = _playbook(doing, event)
    report = report_of(event, doing.origin, clients, doing.at)
    if hint is not None:
        # Named by an alert, a playbook stays a suggestion: declaring it is left to people.
        report = structs.replace(report, suggestion={"slug": hint, "because": why})
    incident_id = await open_incident(db, principal, report)
    doing.has_written = True
    if event.external_id is not None:
        doing.opened.append((event, incident_id))
    await _attach(db, doing, event, incident_id, doing.origin)
    if not clients or how:
        named = event.client_ref or event.client_name
        if named is not None:
            await note_unmapped(db, doing.source.id, named, event.client_name, incident_id, doing.at)
    return Outcome("created", f"{event.because or f'{name} reported it.'} {how}".strip(), incident_id)


def _playbook(doing: Doing, event: SourceEvent) -> tuple[str | None, str]:
    """The playbook that people of the tenant or the sender named for this report, and who: the nearest to it counts."""
    met = event.met.playbook if event.met is not None else None
    named = (
        (met, event.met.because if event.met is not None else ""),
        (event.playbook_hint, f"{doing.system.title} names this playbook."),
        (doing.source.defaults.get("playbook"), "It is the usual one of this source."),
    )
    return next(((slug, why) for slug, why in named if known_playbook(slug) is not None), (None, ""))


async def _change(db: Db, doing: Doing, event: SourceEvent, before: Mapping[str, Any]) -> Outcome:
    incident_id: UUID = before["incident_id"]
    if before["same"] is not None:
        # Without a name of its own, an alert that fires again after something else happened looks like a repetition.
        if doing.dedupe_key.startswith("id:") or before["same"] == before["last"] or event.position is not None:
            raise Repeated(is_clean=not doing.has_written)
        doing.dedupe_key = f"{doing.dedupe_key}:{doing.delivery_id}"
    # A note that comes late is news all the same; a state that is old is not.
    newest = before["position"] if event.action != "comment" else None
    is_late = event.position is not None and newest is not None and event.position < newest
    # What describes it better than all that was told before still does after a later end.
    if is_late and (event.action not in DESCRIBING or (event.position or 0) < (before["described"] or 0)):
        return Outcome("ignored", NEWER, incident_id)
    counted = await _count_repetition(db, doing, event, incident_id)
    if counted is not None and not counted.is_told:
        because = f"It is the same as before, for the {counted.alerts}th time; it is counted."
        return Outcome("noted", because, incident_id, counted.number)
    origin, said = doing.origin, Outcome("noted", "", incident_id)

    def apply(change: Change) -> None:
        said.result, said.because = apply_event(change, event, origin, is_edited=before["is_edited"], is_late=is_late)

    doing.has_written = True
    record = await change_incident(db, doing.source.principal, incident_id, apply)
    said.number = record.incident.number
    await _attach(db, doing, event, incident_id, origin)
    return said


async def _attach(db: Db, doing: Doing, event: SourceEvent, incident_id: UUID, origin: Origin) -> None:
    """Keep the files of an event as evidence of an incident that it reached."""
    if not event.files or doing.keeping is None:
        return
    principal, sender = doing.source.principal, doing.system.title
    kept, items = await keep_files(db, doing.keeping, principal, incident_id, event.files, sender=sender)
    event = structs.replace(event, files=kept)
    await change_incident(db, principal, incident_id, lambda change: attach_files(change, event, origin, items))


async def _count_repetition(db: Db, doing: Doing, event: SourceEvent, incident_id: UUID) -> Counted | None:
    """Count an alert that fires again and says nothing new, None for any other event."""
    source = doing.source
    if event.action != "open" or event.external_id is None or event.facts or not window_of(source):
        return None
    same = await db.value(_SAME, db.tenant_id, incident_id, event.title, event.severity_hint)
    if not same:
        return None
    doing.has_written = True
    key = f"again\n{event.external_id}"
    counted = await count_alert(db, source, key, doing.at)
    if counted is None:
        await begin_correlation(db, source, key, incident_id, doing.at)
    return counted


async def _clients(db: Db, source: Source, event: SourceEvent) -> tuple[list[UUID], str]:
    """The client by the source's map, by what the system calls it, by a rule, or the usual one; and what is amiss.

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
    unknown = "The client it names is not known here." if named else ""
    if event.met is not None and event.met.client_id is not None:
        return [event.met.client_id], ""
    return ([source.default_client_id] if source.default_client_id is not None else []), unknown
