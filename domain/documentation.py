"""The twelve documentation items: what each still misses, and writing the ones a person writes."""

from collections.abc import Callable, Iterator
from typing import Any

from domain.changes import Change
from domain.discovery import move_discovery
from domain.gating import is_settled
from domain.items import documentation_items
from domain.record import Document, Record
from domain.refusals import Conflict, Forbidden, InputError, Invalid, Missing
from domain.schemas import check_schema
from domain.timeline import instant_text

DERIVED = ("D06", "D07", "D10", "D11")
DISCOVERY = ("D01", "D02")
EARLY = (*DISCOVERY, "D03", "D04", "D05")  # may be written by every actor of an open step
REASON_AT_LEAST = 20
STATEMENT_AT_LEAST = 30
GRAVE = ("SEV1", "SEV2")  # the verifier of a remediation must be another person than the doer


def new_documents() -> dict[str, Document]:
    """All twelve, empty."""
    return {item.id: Document(id=item.id, name=item.name) for item in documentation_items().values()}


def document_id(text: str) -> str | None:
    """`D04` or `affected_data` -> `D04`; None when there is no such item."""
    if text in documentation_items():
        return text
    return next((item.id for item in documentation_items().values() if item.name == text), None)


def write_document(change: Change, item_id: str, value: dict[str, Any]) -> None:
    """Write one item as a person asks for it. Raises Conflict on a closed record, Forbidden for what risk_owner
    alone accepts, Invalid otherwise."""
    status = change.record.incident.status
    if status in ("closed", "rejected"):
        raise Conflict(f"The incident is {status}: its record does not change.", current={"status": status})
    accepted = value.get("unknown_accepted")
    if item_id == "D04" and accepted and "risk_owner" not in change.actor.roles:
        raise Forbidden("Only risk_owner accepts that a count stays unknown.")
    if item_id == "D08":
        value.setdefault("determined_by", str(change.actor.id))
        value.setdefault("determined_at", instant_text(change.now))
    set_document(change, item_id, value)


def set_document(change: Change, item_id: str, value: dict[str, Any], pointer: str = "") -> None:
    """Write one item as a whole. The caller has checked who may.

    Raises Invalid for a derived item and for a value that does not fit the item's schema.
    """
    item = documentation_items()[item_id]
    if item_id in DERIVED or item.schema is None:
        raise Invalid(
            f"{item_id} ({item.name}) is derived from what happens and cannot be written.",
            code="documentation-derived",
            errors=[InputError(pointer or "/", f"{item_id} is derived; see what fills it in the playbook")],
        )
    check_schema(item.schema, value, pointer)
    document = change.record.documents[item_id]
    if document.value == value:
        return
    if item_id in ("D01", "D02"):
        _write_discovery(change, item_id, value)
    else:
        document.value = value
    document.updated_at, document.updated_by = change.now, change.person_id
    document.version += 1
    change.emit("document.changed", document_id=item_id)


def _write_discovery(change: Change, item_id: str, value: dict[str, Any]) -> None:
    incident = change.record.incident
    if item_id == "D01":
        move_discovery(change, value["discovered_at"], value.get("discovered_at_precision"), value.get("reason"))
        return
    by = value.get("discovered_by")
    person = next((p for p in change.around.people if str(p) == by), None)
    incident.discovered_by_id, incident.discovered_by_name = person, None if person else by
    incident.discovery_method = value["discovery_method"]
    incident.discovery_note = value.get("discovery_note")
    incident.discovery_confirmed = True


def settle_documents(change: Change, *, as_if_signed: bool = False) -> None:
    """Bring state and missing parts of all items up to date. `as_if_signed` counts the closing actions as done."""
    for item_id in change.record.documents:
        settle_document(change, item_id, as_if_signed=as_if_signed)


def settle_document(change: Change, item_id: str, *, as_if_signed: bool = False) -> None:
    """Bring state and missing parts of one item up to date."""
    document = change.record.documents[item_id]
    missing = lacking(change, item_id, as_if_signed=as_if_signed)
    state = _state(document, missing, change.record)
    encoded = [{"kind": m.kind, "ref": m.ref, "message": m.message, "href": m.href} for m in missing]
    if (state, encoded) != (document.state, document.missing):
        document.state, document.missing = state, encoded
    if item_id in DISCOVERY:
        _mirror(change, document)


def lacking(change: Change, item_id: str, *, as_if_signed: bool = False) -> list[Missing]:
    """What one item still misses."""
    return list(_CHECKS[item_id](change, as_if_signed))


