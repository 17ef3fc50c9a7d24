"""Notes and amendments: what people add to the timeline."""

from domain.changes import Change
from domain.doings import Claim, require_reason, settle_claim


def add_note(change: Change, text: str, claim: Claim) -> None:
    """Add a note; on a closed or rejected incident an amendment with a reason (C9). Raises Invalid."""
    if change.record.incident.status in ("closed", "rejected"):
        reason = require_reason(claim.reason, "amend a closed record")
        change.emit("incident.amended", text=text, reason=reason)
        return
    doing = settle_claim(change, claim)
    change.emit(
        "note.added",
        occurred_at=doing.occurred_at,
        text=text,
        performed_by=doing.performed_by,
        late_entry=doing.late_entry,
    )
