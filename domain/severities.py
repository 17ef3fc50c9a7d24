"""A person's adjustment of the computed severity: raised with a reason, lowered by one level by risk_owner alone."""

from domain.changes import Change
from domain.refusals import Forbidden, InputError, Invalid
from domain.severity import LEVELS
from domain.timeline import instant_text


def adjust_severity(change: Change, level: str, reason: str) -> None:
    """Set the level a person wants; the computed one takes over again where both agree.

    Raises Forbidden when somebody else than risk_owner lowers it, Invalid when it is lowered by more than one level.
    """
    incident = change.record.incident
    computed = (incident.severity_basis or {}).get("level", incident.severity)
    steps = LEVELS.index(level) - LEVELS.index(computed)
    if steps > 1:
        text = f"can be lowered by one level only; computed is {computed}"
        raise Invalid(f"/severity {text}.", errors=[InputError("/severity", text)])
    if steps == 1:
        if "risk_owner" not in change.actor.roles or change.actor.kind != "person":
            raise Forbidden("Only risk_owner lowers a severity.")
        change.deviate("severity_lowered", reason, details={"computed": computed, "level": level})
    incident.severity_adjustment = (
        None
        if steps == 0
        else {
            "level": level,
            "computed": computed,
            "reason": reason,
            "person_id": str(change.actor.id),
            "at": instant_text(change.now),
        }
    )
    change.emit("severity.adjusted", level=level, computed=computed, reason=reason)
