"""From files to playbooks: base and overlay, common actions and general gates, and the checks across all of them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from domain.deadlines import Sla
from domain.expressions import InvalidExpression, compile_expression
from domain.facts import FACTS
from domain.gates import VARIABLES, EventPattern, Frees, Gate
from domain.glossary import ActionType
from domain.items import schema_of
from domain.playbook_files import (
    ActionText,
    AheadText,
    CommonAction,
    FaultyPlaybook,
    GateText,
    InputText,
    PlaybookText,
    StepText,
)
from domain.procedures import Action, Added, Ahead, Input, OnePer, Opens, Playbook, Step, playbook_of
from domain.tools import member_schema, proposed_for

NAMES = frozenset(FACTS) | VARIABLES
"""What a condition of a playbook may name."""

_IDS = re.compile(r"""["']([A-Z]{2}\.\d{1,2}(?:\.\d{1,2})?)["']""")


def resolve(
    text: PlaybookText,
    base: PlaybookText | None,
    common: Iterable[CommonAction],
    general: Iterable[GateText],
) -> Playbook:
    """The full playbook: base with its overlay, common actions attached, gates of all playbooks added.

    Raises FaultyPlaybook when the base is missing, an id is used twice or a reference leads nowhere.
    """
    steps, gates = _merged(text, base)
    common_in = {**base.common_in, **text.common_in} if base is not None else text.common_in
    attached, satisfied = _attach_common(steps, list(common), common_in)
    actions = [action for _, of_step in attached for action in of_step]
    content = {
        "slug": text.slug,
        "version": text.version,
        "prefix": text.prefix,
        "title": text.title,
        "description": text.description,
        "primary_risk": text.primary_risk,
        "risks": tuple(text.risks),
        "severity_floor": text.severity_floor.value,
        "standards": tuple(text.standards),
        "sources": tuple({"mark": s.mark.value, "title": s.title} for s in text.sources),
        "steps": tuple(_step(step, position, found) for position, (step, found) in enumerate(attached, 1)),
        "gates": tuple(_gate(gate, attached, actions) for gate in (*gates, *general)),
    }
    workflow = text.workflow or (base.workflow if base is not None else None)
    optional: dict[str, object] = {
        "extends": text.extends,
        "standards_note": text.standards_note,
        "satisfied": satisfied,
        "workflow": workflow.model_dump(mode="json") if workflow else None,
    }
    if base is not None:
        optional |= {"extends_version": base.version, "added": _added(text)}
    playbook = playbook_of({**msgspec.to_builtins(content), **{k: v for k, v in optional.items() if v}})
    _check(playbook)
    return playbook


def _added(text: PlaybookText) -> Added:
    inserted = tuple(action.id for step in text.insert_steps for action in step.actions)
    return Added(
        steps=tuple(step.id for step in text.insert_steps),
        actions=(*inserted, *(action.id for action in text.add_actions)),
        gates=tuple(gate.id for gate in text.add_gates),
        roles={step: tuple(role.value for role in roles) for step, roles in text.add_roles.items()},
        roles_if=dict(text.add_roles_if),
        controls={step: tuple(controls) for step, controls in text.add_controls.items()},
    )


def _merged(text: PlaybookText, base: PlaybookText | None) -> tuple[list[StepText], list[GateText]]:
    """Steps in order and gates, after the overlay. The marks and texts of the base stay as they are."""
    if text.extends is None:
        return sorted(text.steps, key=lambda step: step.order), list(text.gates)
    if base is None or base.extends is not None:
        raise FaultyPlaybook(f"{text.slug} extends {text.extends}, which is no playbook of its own")
    # An inserted step of order n comes before the base's step of order n.
    order = sorted([*text.insert_steps, *base.steps], key=lambda step: (step.order, step not in text.insert_steps))
    known = {step.id for step in order}
    touched = {*text.add_roles, *text.add_roles_if, *text.add_controls, *(action.into for action in text.add_actions)}
    if touched - known:
        raise FaultyPlaybook(f"{text.slug} adds to {', '.join(sorted(touched - known))}, which its base does not have")
    gates = list(base.gates)
    for added in text.add_gates:
        ids = [gate.id for gate in gates]
        if added.before is not None and added.before not in ids:
            raise FaultyPlaybook(f"{added.id} stands before {added.before}, which its base does not have")
        gates.insert(ids.index(added.before) if added.before else len(gates), added)
    return [_overlaid(step, text) for step in order], gates


def _overlaid(step: StepText, text: PlaybookText) -> StepText:
    actions = list(step.actions)
    for added in text.add_actions:
        if added.into != step.id:
            continue
        ids = [action.id for action in actions]
        if added.before is not None and added.before not in ids:
            raise FaultyPlaybook(f"{added.id} stands before {added.before}, which is not in {step.id}")
        actions.insert(ids.index(added.before) if added.before else len(actions), added)
    roles = [*step.owner_roles, *text.add_roles.get(step.id, ())]
    controls = [*step.controls, *text.add_controls.get(step.id, ())]
    return step.model_copy(
        update={
            "actions": actions,
            "owner_roles": list(dict.fromkeys(roles)),
            "owner_roles_if": {**step.owner_roles_if, **text.add_roles_if.get(step.id, {})},
            "controls": list(dict.fromkeys(controls)),
            "controls_suggested": [control for control in step.controls_suggested if control not in controls],
        }
    )


def _attach_common(
    steps: list[StepText], common: list[CommonAction], common_in: Mapping[str, str]
) -> tuple[list[tuple[StepText, list[ActionText]]], dict[str, str]]:
    """Steps with all their actions, and the common actions left out with what does their work."""
    own = [action for step in steps for action in step.actions]
    attached = [(step, list(step.actions)) for step in steps]
    satisfied: dict[str, str] = {}
    for action in common:
        doer = next((a.id for a in own if _writes_item(a, action.satisfied_by_item)), None)
        if doer is not None:
            satisfied[action.id] = doer
            continue
        wanted = common_in.get(action.id) or (steps[0].id if action.attach == "first" else steps[-1].id)
        place = next((found for step, found in attached if step.id == wanted), None)
        if place is None:
            raise FaultyPlaybook(f"{action.id} belongs to {wanted}, which does not exist")
        place.append(action)
    return attached, satisfied


def _writes_item(action: ActionText, item: str | None) -> bool:
    """Whether the action does a common one's work: an unconditional record of the whole item, before the closing."""
    return (
        item is not None
        and action.type == ActionType.RECORD
        and action.required_if is None
        and not action.closing
        and any(wanted.document == item and wanted.member is None and wanted.required for wanted in action.inputs)
    )


def _step(text: StepText, position: int, actions: list[ActionText]) -> Step:
    return Step(
        id=text.id,
        position=position,
        phase=text.phase.value,
        title=text.title,
        summary=text.summary,
        owner_roles=tuple(role.value for role in text.owner_roles),
        owner_roles_if=dict(text.owner_roles_if),
        sla=Sla(text.sla.kind.value, text.sla.value, text.sla.clock_start),
        controls=tuple(text.controls),
        controls_suggested=tuple(text.controls_suggested),
        risk=text.risk,
        source=text.source.value,
        actions=tuple(_action(action, text.id, place) for place, action in enumerate(actions, 1)),
    )


def _action(text: ActionText, step_id: str, position: int) -> Action:
    return Action(
        id=text.id,
        step_id=step_id,
        position=position,
        text=text.text,
        type=text.type.value,
        source=text.source.value,
        basis=text.basis,
        required_if=text.required_if,
        outcomes=tuple(text.outcomes),
        role=text.role.value if text.role else None,
        fills=tuple(text.fills),
        inputs=tuple(_input(wanted) for wanted in text.inputs),
        closing=text.closing,
        blocks_step=text.blocks_step,
        fulfilled_by=tuple(text.fulfilled_by) if text.fulfilled_by is not None else None,
        same_as=text.same_as,
        approvals_from=tuple(role.value for role in text.approvals_from),
        approvals_if=dict(text.approvals_if),
        approvals_when=tuple(text.approvals_when),
        never_alone=text.never_alone,
        restricts=text.restricts,
        opens=Opens(playbook=text.opens.playbook, outcomes=tuple(text.opens.outcomes)) if text.opens else None,
        kinds=tuple(kind.value for kind in text.kinds),
        ahead_of_approval=_ahead(text.ahead_of_approval),
        raises=tuple(text.raises),
        evidence_of=tuple(text.evidence_of),
        drafts=text.drafts.value if text.drafts else None,
        reviews=text.reviews.value if text.reviews else None,
        decides=text.decides,
        briefing=text.briefing.model_dump() if text.briefing else None,
        briefing_on={outcome: said.model_dump() for outcome, said in text.briefing_on.items()},
    )


def _ahead(text: AheadText | None) -> Ahead | None:
    return None if text is None else Ahead(text.reason, tuple(role.value for role in text.roles))


def _input(text: InputText) -> Input:
    if text.fact is not None and text.fact not in FACTS:
        raise FaultyPlaybook(f"the input {text.name} writes the fact {text.fact}, which does not exist")
    try:
        schema = text.json_schema or _schema_of_tool(text) or schema_of(text.document or "", text.member)
    except KeyError:
        raise FaultyPlaybook(f"the input {text.name} writes {text.document}, which no person writes") from None
    return Input(
        name=text.name,
        title=text.title,
        schema=schema,
        required=text.required,
        document=text.document,
        member=text.member,
        fact=text.fact,
        one_per=OnePer(**text.one_per.model_dump()) if text.one_per else UNSET,
        tool=text.tool or UNSET,
        proposed=text.proposed or proposed_for(text.tool) or UNSET,
    )


def _schema_of_tool(text: InputText) -> dict[str, Any] | None:
    if text.tool is None:
        return None
    found = member_schema(text.tool)
    if found is None:
        raise FaultyPlaybook(f"the input {text.name} writes {text.tool}, which no entry of the tool register has")
    return found


def _gate(text: GateText, attached: list[tuple[StepText, list[ActionText]]], actions: list[ActionText]) -> Gate:
    if text.names == "evidence_actions":
        named = [action.id for action in actions if action.type == ActionType.EVIDENCE]
    elif text.names == "rotation_actions":
        named = [action.id for action in attached[0][1] if action.required_if == "credentials_exposed"]
    else:
        of_steps = [a.id for step, found in attached if step.id in text.names.steps for a in found]
        named = [*text.names.actions, *of_steps]
    missing = [m.model_dump() for m in text.missing] or [{"kind": "action", "ref": ref} for ref in named]
    return Gate(
        id=text.id,
        text=text.text,
        message=text.message,
        source=text.source.value,
        basis=text.basis,
        when=tuple(
            EventPattern(p.operation.value, p.step, p.action, tuple(kind.value for kind in p.kinds)) for p in text.when
        ),
        unless=text.unless,
        enforced_by=text.enforced_by,
        override_role=text.override_role.value if text.override_role else None,
        override_rule=text.override_rule,
        approver_role=text.approver_role.value if text.approver_role else None,
        names_actions=tuple(named),
        missing=tuple(missing) if text.when else (),
        frees=Frees(text.frees.operation.value, text.frees.action, tuple(text.frees.waits)) if text.frees else None,
    )


def _check_added_roles(playbook: Playbook, step: Step) -> None:
    """Who owns a step follows from what is known of the incident: a condition that adds a role sees facts alone."""
    for text in step.owner_roles_if.values():
        try:
            compile_expression(text, FACTS, shipped=True)
        except InvalidExpression as error:
            raise FaultyPlaybook(f"{playbook.slug}, {step.id}: {error}") from error


def _check_freed(playbook: Playbook, gate_id: str, frees: Frees) -> None:
    """No gate on the freed operation reads what it may not wait for."""
    barred = {*frees.waits, *(playbook.actions[ref].step_id for ref in frees.waits if ref in playbook.actions)}
    if unknown := {frees.action, *frees.waits} - {*playbook.actions, *FACTS}:
        raise FaultyPlaybook(f"{gate_id} frees what does not exist: {', '.join(sorted(unknown))}")
    for gate in playbook.gates:
        listens = any(p.operation == frees.operation and p.action in (None, frees.action) for p in gate.when)
        if gate.unless is None or not listens:
            continue
        read = compile_expression(gate.unless, NAMES, shipped=True).names.union(_IDS.findall(gate.unless))
        if read & barred:
            waits = ", ".join(sorted(read & barred))
            raise FaultyPlaybook(f"{gate.id} makes {frees.action} wait for {waits}, which {gate_id} rules out")


def _check(playbook: Playbook) -> None:
    """Everything refers to something that exists, and every condition compiles over known names."""
    steps = [step.id for step in playbook.steps]
    actions = [action.id for step in playbook.steps for action in step.actions]
    gates = [gate.id for gate in playbook.gates]
    ids = {*steps, *actions}
    if len(ids) < len(steps) + len(actions) or len(set(gates)) < len(gates):
        raise FaultyPlaybook(f"{playbook.slug}: an id is used twice")
    conditions: list[tuple[str, str]] = []
    for step in playbook.steps:
        _check_added_roles(playbook, step)
        for action in step.actions:
            conditions += [(action.id, text) for text in (action.required_if, *action.approvals_if.values()) if text]
            if set(action.evidence_of) - ids:
                raise FaultyPlaybook(f"{action.id} takes the evidence of an action that does not exist")
    for gate in playbook.gates:
        named = {*gate.names_actions, *(part for p in gate.when for part in (p.step, p.action) if part)}
        if named - ids:
            raise FaultyPlaybook(f"{gate.id} names {', '.join(sorted(named - ids))}, which does not exist")
        if gate.unless is not None:
            conditions.append((gate.id, gate.unless))
    if playbook.workflow is not None and {playbook.workflow.suspended_by, playbook.workflow.returned_by} - ids:
        raise FaultyPlaybook(f"{playbook.slug}: its workflow names actions that do not exist")
    for action in playbook.actions.values():
        for wanted in action.inputs:
            if wanted.one_per and not _has_input(playbook, wanted.one_per):
                raise FaultyPlaybook(f"{action.id}: {wanted.name} answers {wanted.one_per.input}, which does not exist")
    for place, text in conditions:
        try:
            compile_expression(text, NAMES, shipped=True)
        except InvalidExpression as error:
            raise FaultyPlaybook(f"{playbook.slug}, {place}: {error}") from error
        if unknown := set(_IDS.findall(text)) - ids:
            raise FaultyPlaybook(f"{place} refers to {', '.join(sorted(unknown))}, which does not exist")
    for gate in playbook.gates:
        if gate.frees is not None:
            _check_freed(playbook, gate.id, gate.frees)


def _has_input(playbook: Playbook, named: OnePer) -> bool:
    action = playbook.action(named.action)
    return action is not None and any(wanted.name == named.input for wanted in action.inputs)
