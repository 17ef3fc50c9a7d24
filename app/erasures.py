"""Erasing personal data: asked for by privacy, approved by counsel, done in one transaction.

What goes: the data of the events that hold a text (their frames and digests stay, so the chain verifies), the text in
the record, in kept deliveries and in stored answers. The erasure event says which events it emptied and carries the
present values of the columns they had set, so what is stored is still what the events fold to.

Not offered: erasing the bytes of an evidence file. A file goes only by a tombstone that names its hash, person and
reason, and not while a legal hold is set.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import orjson
from msgspec import Struct

from app.authentication import Principal, wall
from app.database import Db
from app.events import append, frames, lock_head
from app.idempotency import open_body
from app.ids import new_id
from app.incidents import begin_change, write_change
from app.rebuild import KEYS, OF_INCIDENT
from app.record import BY_GENERATION, Stored, lock_record
from app.secrets import Unsealable, Vault
from domain.actors import Actor
from domain.changes import Event
from domain.erasures import (
    check_request,
    clean_column,
    redact,
    repeats,
    strips_evidence,
    texts_of_event,
    texts_of_fields,
)
from domain.evidence import check_removal
from domain.permissions import allows
from domain.record import Record
from domain.refusals import Conflict, Forbidden, InputError, Invalid, NotFound
from domain.settling import settle

ANSWERS_AT_ONCE = 200
_LOCK = "SELECT * FROM erasures WHERE tenant_id = $1 AND incident_id = $2 AND id = $3 FOR UPDATE"
_DATA = """
SELECT seq, data::text AS data FROM event_data
WHERE tenant_id = $1 AND stream = 'incident' AND stream_id = $2 ORDER BY seq
"""
_DELIVERIES = """
UPDATE hook_deliveries SET body = '', headers = '{}', because = NULL, error = NULL
WHERE tenant_id = $1 AND incident_id = $2 AND EXISTS (
    SELECT 1 FROM unnest($3::bytea[]) AS t
    WHERE position(t IN body) > 0 OR position(t IN convert_to(headers::text, 'UTF8')) > 0)
"""
# What a receiver answered may be what it was told; the beginning of an answer is no loss.
_EXCERPTS = """
UPDATE webhook_deliveries SET response_excerpt = NULL
WHERE tenant_id = $1 AND endpoint_id IN (SELECT id FROM webhook_endpoints WHERE tenant_id = $1)
  AND stream = 'incident' AND stream_id = $2 AND response_excerpt IS NOT NULL