def _state(document: Document, missing: list[Missing], record: Record) -> str:
    if missing:
        written = bool(document.value) or document.id in ("D01", "D02")
        if document.id == "D06":
            written = record.incident.declared_at is not None
        return "partial" if written or (document.id == "D07" and record.notifications) else "missing"
    value = document.value if isinstance(document.value, dict) else {}
    if document.id in ("D04", "D05") and value.get("none"):
        return "not_applicable"
    if document.id == "D03" and any(e.get("identification") == "not_applicable" for e in value.get("entries", ())):
        return "not_applicable"
    return "complete"


def _mirror(change: Change, document: Document) -> None:
    """D01 and D02 show the header; D12's entries show the follow-ups: nobody types a thing twice."""
    incident = change.record.incident
    if document.id == "D01":
        document.value = {
            "discovered_at": instant_text(incident.discovered_at),
            "discovered_at_precision": incident.discovered_at_precision,
        }
    elif document.id == "D02":
        by = incident.discovered_by_id
        document.value = {
            "discovered_by": str(by) if by else incident.discovered_by_name,
            "discovery_method": incident.discovery_method,
            "discovery_note": incident.discovery_note,
        }


def _lack(change: Change, item_id: str, message: str, kind: Any = "document", ref: str | None = None) -> Missing:
    href = f"/v1/incidents/{change.record.incident.id}/documentation/{item_id}"
    return Missing(kind, ref or item_id, message, href)


def _d01(change: Change, _: bool) -> Iterator[Missing]:
    incident = change.record.incident
    if incident.discovered_at > incident.reported_at:
        yield _lack(change, "D01", "The discovery lies after the report.")
    if not incident.discovered_at_precision:
        yield _lack(change, "D01", "State how exactly the instant of discovery is known.")


def _d02(change: Change, _: bool) -> Iterator[Missing]:
    incident = change.record.incident
    if not (incident.discovered_by_id or incident.discovered_by_name):
        yield _lack(change, "D02", "Say who discovered it.")
    if not incident.discovery_method:
        yield _lack(change, "D02", "Say how it was discovered.")
    elif incident.discovery_method == "other" and not incident.discovery_note:
        yield _lack(change, "D02", "The method `other` needs a note.")
    if not incident.discovery_confirmed:
        yield _lack(change, "D02", "Confirm who discovered it and how: so far it is only assumed.")


def _entries(change: Change, item_id: str) -> list[dict[str, Any]]:
    value = change.record.documents[item_id].value
    return list(value.get("entries", ())) if isinstance(value, dict) else []


def _says_none(change: Change, item_id: str) -> bool:
    value = change.record.documents[item_id].value
    return isinstance(value, dict) and bool(value.get("none"))


def _d03(change: Change, _: bool) -> Iterator[Missing]:
    entries = _entries(change, "D03")
    if not entries:
        yield _lack(change, "D03", "Name the AI tool or service involved, or say why it is unknown.")
    for index, entry in enumerate(entries):
        vague = entry.get("identification") in ("unknown", "not_applicable")
        if vague and len(entry.get("reason") or "") < REASON_AT_LEAST:
            yield _lack(change, "D03", f"Entry {index} needs a reason of {REASON_AT_LEAST}+ characters.")


def _d04(change: Change, _: bool) -> Iterator[Missing]:
    if _says_none(change, "D04"):
        return
    value = change.record.documents["D04"].value or {}
    entries = _entries(change, "D04")
    if not entries:
        yield _lack(change, "D04", "Name the data types and how much of each, or state explicitly that there is none.")
    for index, entry in enumerate(entries):
        unknown = entry.get("count_precision") == "unknown"
        counted = entry.get("record_count") is not None or entry.get("individuals_count") is not None
        if unknown and not value.get("unknown_accepted"):
            yield _lack(change, "D04", f"Entry {index}: find the count, or let risk_owner accept that it is unknown.")
        elif not counted and not unknown:
            yield _lack(change, "D04", f"Entry {index} needs a count or a range.")


def _d05(change: Change, _: bool) -> Iterator[Missing]:
    if _says_none(change, "D05"):
        return
    entries = _entries(change, "D05")
    clients = {str(c) for c in (*change.around.clients, *change.record.incident.client_ids)}
    if not entries:
        yield _lack(change, "D05", "Name the clients or individuals affected, or state explicitly that there are none.")
    for index, entry in enumerate(entries):
        if entry.get("kind") == "client" and entry.get("client_id") not in clients:
            yield _lack(change, "D05", f"Entry {index} has to be resolved to a client record.")


