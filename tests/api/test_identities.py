"""Identities are linked by the people themselves, and never reach further than what linked them."""

from __future__ import annotations

import asyncio

import httpx

from app.database import Database
from tests.api.people import enrolled
from tests.api.places import Place, a_place
from tests.issuer import issuing


async def test_an_enrolment_token_is_exchanged_for_signing_in_once(place: Place) -> None:
    person = (await place.http.post("/v1/people", json={"name": "Cem", "roles": ["privacy"]})).json()
    token = (await place.http.post(f"/v1/people/{person['id']}/enrolment")).json()["token"]
    anybody = httpx.AsyncClient(base_url=str(place.http.base_url), trust_env=False)
    async with anybody:
        wrong = place.issuer.token("cem", aud="https://other.example")
        refused = await anybody.post("/v1/enrolments/sign-in", json={"token": token, "access_token": wrong})
        assert refused.status_code == 401
        body = {"token": token, "access_token": place.issuer.token("ann")}
        taken = await anybody.post("/v1/enrolments/sign-in", json=body)
        assert (taken.status_code, taken.json()["code"]) == (409, "identity-linked")
        body["access_token"] = place.issuer.token("cem")
        linked = await anybody.post("/v1/enrolments/sign-in", json=body)
        assert (linked.status_code, linked.json()["person_id"]) == (201, person["id"]), linked.text
        body["access_token"] = place.issuer.token("dan")
        assert (await anybody.post("/v1/enrolments/sign-in", json=body)).status_code == 401
        assert (await anybody.post("/v1/enrolments/redeem", json={"token": token})).status_code == 401
    me = (await place.me(place.issuer.token("cem"))).json()
    assert (me["id"], me["roles"]) == (person["id"], ["privacy"])


async def test_another_tenants_token_does_not_enrol_here(place: Place, believing: str, database: Database) -> None:
    person = (await place.http.post("/v1/people", json={"name": "Cem"})).json()
    token = (await place.http.post(f"/v1/people/{person['id']}/enrolment")).json()["token"]
    async with issuing() as other, a_place(believing, database, other):
        for access_token, status in ((other.token("cem"), 401), (place.issuer.token("cem"), 201)):
            body = {"token": token, "access_token": access_token}
            answer = await place.http.post("/v1/enrolments/sign-in", json=body, headers={"Authorization": ""})
            assert answer.status_code == status, answer.text


async def test_a_narrow_key_links_no_identity(place: Place) -> None:
    narrow = [
        {"roles": ["risk_owner"]},
        {"expires_at": "2097-01-01T00:00:00Z"},
        {"period_from": "2026-01-01T00:00:00Z"},
    ]
    for limits in narrow:
        key = (await place.http.post("/v1/keys", json={"name": "Narrow", **limits})).json()["key"]
        body = {"access_token": place.issuer.token("eve")}
        refused = await place.http.post("/v1/identities", json=body, headers=place.holding(key))
        assert refused.status_code == 403, limits
    for text in ("nothing", place.issuer.token("eve", aud="https://other.example")):
        answer = await place.http.post("/v1/identities", json={"access_token": text})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/access_token")


async def test_two_link_one_identity_and_one_wins(place: Place) -> None:
    keys = [(await enrolled(place.http, "hr"))[1] for _ in range(4)]
    body = {"access_token": place.issuer.token("shared")}
    answers = await asyncio.gather(
        *(place.http.post("/v1/identities", json=body, headers=place.holding(key)) for key in keys)
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