"""
_ANSWERS = """
SELECT principal_id, route, key, answer FROM idempotency_keys
WHERE tenant_id = $1 AND answer IS NOT NULL AND created_at >= $2 AND (principal_id, route, key) > ($3, $4, $5)
ORDER BY principal_id, route, key LIMIT $6
"""


class Request(Struct, frozen=True, kw_only=True):
    """What is to be erased: events by number, fields by pointer, and why."""

    event_seqs: list[int]
    fields: list[str]
    reason: str


class OwnRequest(Forbidden):
    """Whoever asks for an erasure does not approve it."""

    code = "four-eyes"


async def request_erasure(db: Db, principal: Principal, incident_id: UUID, asked: Request) -> UUID:
    """Ask for an erasure; its id. Nothing is erased yet. Raises NotFound, Forbidden and Invalid."""
    _require(principal.actor, "erase.request")
    stored = await lock_record(db, incident_id)
    check_request(stored.record, asked.event_seqs, asked.fields, stored.head_seq)
    erasure_id, now = new_id(), datetime.now(UTC)
    row = {
        "id": erasure_id,
        "incident_id": incident_id,
        "event_seqs": sorted(set(asked.event_seqs)),
        "fields": list(dict.fromkeys(asked.fields)),
        "reason": asked.reason,
        "requested_by": principal.actor.id,
        "requested_at": now,
    }
    await db.execute(
        "INSERT INTO erasures (tenant_id, id, incident_id, event_seqs, fields, reason, requested_by, requested_at)"
        " VALUES ($1, $2, $3, $4, $5::jsonb, $6, $7, $8)",
        db.tenant_id,
        erasure_id,
        incident_id,
        row["event_seqs"],
        orjson.dumps(row["fields"]).decode(),
        asked.reason,
        principal.actor.id,
        now,
    )
    told = {"erasure_id": erasure_id, "changes": {"erasures": {str(erasure_id): row}}}
    await append(db, "incident", incident_id, "erasure.requested", told, actor=principal.actor, recorded_at=now)
    return erasure_id


async def reject_erasure(db: Db, principal: Principal, incident_id: UUID, erasure_id: UUID, reason: str) -> None:
    """Refuse an erasure, with a reason. Raises NotFound, Forbidden, Conflict once it is decided."""
    _require(principal.actor, "erase.approve")
    await lock_record(db, incident_id)
    await _lock(db, incident_id, erasure_id)
    now = datetime.now(UTC)
    columns = {"rejected_by": principal.actor.id, "rejected_at": now}
    await db.execute(
        "UPDATE erasures SET rejected_by = $3, rejected_at = $4 WHERE tenant_id = $1 AND id = $2",
        db.tenant_id,
        erasure_id,
        principal.actor.id,
        now,
    )
    told = {"erasure_id": erasure_id, "reason": reason, "changes": {"erasures": {str(erasure_id): columns}}}
    await append(db, "incident", incident_id, "erasure.rejected", told, actor=principal.actor, recorded_at=now)


async def approve_erasure(db: Db, principal: Principal, vault: Vault, incident_id: UUID, erasure_id: UUID) -> None:
    """Approve an erasure and carry it out.

    Raises NotFound, Forbidden, OwnRequest, Conflict once it is decided, GateRefused where a gate of the playbook keeps
    the evidence as it is for now, and Invalid where a field named in the request is gone, is under a legal hold, or
    could not be read by the rules without its text.
    """
    _require(principal.actor, "erase.approve")
    stored = await lock_record(db, incident_id)
    asked = await _lock(db, incident_id, erasure_id)
    if asked["requested_by"] == principal.actor.id:
        raise OwnRequest("Another person than the one who asked has to approve an erasure.")
    fields = orjson.loads(asked["fields"])
    check_request(stored.record, asked["event_seqs"], fields, stored.head_seq)
    _check_hold(stored.record, fields)
    await db.wall(None, None)  # whoever may erase here erases every copy, seen or not
    data = {row["seq"]: orjson.loads(row["data"]) for row in await db.fetch(_DATA, db.tenant_id, incident_id)}
    texts = texts_of_fields(stored.record, fields)
    for seq in asked["event_seqs"]:
        texts |= texts_of_event(data.get(seq, {}))
    seqs = sorted({*asked["event_seqs"], *(seq for seq, said in data.items() if repeats(said, texts))} & data.keys())
    reported_at = stored.record.incident.reported_at
    await _redact_record(db, stored, principal.actor, erasure_id, texts)
    await _redact_earlier(db, incident_id, stored.record.incident.generation, texts)
    executed_at = datetime.now(UTC)
    await db.execute(
        "UPDATE erasures SET approved_by = $3, executed_at = $4, event_seqs = $5 WHERE tenant_id = $1 AND id = $2",
        db.tenant_id,
        erasure_id,
        principal.actor.id,
        executed_at,
        seqs,
    )
    decided = {"approved_by": principal.actor.id, "executed_at": executed_at, "event_seqs": seqs}
    restated = await _restated(db, incident_id, [data[seq] for seq in seqs])
    restated.setdefault("erasures", {}).setdefault(str(erasure_id), {}).update(decided)
    told = {"erasure_id": erasure_id, "event_seqs": seqs, "fields": fields, "changes": restated}
    await _erase_events(db, principal.actor, incident_id, seqs, told, executed_at)
    if texts:
        await _clean_deliveries(db, incident_id, texts)
        await _clean_answers(db, vault, texts, reported_at)
    await wall(db, principal)


async def _redact_record(db: Db, stored: Stored, actor: Actor, erasure_id: UUID, texts: Collection[str]) -> None:
    """Write the record without the texts. Nothing is settled: an erasure decides nothing again."""
    change = await begin_change(db, None, stored, actor)
    if strips_evidence(stored.record, texts):
        check_removal(change)
    change.emit("erasure.approved", erasure_id=erasure_id)
    redact(stored.record, texts)
    copy = msgspec.json.decode(msgspec.json.encode(stored.record), type=Record)
    try:
        settle(await begin_change(db, None, Stored(record=copy), actor))
    except Exception as error:
        text = "holds a word that the rules need; name the texts beside it instead"
        raise Invalid(f"A field {text}.", code="erasure-breaks-record", errors=[InputError("/fields", text)]) from error
    await write_change(db, None, stored, change)


async def _redact_earlier(db: Db, incident_id: UUID, generation: int, texts: Collection[str]) -> None:
    """The actions of playbooks that the incident ran before are no part of the record, but are kept."""
    rows = await db.fetch(
        "SELECT generation, id, values::text AS values, note, reason, approvals::text AS approvals FROM action_runs"
        " WHERE tenant_id = $1 AND incident_id = $2 AND generation < $3",
        db.tenant_id,
        incident_id,
        generation,
    )
    for row in rows:
        held = {"note": row["note"], "reason": row["reason"]}
        held |= {name: orjson.loads(row[name]) if row[name] is not None else None for name in ("values", "approvals")}
        clean = {name: clean_column(name, value, texts) for name, value in held.items()}
        if clean != held:
            await db.execute(
                "UPDATE action_runs SET note = $5, reason = $6, values = $7::jsonb, approvals = $8::jsonb"
                " WHERE tenant_id = $1 AND incident_id = $2 AND generation = $3 AND id = $4",
                db.tenant_id,
                incident_id,
                row["generation"],
                row["id"],
                clean["note"],
                clean["reason"],
                None if clean["values"] is None else orjson.dumps(clean["values"]).decode(),
                orjson.dumps(clean["approvals"]).decode(),
            )


async def _restated(db: Db, incident_id: UUID, said: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The present value of every column that the erased events had set, in the form of their changes."""
    named: dict[str, dict[str, set[str]]] = {}
    for data in said:
        for table, rows in (data.get("changes") or {}).items():
            for key, columns in rows.items():
                named.setdefault(table, {}).setdefault(key, set()).update(columns)
    restated: dict[str, Any] = {}
    for table, rows in named.items():
        key = f"t.{KEYS.get(table, 'id')}::text"
        if table in BY_GENERATION:
            key = f"t.generation || '/' || {key}"
        own = "AND t.incident_id = $3" if table in OF_INCIDENT else "AND $3::uuid IS NOT NULL"
        found = await db.fetch(
            f"SELECT {key} AS key, to_jsonb(t)::text AS row FROM {table} t"
            f" WHERE t.tenant_id = $1 AND {key} = ANY ($2::text[]) {own}",
            db.tenant_id,
            list(rows),
            incident_id,
        )
        for one in found:
            stored = orjson.loads(one["row"])
            restated.setdefault(table, {})[one["key"]] = {name: stored[name] for name in sorted(rows[one["key"]])}
    return restated