def _d06(change: Change, as_if_signed: bool) -> Iterator[Missing]:
    playbook = change.playbook
    if change.record.incident.declared_at is None or playbook is None:
        return
    for action in change.record.actions.values():
        if action.id not in playbook.exempt and not is_settled(action):
            yield _lack(change, "D06", f"{action.id} is not done yet.", "action", action.id)


INTERNAL = ("internal", "briefing", "escalation")
SENT = ("sent", "acknowledged")


def _d07(change: Change, _: bool) -> Iterator[Missing]:
    record = change.record
    if not any(n.kind in INTERNAL and n.status in SENT for n in record.notifications.values()):
        yield _lack(change, "D07", "No internal notification has been sent yet.")
    for duty in record.obligations.values():
        if duty.outcome == "not_triggered":
            continue
        if duty.decision == "open":
            yield _lack(change, "D07", f"{duty.rule_id} has not been decided.", "obligation", str(duty.id))
        elif duty.decision == "notify" and duty.notified_at is None and duty.carried_follow_up_id is None:
            yield _lack(
                change, "D07", f"{duty.rule_id} was decided notify and nothing was sent.", "obligation", str(duty.id)
            )


def _d08(change: Change, _: bool) -> Iterator[Missing]:
    value = change.record.documents["D08"].value or {}
    if not value.get("category"):
        yield _lack(change, "D08", "Choose the category of the root cause.")
    if len(value.get("statement") or "") < STATEMENT_AT_LEAST:
        yield _lack(change, "D08", f"State the root cause in {STATEMENT_AT_LEAST}+ characters.")
    if value and not (value.get("determined_by") and value.get("determined_at")):
        yield _lack(change, "D08", "Say who determined the root cause and when.")


def self_verified(change: Change) -> bool:
    """Whether, at a grave severity, somebody verified what they did themselves."""
    grave = change.record.incident.severity in GRAVE
    return grave and any(e.get("done_by") == e.get("verified_by") for e in _entries(change, "D09"))


def _d09(change: Change, _: bool) -> Iterator[Missing]:
    entries = _entries(change, "D09")
    grave = change.record.incident.severity in GRAVE
    if not entries:
        yield _lack(change, "D09", "List what was done to remedy it.")
    overridden = any(
        e.kind == "override" and (e.details or {}).get("transition") == "verify"
        for e in change.record.exceptions.values()
    )
    for index, entry in enumerate(entries):
        if not entry.get("done_at") or not entry.get("verified_by"):
            yield _lack(change, "D09", f"Entry {index} needs the date it was done and a verifier.")
        elif grave and entry.get("verified_by") == entry.get("done_by") and not overridden:
            yield _lack(
                change, "D09", f"Entry {index}: at this severity another person than the doer verifies.", "person"
            )


def _d10(change: Change, _: bool) -> Iterator[Missing]:
    incident, value = change.record.incident, change.record.documents["D10"].value or {}
    if value.get("revision_id") and value.get("risk") == incident.primary_risk:
        return
    risk = incident.primary_risk or "the primary risk"
    yield Missing(
        "document",
        "D10",
        f"Record a revision of {risk} that cites this incident; `no_change` with a reason is one too.",
        f"/v1/risks/{incident.primary_risk}/revisions" if incident.primary_risk else None,
    )


def _d11(change: Change, _: bool) -> Iterator[Missing]:
    if change.record.incident.closed_at is None:
        yield Missing("signature", "D11", "Sign off.", f"/v1/incidents/{change.record.incident.id}/sign-off")


def _d12(change: Change, _: bool) -> Iterator[Missing]:
    value = change.record.documents["D12"].value or {}
    if not change.record.follow_ups and not (value.get("none") or {}).get("reason"):
        yield _lack(
            change, "D12", "Give each follow-up an owner and a date, or state with a reason that there is none."
        )


_CHECKS: dict[str, Callable[[Change, bool], Iterator[Missing]]] = {
    "D01": _d01,
    "D02": _d02,
    "D03": _d03,
    "D04": _d04,
    "D05": _d05,
    "D06": _d06,
    "D07": _d07,
    "D08": _d08,
    "D09": _d09,
    "D10": _d10,
    "D11": _d11,
    "D12": _d12,
}
