"""What an accepted revision of a risk does to the incident it cites, and how a proposed revision is decided later.

Sources: documentation item D10 (complete through an accepted revision of the primary risk, and through nothing else),
risk register section 4.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct, structs

from domain.changes import Change
from domain.record import Record
from domain.refusals import Conflict, InputError, Invalid
from domain.risks import EDITABLE, SCORES, Revision, Risk, band, check_decider, check_revision, next_review
from domain.timeline import instant_text

TOOL_OUTCOMES = ("approve", "conditional", "block")
"""Outcomes of the decision on an AI tool, which the revision carries."""

SETTLED = ("closed", "rejected")


class Citation(Struct, frozen=True, kw_only=True):
    """An accepted revision as an incident cites it."""

    revision_id: UUID
    revision: Revision
    person_id: UUID
    at: datetime


def check_citable(status: str, declared_at: datetime | None) -> None:
    """Raise Conflict unless an incident in this state may be cited: declared, neither closed nor rejected."""
    if status in SETTLED:
        raise Conflict(f"The incident is {status}: its record does not change.", current={"status": status})
    if declared_at is None:
        raise Conflict("The incident is not declared yet: declare or reject it first.", current={"status": status})


def record_risk_update(change: Change, citation: Citation) -> None:
    """Write D10 from an accepted revision of the primary risk. A revision of another risk changes nothing here.

    D10 shows scores and status alone: who may read the incident need not be allowed to read the register.
    Raises Conflict for an incident that may not be cited.
    """
    incident, revision = change.record.incident, citation.revision
    check_citable(incident.status, incident.declared_at)
    if incident.primary_risk != revision.after.ref:
        return
    document = change.record.documents["D10"]
    document.value = {
        "risk": revision.after.ref,
        "revision_id": str(citation.revision_id),
        "decision": revision.decision,
        "before": scores(revision.before),
        "after": scores(revision.after),
        "rationale": revision.reason,
        "no_change": revision.decision == "no_change",
        "outcome": tool_outcome(change.record),
        "accepted_by": str(citation.person_id),
        "accepted_at": instant_text(citation.at),
    }
    document.updated_at, document.updated_by = change.now, citation.person_id
    document.version += 1
    change.emit("document.changed", document_id="D10")
    change.emit(
        "risk.updated_by_incident",
        risk=revision.after.ref,
        revision_id=citation.revision_id,
        decision=revision.decision,
    )


def tool_outcome(record: Record) -> str | None:
    """What this incident decided about a tool, recorded against the risk (`shadow-ai`); None without a decision."""
    decided = [run for run in record.actions.values() if run.status == "done" and run.outcome in TOOL_OUTCOMES]
    last = max(decided, key=lambda run: (run.generation, run.step_id, run.position), default=None)
    return last.outcome if last is not None else None


def scores(risk: Risk) -> dict[str, Any]:
    """The judgement on a risk, without its words: scores, bands, status."""
    return {
        **{name: getattr(risk, name) for name in SCORES},
        "inherent": risk.inherent,
        "inherent_band": band(risk.inherent),
        "residual": risk.residual,
        "residual_band": risk.residual_band,
        "status": risk.status,
    }


def with_approver(edits: Mapping[str, Any], person_id: UUID, *, proposed_only: bool) -> dict[str, Any]:
    """Edits whose acceptance names its approver: the person who decides. A proposal may name whom it is meant for.

    Raises Invalid where an accepted revision names somebody else: nobody accepts a risk in another's name.
    """
    acceptance = edits.get("acceptance")
    if not isinstance(acceptance, Mapping):
        return dict(edits)
    named = acceptance.get("approved_by")
    if named is not None and named != str(person_id) and not proposed_only:
        text = "is the person who decides: leave it out, or propose the revision"
        raise Invalid(
            f"/edits/acceptance/approved_by {text}.", errors=[InputError("/edits/acceptance/approved_by", text)]
        )
    return {**edits, "acceptance": {**acceptance, "approved_by": named or str(person_id)}}


def accept_proposed(
    risk: Risk,
    proposed: Revision,
    roles: Collection[str],
    kind: str,
    person_id: UUID,
    now: datetime,
) -> Revision:
    """The accepted form of a proposed revision, against the entry as it stands.

    Raises Conflict when the entry was changed since it was proposed, Forbidden when this person may not decide it,
    Invalid when the rules of the register no longer allow it.
    """
    moved = sorted(name for name in EDITABLE if getattr(risk, name) != getattr(proposed.before, name))
    if moved:
        raise Conflict(
            f"{risk.ref} has changed since this was proposed ({', '.join(moved)}). Reject it and decide anew.",
            current={"status": risk.status, **scores(risk)},
        )
    changes = {name: getattr(proposed.after, name) for name in EDITABLE if name in proposed.changes}
    if isinstance(changes.get("acceptance"), Mapping):
        changes["acceptance"] = {**changes["acceptance"], "approved_by": str(person_id)}
    after = structs.replace(risk, **changes)
    check_revision(risk, after, now)
    check_decider(risk, after, roles, kind)
    after = structs.replace(after, last_reviewed_at=now, next_review_at=next_review(after, now))
    return structs.replace(proposed, status="accepted", before=risk, after=after, changes=differences(risk, after))


def differences(before: Risk, after: Risk) -> dict[str, Any]:
    """The columns in which two states of an entry differ, as they stand afterwards."""
    names = (name for name in after.__struct_fields__ if getattr(after, name) != getattr(before, name))
    return {name: getattr(after, name) for name in names}


def stored_revision(
    decision: str, status: str, before: Mapping[str, Any], after: Mapping[str, Any], reason: str, cause: str
) -> Revision:
    """A revision from what was stored of it."""
    was, becomes = msgspec.convert(before, Risk), msgspec.convert(after, Risk)
    return Revision(
        decision=decision,
        status=status,
        before=was,
        after=becomes,
        changes=differences(was, becomes),
        reason=reason,
        cause=cause,
    )