async def _erase_events(
    db: Db, actor: Actor, incident_id: UUID, seqs: list[int], told: Mapping[str, Any], at: datetime
) -> None:
    seq, head = await lock_head(db, "incident", incident_id)
    [frame] = frames(
        db.tenant_id, "incident", incident_id, seq, head, [Event("data.erased", dict(told), at)], actor, at
    )
    erased = await db.value("SELECT erase_event_data($1::jsonb, $2::integer[])", orjson.dumps(frame).decode(), seqs)
    assert erased == len(seqs), "the data of every event it names was there under the lock"


async def _clean_deliveries(db: Db, incident_id: UUID, texts: Collection[str]) -> None:
    """Empty the kept deliveries that hold a text, as UTF-8 or as JSON writes it in ASCII, and what receivers said."""
    forms = {form for text in texts for form in _forms(text)}
    await db.execute(_DELIVERIES, db.tenant_id, incident_id, sorted(forms))
    await db.execute(_EXCERPTS, db.tenant_id, incident_id)


def _forms(text: str) -> set[bytes]:
    escaped = "".join(c if c.isascii() else "".join(f"\\u{unit:04x}" for unit in _units(c)) for c in text)
    return {text.encode(), orjson.dumps(text)[1:-1], escaped.encode(), escaped.upper().replace("\\U", "\\u").encode()}


def _units(character: str) -> list[int]:
    raw = character.encode("utf-16-be")
    return [int.from_bytes(raw[n : n + 2]) for n in range(0, len(raw), 2)]


async def _clean_answers(db: Db, vault: Vault, texts: Collection[str], since: datetime) -> None:
    """Drop stored answers that hold a text. The key stays, so a repetition still does nothing twice."""
    forms = [orjson.dumps(text)[1:-1] for text in texts]
    place: tuple[UUID, str, str] = (UUID(int=0), "", "")
    while True:
        rows = await db.fetch(_ANSWERS, db.tenant_id, since, *place, ANSWERS_AT_ONCE)
        for row in rows:
            # The binding text of app/idempotency.py.
            about = f"idempotency\n{db.tenant_id}\n{row['principal_id']}\n{row['route']}\n{row['key']}".encode()
            if _answer_holds(vault, row["answer"], about, forms):
                await db.execute(
                    "UPDATE idempotency_keys SET answer = NULL"
                    " WHERE tenant_id = $1 AND principal_id = $2 AND route = $3 AND key = $4",
                    db.tenant_id,
                    row["principal_id"],
                    row["route"],
                    row["key"],
                )
        if len(rows) < ANSWERS_AT_ONCE:
            return
        place = (rows[-1]["principal_id"], rows[-1]["route"], rows[-1]["key"])


def _answer_holds(vault: Vault, sealed: bytes, about: bytes, forms: Collection[bytes]) -> bool:
    try:
        answer = open_body(vault, sealed, about)
    except Unsealable:
        return True  # nobody can read it, and nobody can say what it holds
    return any(form in answer for form in forms)


async def _lock(db: Db, incident_id: UUID, erasure_id: UUID) -> Mapping[str, Any]:
    row = await db.row(_LOCK, db.tenant_id, incident_id, erasure_id)
    if row is None:
        raise NotFound
    if row["executed_at"] is not None or row["rejected_at"] is not None:
        state = "executed" if row["executed_at"] is not None else "rejected"
        raise Conflict(f"The erasure is {state}.", current={"state": state})
    found: Mapping[str, Any] = row
    return found


def _check_hold(record: Record, fields: list[str]) -> None:
    """A legal hold keeps everything that is said of the file it is on."""
    for number, pointer in enumerate(fields):
        part, _, rest = pointer[1:].partition("/")
        item = record.evidence.get(rest.partition("/")[0]) if part == "evidence" else None
        if item is not None and item.legal_hold:
            text = "is under a legal hold"
            raise Invalid(f"{pointer} {text}.", code="legal-hold", errors=[InputError(f"/fields/{number}", text)])


def _require(actor: Actor, operation: str) -> None:
    if not allows(operation, actor.roles, actor.kind):
        raise Forbidden(f"Your roles do not allow {operation}.")
