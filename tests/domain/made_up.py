"""A playbook that nobody shipped, for the words of the rule language that few playbooks use."""

from typing import Any

from domain.playbooks import Playbook, load
from domain.shipped import shipped
from tests.domain.engine import BEN, Person, Story


def an_action(action_id: str, kind: str = "task", **more: Any) -> dict[str, Any]:
    """One action as a file says it."""
    said = {"id": action_id, "text": f"Do {action_id}", "type": kind, "fills": ["D06"], "source": "X", **more}
    if kind in ("decision", "record"):
        said.setdefault(
            "inputs", [{"name": "rationale", "title": "Why?", "schema": {"type": "string", "minLength": 5}}]
        )
    return said


def made_up(*actions: dict[str, Any], **more: Any) -> Playbook:
    """A playbook of two steps, whose first one has these actions; it is kept with `generic-ai-incident`."""
    steps = [
        {
            "id": f"XC.{n}",
            "order": n,
            "phase": phase,
            "title": phase,
            "summary": phase,
            "owner_roles": [role],
            "sla": {"kind": "duration", "value": "PT4H", "clock_start": "discovered_at"},
            "source": "X",
            "actions": list(actions) if n == 1 else [],
        }
        for n, phase, role in ((1, "immediate", "it_security"), (2, "post_incident", "risk_owner"))
    ]
    said = {
        "slug": "spilled-coffee",
        "version": "1.0.0",
        "prefix": "XC",
        "title": "Coffee on the rack",
        "description": "A playbook that nobody shipped.",
        "sources": [{"mark": "X", "title": "A test"}],
        "primary_risk": "AR-001",
        "risks": ["AR-001"],
        "severity_floor": "SEV4",
        "standards": [],
        "steps": steps,
        **more,
    }
    files = {"spilled-coffee.yaml": said, "generic": shipped("playbooks/generic-ai-incident.yaml")}
    found = load(files, shipped("common_actions.yaml"), shipped("gates.yaml")).get("spilled-coffee")
    assert found is not None
    return found


def running(*actions: dict[str, Any], people: tuple[Person, ...] = (), by: Person = BEN, **more: Any) -> Story:
    """An incident under a playbook with these actions."""
    return Story(*people).report(by, made_up(*actions, **more))
