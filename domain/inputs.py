"""Typed inputs of an action: checked against their schemas, and each written where it belongs."""

from collections.abc import Mapping
from typing import Any

from domain.changes import Change
from domain.documentation import set_document
from domain.fact_sheet import set_fact, would_lower
from domain.incident_tools import write_tool
from domain.playbooks import Action, Input
from domain.record import Record
from domain.refusals import InputError, Invalid
from domain.schemas import check_schema
from domain.timeline import instant_text


def take_inputs(change: Change, action: Action, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    """Check the typed inputs and write each where it belongs: a documentation item, a fact, or the action itself.

    What goes to the tool register stays with the action too, as what was said then.
    """
    check_inputs(action, inputs)
    faults = [fault for wanted in action.inputs for fault in uncovered(change.record, wanted, inputs.get(wanted.name))]
    if faults:
        raise Invalid(f"{faults[0].pointer} {faults[0].reason}.", errors=faults)
    known = {wanted.name: wanted for wanted in action.inputs}
    values: dict[str, Any] = {}
    for name, value in inputs.items():
        wanted = known[name]
        if wanted.document is not None:
            _fill_document(change, wanted.document, wanted.member, value, f"/inputs/{name}")
        elif wanted.fact in action.raises and would_lower(change.record.incident.facts, wanted.fact, value):
            values[name] = value
        elif wanted.fact is not None:
            set_fact(change.record.incident.facts, wanted.fact, value, set_by=change.actor.id, at=change.now)
        else:
            if wanted.tool:
                write_tool(change, action, wanted.tool, value, f"/inputs/{name}")
            values[name] = value
    return values or None


def check_inputs(action: Action, inputs: Mapping[str, Any]) -> None:
    """Raise Invalid unless these are inputs of the action, none that is required lacks, and each fits its schema."""
    known = {wanted.name: wanted for wanted in action.inputs}
    errors = [InputError(f"/inputs/{name}", "is no input of this action") for name in inputs if name not in known]
    errors += [
        InputError(f"/inputs/{name}", f"is required: {wanted.title}")
        for name, wanted in known.items()
        if wanted.required and name not in inputs
    ]
    if errors:
        raise Invalid(f"{errors[0].pointer} {errors[0].reason}.", errors=errors)
    for name, value in inputs.items():
        check_schema(known[name].schema, value, f"/inputs/{name}")


def uncovered(record: Record, wanted: Input, answers: Any) -> list[InputError]:
    """What a list lacks, or has too much, of one entry for each entry of the list it answers (`one_per`)."""
    if not wanted.one_per:
        return []
    named, pointer = wanted.one_per, f"/inputs/{wanted.name}"
    asked = [entry.get(named.key) for entry in (record.actions[named.action].values or {}).get(named.input, ())]
    given = [entry.get(named.key) for entry in answers or ()]
    faults = [
        InputError(pointer, f"has no entry for {key}, which {named.action} lists") for key in asked if key not in given
    ]
    for index, key in enumerate(given):
        if key not in asked:
            faults.append(InputError(f"{pointer}/{index}/{named.key}", f"is not listed in {named.action}"))
        elif key in given[:index]:
            faults.append(InputError(f"{pointer}/{index}/{named.key}", "is answered twice"))
    return faults


def _fill_document(change: Change, item_id: str, member: str | None, value: Any, pointer: str) -> None:
    """Write an item whole, or one dotted member of it. What a person determined carries who and when."""
    whole = dict(value) if member is None else dict(change.record.documents[item_id].value or {})
    if member is not None:
        *path, last = member.split(".")
        place = whole
        for name in path:
            place[name] = dict(place.get(name) or {})
            place = place[name]
        place[last] = value
    if item_id == "D08":
        whole.setdefault("determined_by", str(change.actor.id))
        whole.setdefault("determined_at", instant_text(change.now))
    set_document(change, item_id, whole, pointer)
