"""What the directory of AI services proposes for the inputs of an incident: shown in the form, sent by a person.

A playbook names in `proposed` what of a service pre-fills an input. Nothing here is written anywhere by itself.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from domain.ai_services import Service, find_service
from domain.playbooks import Action, Input, Playbook


class Proposal(Struct, frozen=True, kw_only=True):
    """A proposed value of one input. For an object it holds the members that are known and leaves the rest out."""

    action_id: str
    input: str
    value: Any
    service: str
    as_of: str
    confidence: str


def propose_inputs(
    playbook: Playbook, systems: Iterable[Mapping[str, Any]], open_actions: Iterable[str]
) -> list[Proposal]:
    """Proposals for actions that are still open, from the services that D03 names; the first that knows something
    speaks."""
    services = [found for one in systems if (found := find_service(one.get("name"), one.get("url"))) is not None]
    return [
        proposal
        for action_id in open_actions
        if (action := playbook.action(action_id)) is not None
        for wanted in action.inputs
        if (proposal := _first(action, wanted, services)) is not None
    ]


def _first(action: Action, wanted: Input, services: Iterable[Service]) -> Proposal | None:
    for service in services:
        value = _value(wanted, service)
        if value:
            return Proposal(
                action_id=action.id,
                input=wanted.name,
                value=value,
                service=service.slug,
                as_of=service.as_of,
                confidence=service.confidence,
            )
    return None


def _value(wanted: Input, service: Service) -> Any:
    if not wanted.proposed:
        return None
    if isinstance(wanted.proposed, str):
        return service.at(wanted.proposed)
    return {member: found for member, path in wanted.proposed.items() if (found := service.at(path)) is not None}
