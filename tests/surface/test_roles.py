"""Every operation against every role, as the permission table says; the table is the expectation (AZ8, AZ9)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.database import Database
from domain.glossary import Role
from domain.permissions import allows, may_ever
from tests.people import Somebody, add_person, add_service_account
from tests.surface.contract import expect_none, faults
from tests.surface.prepared import EVIDENCE_QUERY, Prepared
from tests.surface.surface import SENTENCE, Operation, Surface

Together = Callable[[Any], Awaitable[list[Any]]]
Stored = Callable[[Prepared], Awaitable[dict[str, str]]]
ROLES = [role.value for role in Role]
INCIDENT = "/v1/incidents/{incident_id}"


def moves(*names: str, **more: Any) -> dict[str, dict[str, Any]]:
    """Bodies of a transition by row: `moves("incident.hold")` sends `hold`."""
    return {name: {"transition": name.rpartition(".")[2], **more} for name in names}


VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "POST /v1/incidents": {"incident.report": {"title": "Prompt with customer data"}},
    f"PATCH {INCIDENT}": {"incident.edit": {"title": "Another title"}, "incident.edit_facts": {"facts": {}}},
    f"POST {INCIDENT}/transitions": {
        **moves("incident.acknowledge", "incident.hold", "incident.resume", reason=SENTENCE),
        "incident.declare": {"transition": "declare", "playbook": "data-leakage"},
        "incident.reclassify": {"transition": "reclassify", "playbook": "data-leakage", "reason": SENTENCE},
        "incident.reject": {"transition": "reject", "disposition": "not_an_incident", "reason": SENTENCE},
        "incident.reopen": {"transition": "reopen", "reason": SENTENCE},
    },
    f"POST {INCIDENT}/steps/{{step_id}}/transitions": moves("step.skip", reason=SENTENCE),
    f"POST {INCIDENT}/actions/{{action_id}}/transitions": moves("action.skip", reason=SENTENCE),
    f"PUT {INCIDENT}/participants/{{person_id}}": {"participant.set": {"involvement": "responder"}},
    f"PUT {INCIDENT}/documentation/{{item}}": {"document.edit": {"discovery_method": "self_report"}},
    f"POST {INCIDENT}/obligations/{{obligation_id}}/decision": {
        "obligation.notify": {"decision": "notify", "rationale": SENTENCE},
        "obligation.not_required": {"decision": "not_required", "rationale": SENTENCE},
        "obligation.waive": {"decision": "waived_by_counsel", "rationale": SENTENCE, "opinion_reference": "Opinion 1"},
    },
    f"POST {INCIDENT}/notifications/{{notification_id}}/transitions": {
        "notification.not_required": {"transition": "not_required", "reason": SENTENCE},
    },
    f"POST {INCIDENT}/sign-off": {"sign_off.first": {"statement": "All is done and documented."}},
    "POST /v1/risks": {
        "risk.accept": {
            "title": "Ours",
            "description": "A risk of ours.",
            "category": "quality",
            "reason": SENTENCE,
            **dict.fromkeys(("likelihood", "impact", "residual_likelihood", "residual_impact"), 2),
        }
    },
    "POST /v1/risks/{ref}/revisions": {
        "risk.propose": {"decision": "no_change", "reason": SENTENCE, "proposed_only": True},
        "risk.accept": {"decision": "no_change", "reason": SENTENCE},
    },
    "POST /v1/risks/{ref}/revisions/{revision_id}/transitions": {
        "risk.accept": {"transition": "accept", "reason": SENTENCE}
    },
    "POST /v1/keys": {"key.write_own": {"name": "My second key"}},
    "PATCH /v1/people/{id}": {
        "person.write": {"name": "Another name"},
        "role.grant": {"roles": ["hr"]},
        "role.grant_admin": {"roles": ["tenant_admin"]},
    },
    "PATCH /v1/settings": {"settings.write": {"grace": "PT5M"}},
}
"""For an operation of several rows: a body that asks for exactly this row."""


@pytest.fixture(scope="module")
async def cast(database: Database, ours: Prepared) -> dict[str, Somebody]:
    """Somebody for each role, with that role alone."""
    return await one_of_each(database, ours)


@pytest.fixture(scope="module")
async def strangers(database: Database, theirs: Prepared) -> dict[str, Somebody]:
    """The same in another tenant."""
    return await one_of_each(database, theirs)


async def one_of_each(database: Database, tenant: Prepared) -> dict[str, Somebody]:
    found = {"service_account": await add_service_account(database, tenant.tenant_id)}
    for role in ROLES:
        if role not in found:
            found[role] = await add_person(database, tenant.tenant_id, role, name=f"Only {role}")
    return found


def kind_of(role: str) -> str:
    return "service_account" if role == Role.SERVICE_ACCOUNT else "person"


async def ask(
    tenant: Prepared, operation: Operation, by: Somebody, body: dict[str, Any] | None = None
) -> httpx.Response:
    """The operation on what `tenant` has. References and uploads are new each time."""
    request = tenant.body(operation) if body is None else {"json": body}
    url = operation.url(lambda place: uuid4().hex if place.endswith("{external_id}") else tenant.value(place))
    if "content" in request:
        url += EVIDENCE_QUERY
    headers = {**request.pop("headers", {}), **by.headers}
    return await tenant.http.request(operation.method, url, headers=headers, **request)


def closed(surface: Surface) -> list[Operation]:
    return [operation for operation in surface.operations if not operation.is_public]


def test_the_variants_name_rows_of_their_operations(surface: Surface) -> None:
    rows = {str(operation): operation.rows for operation in surface.operations}
    for name, variants in VARIANTS.items():
        assert variants.keys() <= set(rows[name]), name


async def test_an_auditor_and_an_administrator_of_the_tenant_change_no_incident(
    surface: Surface, ours: Prepared, cast: dict[str, Somebody], together: Together, stored: Stored
) -> None:
    """The auditor changes nothing at all (AZ9)."""

    def writes(role: str) -> list[Operation]:
        within = [one for one in closed(surface) if not one.is_read]
        if role == Role.TENANT_ADMIN:
            within = [one for one in within if one.path.startswith(INCIDENT)]
        return [one for one in within if not any(allows(row, [role], "person") for row in one.rows)]

    async def call(operation: Operation, role: str, body: dict[str, Any] | None) -> list[str]:
        answer = await ask(ours, operation, cast[role], body)
        if 400 <= answer.status_code < 500:
            return faults(operation, answer)
        return [f"{operation} by {role}: {answer.status_code} {answer.text[:200]}"]

    before = await stored(ours)
    calls = []
    for role in (Role.AUDITOR.value, Role.TENANT_ADMIN.value):
        for operation in writes(role):
            bodies = [None, *VARIANTS.get(str(operation), {}).values()]
            calls += [call(operation, role, body) for body in bodies]
    assert len(calls) > 50
    expect_none(await together(calls))
    assert await stored(ours) == before


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_never_does_what_the_table_denies_it(
    surface: Surface, ours: Prepared, cast: dict[str, Somebody], together: Together, stored: Stored, role: str
) -> None:
    async def call(operation: Operation, body: dict[str, Any] | None) -> list[str]:
        answer = await ask(ours, operation, cast[role], body)
        # A transition says first whether the state allows it, as `allowed_transitions` does; so does a body of one row.
        fits = answer.status_code in {403, 404} or (
            400 <= answer.status_code < 500 and (body is not None or operation.path.endswith("/transitions"))
        )
        return faults(operation, answer) if fits else [f"{operation} {body}: {answer.status_code} {answer.text[:200]}"]

    before, calls = await stored(ours), []
    for operation in closed(surface):
        denied = [row for row in operation.rows if not may_ever(row, [role], kind_of(role))]
        if len(denied) == len(operation.rows):
            calls.append(call(operation, None))
        # Who may do it by another row, or by none: the body that asks for the denied row is refused all the same.
        calls += [call(operation, body) for row, body in VARIANTS.get(str(operation), {}).items() if row in denied]
    expect_none(await together(calls))
    assert await stored(ours) == before


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_of_another_tenant_does_nothing_here(
    surface: Surface,
    ours: Prepared,
    strangers: dict[str, Somebody],
    together: Together,
    stored: Stored,
    role: str,
) -> None:
    async def call(operation: Operation) -> list[str]:
        answer = await ask(ours, operation, strangers[role])
        if answer.status_code not in {403, 404} or ours.canary in answer.text:
            return [f"{operation}: {answer.status_code} {answer.text[:200]}"]
        return faults(operation, answer)

    before = await stored(ours)
    owned = [one for one in closed(surface) if any(ours.owns(place) for place in one.places)]
    expect_none(await together(call(operation) for operation in owned))
    assert await stored(ours) == before


async def test_an_administrator_of_the_tenant_reads_no_incident(
    surface: Surface, ours: Prepared, cast: dict[str, Somebody], together: Together
) -> None:
    content = [f"First {ours.canary}", f"Second {ours.canary}", f"pasted {ours.canary}", f"About {ours.canary}"]

    async def call(operation: Operation) -> list[str]:
        answer = await ask(ours, operation, cast["tenant_admin"])
        found = [f"{operation} tells {text}" for text in content if text in answer.text]
        if operation.path.startswith((INCIDENT, "/v1/evidence")) and answer.status_code not in {403, 404}:
            found.append(f"{operation}: {answer.status_code} {answer.text[:200]}")
        return found

    expect_none(await together(call(operation) for operation in closed(surface) if operation.is_read))


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_does_what_the_table_grants_it(
    surface: Surface, ours: Prepared, cast: dict[str, Somebody], together: Together, role: str
) -> None:
    """Last in this file, for it changes things: what a role alone suffices for is not refused because of the role."""

    async def call(operation: Operation, body: dict[str, Any] | None) -> list[str]:
        answer = await ask(ours, operation, cast[role], body)
        # Whoever may not read an incident is not told that it is there, even where the table lets it add to it.
        is_hidden = operation.path.startswith(INCIDENT) and not allows("incident.read", [role], kind_of(role))
        refused = {401, 403} if operation.method == "DELETE" or is_hidden else {401, 403, 404}
        if answer.status_code in refused:
            return [f"{operation} {body}: {answer.status_code} {answer.text[:300]}"]
        return faults(operation, answer)

    calls, removals = [], []
    for operation in closed(surface):
        variants = VARIANTS.get(str(operation), {})
        rows = {operation.rows[0]: None} if len(operation.rows) == 1 else variants
        made = [call(operation, body) for row, body in rows.items() if allows(row, [role], kind_of(role))]
        (removals if operation.method == "DELETE" else calls).extend(made)
    expect_none(await together(calls))
    expect_none(await together(removals))  # after the rest, which needs what they remove
