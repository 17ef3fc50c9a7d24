"""Global ids in addresses: each takes those of its own type, and of nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from api.global_ids import AN_INCIDENT, labels_of, own_id
from domain.refusals import Invalid, NotFound
from tests.surface.contract import expect_none
from tests.surface.prepared import EVIDENCE_QUERY, INCIDENT, UUID_TEXT, Prepared
from tests.surface.surface import PARAMETER, Operation
from tests.surface.test_graph import ask

Together = Callable[[Any], Awaitable[list[Any]]]
NAMED_ELSEWHERE = {"system", "instance", "external_id", "token"}
WITHIN = {"Step", "Action", "Document", "Participant"}


def types_of(place: str) -> frozenset[str]:
    return labels_of(place).get(PARAMETER.findall(place)[-1], frozenset())


def others(place: str) -> list[str]:
    """Types that the place is not of."""
    return [one for one in ("Incident", "Client", "Exception") if one not in types_of(place)]


async def with_id(tenant: Prepared, operation: Operation, place: str, id: str) -> Any:
    """A call of the operation with another id at one place."""
    url = operation.url(lambda one: id if one == place else tenant.value(one))
    body = tenant.body(operation)
    headers = {**tenant.boss.headers, **body.pop("headers", {})}
    url += EVIDENCE_QUERY if "content" in body else ""
    return await tenant.http.request(operation.method, url, headers=headers, **body)


def test_every_id_of_ours_in_an_address_has_a_type(ours: Prepared) -> None:
    places = {place for operation in ours.surface.operations for place in operation.places}
    untyped = {
        place
        for place in places
        if UUID_TEXT.fullmatch(ours.value(place))
        and not types_of(place)
        and PARAMETER.findall(place)[-1] not in NAMED_ELSEWHERE
    }
    assert untyped == set()
    assert sum(bool(types_of(place)) for place in places) > 20


async def test_an_address_takes_no_global_id_of_another_type(ours: Prepared, together: Together) -> None:
    async def call(operation: Operation, place: str, label: str) -> list[str]:
        answer = await with_id(ours, operation, place, f"{label}:{ours.value(place)}")
        return (
            [] if answer.status_code in (404, 422) else [f"{operation} with {label} at {place}: {answer.status_code}"]
        )

    calls = [
        call(operation, place, label)
        for operation in ours.surface.operations
        for place in operation.places
        if PARAMETER.findall(place)[-1] not in NAMED_ELSEWHERE
        for label in others(place)
    ]
    assert len(calls) > 200
    expect_none(await together(calls))


async def test_an_address_takes_global_ids_of_its_own_type(ours: Prepared, together: Together) -> None:
    incident = ours.value(INCIDENT)

    async def call(operation: Operation, place: str, label: str) -> list[str]:
        plain = await with_id(ours, operation, place, ours.value(place))
        inner = f"{incident}:" if label in WITHIN else ""
        answer = await with_id(ours, operation, place, f"{label}:{inner}{ours.value(place)}")
        # A clock, and what grows while others read: the timeline, and the custody of a file whose content is fetched.
        moves = any(word in answer.text for word in ('"server_time"', '"as_of"', '"custody"'))
        moves = moves or operation.path.endswith("/timeline")
        same = answer.status_code == plain.status_code and (moves or answer.text == plain.text)
        return [] if same else [f"{operation} with {label}: {answer.status_code} {answer.text[:200]}"]

    calls = [
        call(operation, place, label)
        for operation in ours.surface.operations
        for place in operation.places
        for label in types_of(place)
        if operation.is_read
    ]
    assert len(calls) > 30
    expect_none(await together(calls))


@pytest.mark.parametrize(("place", "label", "key"), [("step_id", "Step", "DL.1"), ("action_id", "Action", "DL.1.1")])
async def test_what_is_within_an_incident_is_found_in_that_one_alone(
    ours: Prepared, place: str, label: str, key: str
) -> None:
    of = place.removesuffix("_id") + "s"
    first, second = ours.values[INCIDENT], ours.second[INCIDENT]
    body = {"transition": "complete"}

    async def call(incident: str, of_incident: str) -> Any:
        url = f"/v1/incidents/{incident}/{of}/{label}:{of_incident}:{key}/transitions"
        return await ours.http.post(url, headers=ours.boss.headers, json=body)

    assert (await call(second, first)).status_code == 404
    number = (await ours.http.get(f"/v1/incidents/{first}", headers=ours.boss.headers)).json()["number"]
    told = (await call(number, first)).json()
    assert (told["status"], told["code"]) == (422, "invalid-input")
    assert "by its id" in told["detail"]
    assert (await call(first, first)).status_code == (409 if of == "steps" else 200)


async def test_a_mutation_takes_what_the_address_takes(ours: Prepared) -> None:
    incident = ours.values[INCIDENT]
    query = """mutation Do($incident: ID!, $step: ID!) {
      transitionStep(incidentId: $incident, stepId: $step, input: {transition: complete}) { __typename } }"""

    async def do(incident: str, step: str) -> str:
        told = (await ask(ours.http, ours.boss.headers, query, incident=incident, step=step)).json()
        return str(told["data"]["transitionStep"]["__typename"])

    assert await do(f"Incident:{incident}", f"Step:{incident}:DL.1") == "GateRefused"
    assert await do(f"Client:{incident}", "DL.1") == "NotFound"
    assert await do(incident, f"Action:{incident}:DL.1") == "NotFound"
    assert await do(incident, f"Step:{ours.second[INCIDENT]}:DL.1") == "NotFound"
    assert await do("INC-1001", f"Step:{incident}:DL.1") == "InvalidInput"


def test_what_others_have_named_is_taken_as_it_is() -> None:
    assert labels_of("/v1/clients/by-reference/{system}/{instance}/{external_id}") == {"system": frozenset()}
    assert own_id("Client:17", frozenset()) == "Client:17"
    assert own_id("INC-1001", AN_INCIDENT) == "INC-1001"
    with pytest.raises(NotFound):
        own_id("Client:17", AN_INCIDENT)
    with pytest.raises(Invalid):
        own_id("Step:01890000-0000-7000-8000-000000000000:DL.1", frozenset({"Step"}))
