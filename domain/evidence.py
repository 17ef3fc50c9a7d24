"""Evidence: preserved objects with hash and custody. Bytes never change; a new item may supersede an old one."""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from domain.changes import Change
from domain.doings import AHEAD_AT_MOST
from domain.gating import View, refusal_of, speaking
from domain.record import Evidence
from domain.refusals import Conflict, GateRefused, InputError, Invalid
from domain.timeline import instant_text

RESTRICTED_KINDS = frozenset({"screenshot", "transcript", "email_original"})
"""Preserved prompts and messages may repeat the leaked data, so they are restricted unless said otherwise."""


class NewEvidence(Struct, frozen=True, kw_only=True):
    """A file that has been received and hashed, and what its bringer says of it."""

    id: UUID
    sha256: str
    size: int
    media_type: str
    filename: str
    kind: str
    title: str | None = None
    action_id: str | None = None
    sensitivity: str | None = None
    collected_by: UUID | None = None
    collected_at: datetime | None = None
    collected_from: str | None = None
    collection_method: str | None = None
    supersedes_id: UUID | None = None
    redacted_copy_of_id: UUID | None = None


def attach_evidence(change: Change, item: NewEvidence) -> Evidence:
    """Attach a received file. Raises Invalid for references outside this incident, Conflict on a closed one."""
    record = change.record
    if record.incident.status in ("closed", "rejected"):
        raise Conflict(f"The incident is {record.incident.status}.", current={"status": record.incident.status})
    _check(change, item)
    usual = "restricted" if item.kind in RESTRICTED_KINDS else "internal"
    made = Evidence(
        id=item.id,
        action_id=item.action_id,
        kind=item.kind,
        title=item.title or item.filename,
        filename=item.filename,
        sha256=item.sha256,
        size=item.size,
        media_type=item.media_type,
        sensitivity="restricted" if _is_restricted(change) else item.sensitivity or usual,
        collected_by=item.collected_by or change.person_id,
        collected_at=item.collected_at or change.now,
        collected_from=item.collected_from,
        collection_method=item.collection_method,
        attached_by_kind=change.actor.kind,
        attached_by_id=change.actor.id,
        attached_at=change.now,
        supersedes_id=item.supersedes_id,
        redacted_copy_of_id=item.redacted_copy_of_id,
        custody=[custody(change, "received and hashed")],
    )
    record.evidence[str(made.id)] = made
    change.emit(
        "evidence.attached",
        occurred_at=made.collected_at,
        evidence_id=made.id,
        action_id=made.action_id,
        sha256=made.sha256,
        size=made.size,
    )
    return made


def restrict_evidence(change: Change) -> None:
    """Keep all evidence from those who may not read what is restricted; what is attached later is restricted too."""
    opened = [item for item in change.record.evidence.values() if item.sensitivity != "restricted"]
    for item in opened:
        item.sensitivity = "restricted"
        item.custody = [*item.custody, custody(change, "restricted")]
    if opened:
        change.emit("evidence.restricted", evidence_ids=[item.id for item in opened])


def _is_restricted(change: Change) -> bool:
    playbook = change.playbook
    runs = change.record.actions.values()
    found = (playbook.action(run.id) for run in runs if run.status == "done") if playbook is not None else ()
    return any(action is not None and action.restricts is not None for action in found)


def read_restricted(change: Change, evidence_id: str) -> None:
    """Each reading of a restricted item is an event and an entry of its custody."""
    item = change.record.evidence[evidence_id]
    item.custody = [*item.custody, custody(change, "content read")]
    change.emit("evidence.read", evidence_id=item.id)


def check_removal(change: Change) -> None:
    """Raise GateRefused where a gate lets nothing be taken away from the evidence yet.

    An erasure asks this before it strips an item of what is said about it. What turned out to be no incident is kept
    for nobody: there no gate speaks.
    """
    if change.record.incident.status == "rejected":
        return
    view = View(change)
    for gate in speaking(view, {"kind": "evidence.remove", "step": "", "action": "", "notification": {}}):
        gate_id, message, missing = refusal_of(view, gate)
        refusal = GateRefused(message, gate=gate_id, missing=missing)
        refusal.incident_id = change.record.incident.id
        raise refusal


def custody(change: Change, what: str) -> dict[str, Any]:
    """One entry of a chain of custody: who, what, when."""
    return {"who": str(change.actor.id), "what": what, "when": instant_text(change.now)}


def _check(change: Change, item: NewEvidence) -> None:
    record = change.record
    if item.action_id is not None and item.action_id not in record.actions:
        text = "is no action of this incident"
        raise Invalid(f"/action_id {text}.", errors=[InputError("/action_id", text)])
    for name in ("supersedes_id", "redacted_copy_of_id"):
        value = getattr(item, name)
        if value is not None and str(value) not in record.evidence:
            raise Invalid(
                f"/{name} is unknown here.", errors=[InputError(f"/{name}", "is no evidence of this incident")]
            )
    if item.collected_at is not None and item.collected_at > change.now + AHEAD_AT_MOST:
        raise Invalid("/collected_at lies in the future.", errors=[InputError("/collected_at", "lies in the future")])
    if item.collected_by is not None and item.collected_by not in change.around.people:
        raise Invalid("/collected_by is unknown.", errors=[InputError("/collected_by", "is nobody of this tenant")])
