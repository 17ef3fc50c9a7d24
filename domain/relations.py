"""Who stands in which relation to an incident: members, actors of a step, its recorder."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from domain.actors import Actor
from domain.changes import Person
from domain.playbooks import Action, Step
from domain.record import Record
from domain.verdicts import Who

OPEN_TO_MEMBERS = frozenset({"reporting_staff", "any_staff"})
"""Roles everybody holds; they make an actor only of those who have a part in the incident."""


def members(record: Record) -> frozenset[UUID]:
    """People with a part in the incident: reporter, discoverer, assignees, participants."""
    incident = record.incident
    found: set[UUID | None] = {incident.discovered_by_id, incident.assignee_id}
    if incident.opened_by_kind == "person":
        found.add(incident.opened_by_id)
    found.update(p.person_id for p in record.participants.values() if p.involvement in ("responder", "reporter"))
    found.update(step.assignee_id for step in record.steps.values())
    return frozenset(p for p in found if p is not None)


def step_actors(
    record: Record, step: Step, action: Action | None = None, taking_part: frozenset[UUID] | None = None
) -> Who:
    """Holders of an owner role (or of the action's narrower one), the assignee, `risk_owner`.

    `taking_part` are the incident's `members`, if known already.
    """
    run = record.steps.get(step.id)
    added = run.added_roles if run is not None else ()
    owners = {action.role} if action is not None and action.role else {*step.owner_roles, *added}
    persons: set[UUID] = set()
    if run is not None and run.assignee_id is not None:
        persons.add(run.assignee_id)
    if owners & OPEN_TO_MEMBERS:
        persons |= members(record) if taking_part is None else taking_part
    return Who(frozenset(owners - OPEN_TO_MEMBERS | {"risk_owner"}), frozenset(persons))


def with_stand_ins(people: Mapping[UUID, Person], barred: Iterable[UUID | None]) -> list[UUID]:
    """Those barred, and everybody whom one of them created or handed the token: they could act as that person."""
    named = {person_id for person_id in barred if person_id is not None}
    if not named:
        return []
    made = {p.id for p in people.values() if p.created_by in named or p.token_issued_by in named}
    return sorted(named | made)


def open_step_actors(record: Record, steps: Iterable[Step]) -> Who:
    """Actors of any step that is neither completed nor skipped."""
    roles: set[str] = {"risk_owner"}
    persons: set[UUID] = set()
    for step in steps:
        run = record.steps.get(step.id)
        if run is not None and run.status not in ("completed", "skipped"):
            who = step_actors(record, step)
            roles |= who.roles
            persons |= who.persons
    return Who(frozenset(roles), frozenset(persons))


def is_among(who: Who, actor: Actor) -> bool:
    """Whether the actor is one of `who`."""
    return bool(actor.roles & who.roles) or actor.id in who.persons


def relations(record: Record, actor: Actor, steps: tuple[Step, ...] = ()) -> set[str]:
    """The relation words of permissions.yaml that hold between this actor and this incident."""
    found: set[str] = set()
    incident = record.incident
    if actor.kind == "service_account":
        if incident.opened_by_id == actor.id:
            found.add("own")
        return found
    if actor.id in (incident.opened_by_id, incident.discovered_by_id):
        found.add("reporter")
    if actor.id in members(record):
        found.add("participant")
    for index, step in enumerate(steps):
        if not is_among(step_actors(record, step), actor):
            continue
        found.add("step_actor")
        run = record.steps.get(step.id)
        if run is not None and run.status not in ("completed", "skipped"):
            found.add("open_step_actor")
        if index == len(steps) - 1:
            found.add("last_step_actor")
    return found
