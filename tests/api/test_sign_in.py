"""Signing in with the access tokens of a tenant's identity provider, through the door."""

from __future__ import annotations

import contextlib
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from app.database import Database
from app.settings import Settings
from tests.api.people import enrolled
from tests.api.places import LOOPBACK, Place, a_place, registration
from tests.conftest import serving
from tests.forged_tokens import forged_tokens
from tests.issuer import AUDIENCE, CLIENT, Issuer, issuing, signed


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
async def test_a_token_makes_its_person(place: Place, algorithm: str) -> None:
    by_key, by_token = (await place.http.get("/v1/me")).json(), await place.me(place.issuer.token(algorithm=algorithm))
    assert by_token.status_code == 200
    seen = by_token.json()
    assert {name: seen[name] for name in ("id", "kind", "roles", "tenant", "permissions")} == {
        name: by_key[name] for name in ("id", "kind", "roles", "tenant", "permissions")
    }
    assert (seen["key"], seen["identity"]["subject"], seen["identity"]["issuer"]) == (None, "ann", place.issuer.url)
    assert by_key["identity"] is None


async def test_who_signed_in_writes_as_the_person(place: Place) -> None:
    headers = place.holding(place.issuer.token()) | {"Idempotency-Key": uuid4().hex}
    body = {"title": "Prompt with customer data", "playbook": "data-leakage"}
    first = await place.http.post("/v1/incidents", json=body, headers=headers)
    assert first.status_code == 201, first.text
    again = await place.http.post("/v1/incidents", json=body, headers=headers)
    by_key = await place.http.post("/v1/incidents", json=body, headers={"Idempotency-Key": headers["Idempotency-Key"]})
    # The principal is the person, whatever the credential.
    assert first.json()["id"] == again.json()["id"] == by_key.json()["id"]
    key = await place.http.post("/v1/keys", json={"name": "From the console"}, headers=headers)
    assert key.status_code == 201, key.text


DOORS = (
    ("GET", "/v1/me", None),
    ("POST", "/v1/incidents", None),
    ("POST", "/graphql", {"query": "{ viewer { id } }"}),
    ("POST", "/graphql", {"query": 'mutation { addClient(input: {name: "Forged"}) { __typename } }'}),
)
"""REST and the graph, to read and to write; sockets are tried in test_subscriptions.py."""


async def test_no_forged_token_opens_anything(place: Place) -> None:
    forged = forged_tokens(place.issuer, "ann")
    assert len(forged) >= 30
    assert (await place.me(place.issuer.token())).status_code == 200
    before = place.issuer.questions
    answers = {}
    for name, text in forged.items():
        for method, path, body in DOORS:
            headers = place.holding(text) | {"X-Request-Id": "same-request"}
            answers[name, method, str(body or path)] = await place.http.request(
                method, path, headers=headers, json=body
            )
    wrong = {name: answer.status_code for name, answer in answers.items() if answer.status_code != 401}
    assert wrong == {}
    assert len({answer.content for answer in answers.values()}) == 1
    assert place.issuer.questions == before  # it was asked a moment ago; a flood does not ask it again
    assert (await place.me(place.issuer.token())).status_code == 200


async def test_a_megabyte_is_refused_before_it_is_read(place: Place) -> None:
    text = place.issuer.token(groups=["g" * 1_000_000])
    answer: httpx.Response | None = None
    with contextlib.suppress(httpx.RemoteProtocolError, httpx.WriteError, httpx.ReadError):
        answer = await place.me(text)
    assert answer is None or answer.status_code == 431


async def test_a_type_that_is_configured_is_the_only_one_taken(
    believing: str, database: Database, issuer: Issuer
) -> None:
    def typed(word: str, **claims: Any) -> str:
        return signed(issuer.header(typ=word), issuer.claims(**claims), issuer.keys["ES256"][1])

    async with a_place(believing, database, issuer, token_type="JWT", proof=typed("JWT")) as place:
        assert place.provider["token_type"] == "jwt"
        linked = await place.http.post("/v1/identities", json={"access_token": typed("JWT")})
        assert linked.status_code == 201, linked.text
        assert (await place.me(typed("JWT"))).status_code == 200
        for text in (typed("at+jwt"), typed("JWT", aud=CLIENT), typed("JWT", at_hash="x")):
            assert (await place.me(text)).status_code == 401


async def test_no_token_goes_anywhere_but_into_the_header(place: Place) -> None:
    token = place.issuer.token()
    async with httpx.AsyncClient(base_url=str(place.http.base_url), trust_env=False) as anybody:
        for request in (
            {"params": {"access_token": token}},
            {"headers": {"Cookie": f"access_token={token}"}},
            {"headers": {"Authorization": token}},
            {"headers": {"Authorization": f"DPoP {token}"}},
            {"headers": {"Authorization": f"Bearer {token} {token}"}},
        ):
            assert (await anybody.get("/v1/me", **request)).status_code == 401  # type: ignore[arg-type]


async def test_the_same_subject_of_two_issuers_is_two_identities(place: Place) -> None:
    async with issuing() as other:
        made = await place.http.post("/v1/identity-providers", json=registration(other, audience=AUDIENCE))
        assert made.status_code == 201, made.text
        mail = {"email": "ann@msp.example", "email_verified": True}
        assert (await place.me(other.token("ann", **mail))).status_code == 401
        person_id, key = await enrolled(place.http, "hr")
        body = {"access_token": other.token("ann", **mail)}
        linked = await place.http.post("/v1/identities", json=body, headers=place.holding(key))
        assert linked.status_code == 201, linked.text
        ours = (await place.me(place.issuer.token("ann", **mail))).json()
        theirs = (await place.me(other.token("ann", **mail))).json()
        assert theirs["id"] == person_id != ours["id"]
        assert theirs["roles"] == ["hr"]


async def test_a_token_opens_its_own_tenant_alone(place: Place, believing: str, database: Database) -> None:
    async with issuing() as other, a_place(believing, database, other) as elsewhere:
        assert (await elsewhere.me(place.issuer.token())).json()["tenant"]["id"] == place.tenant_id
        assert (await elsewhere.me(other.token())).status_code == 401  # its ann is linked to nobody
        both = place.issuer.token(aud=[AUDIENCE, "https://other.example"])
        assert (await elsewhere.me(both)).json()["tenant"]["id"] == place.tenant_id
        # A second audience of the first issuer belongs to the second tenant: a token for both says nothing.
        taken = registration(place.issuer, audience="second", proof=place.issuer.token(aud="second"))
        assert (await elsewhere.http.post("/v1/identity-providers", json=taken)).status_code == 201
        assert (await elsewhere.me(place.issuer.token(aud=[AUDIENCE, "second"]))).status_code == 401
        assert (await elsewhere.me(place.issuer.token(aud="second"))).status_code == 401


async def test_disabling_the_provider_shuts_the_door_at_once(place: Place) -> None:
    path = f"/v1/identity-providers/{place.provider['id']}"
    for enabled, status in ((False, 401), (True, 200)):
        changed = await place.http.patch(path, json={"enabled": enabled})
        assert (changed.status_code, changed.json()["enabled"]) == (200, enabled)
        assert (await place.me(place.issuer.token())).status_code == status
    assert (await place.http.delete(path)).status_code == 204
    assert (await place.me(place.issuer.token())).status_code == 401
    assert (await place.http.delete(path)).status_code == 404
    assert (await place.http.get("/v1/identity-providers")).json()["items"] == []
    retired = (await place.http.get("/v1/identity-providers?retired=true")).json()["items"]
    assert [one["id"] for one in retired] == [place.provider["id"]]
    again = await place.http.post("/v1/identity-providers", json=registration(place.issuer))
    assert again.status_code == 201, again.text
    assert (await place.me(place.issuer.token())).status_code == 200


async def test_a_person_who_left_and_an_identity_that_was_unlinked_open_nothing(place: Place) -> None:
    person_id, key = await enrolled(place.http, "hr")
    body = {"access_token": place.issuer.token("bea")}
    identity = (await place.http.post("/v1/identities", json=body, headers=place.holding(key))).json()
    for active, status in ((False, 401), (True, 200)):
        await place.http.patch(f"/v1/people/{person_id}", json={"active": active})
        assert (await place.me(place.issuer.token("bea"))).status_code == status
    own = await place.http.get("/v1/identities", headers=place.holding(place.issuer.token("bea")))
    assert [one["id"] for one in own.json()["items"]] == [identity["id"]]
    assert len((await place.http.get("/v1/identities")).json()["items"]) == 2
    mine = (await place.http.get("/v1/identities?person_id=" + (await place.http.get("/v1/me")).json()["id"])).json()
    others = f"/v1/identities/{mine['items'][0]['id']}"
    for method in ("GET", "DELETE"):
        answer = await place.http.request(method, others, headers=place.holding(key))
        assert answer.status_code == 404
    gone = await place.http.delete(f"/v1/identities/{identity['id']}")
    assert (gone.status_code, gone.json()["is_linked"]) == (200, False)
    assert (await place.me(place.issuer.token("bea"))).status_code == 401
    assert (await place.me(place.issuer.token("ann"))).status_code == 200


async def test_keys_rotate_and_outages_pass(place: Place) -> None:
    old = place.issuer.token()
    assert (await place.me(old)).status_code == 200
    place.issuer.is_down = True
    assert (await place.me(place.issuer.token())).status_code == 200
    place.issuer.rotate()
    assert (await place.me(place.issuer.token())).status_code == 401  # a key that nobody can vouch for
    assert (await place.me(old)).status_code == 200
    assert place.issuer.questions <= 4  # discovery and keys: once to register, once to sign in


async def test_no_transaction_is_open_while_an_issuer_is_asked(
    believing: str, database: Database, issuer: Issuer, superuser: asyncpg.Connection
) -> None:
    open_ones = []

    async def look() -> None:
        rows = await superuser.fetch(
            "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
            " and state like 'idle in transaction%'"
        )
        open_ones.append(len(rows))

    issuer.meanwhile = look
    async with a_place(believing, database, issuer) as place:
        linked = await place.http.post("/v1/identities", json={"access_token": issuer.token()})
        assert linked.status_code == 201, linked.text
        assert (await place.me(issuer.token())).status_code == 200
    assert open_ones == [0, 0, 0, 0]  # discovery and keys: once to register, once to sign in


async def test_what_one_process_disables_another_refuses_at_once(place: Place, settings: Settings) -> None:
    from api.server import create_api

    api = create_api(settings.model_copy(update={"issuer_networks": LOOPBACK}))
    async with serving(api) as address, httpx.AsyncClient(base_url=address, trust_env=False) as elsewhere:
        token = place.holding(place.issuer.token())
        assert (await elsewhere.get("/v1/me", headers=token)).status_code == 200
        await place.http.patch(f"/v1/identity-providers/{place.provider['id']}", json={"enabled": False})
        assert (await elsewhere.get("/v1/me", headers=token)).status_code == 401


async def test_a_pair_that_moved_opens_its_new_tenant_alone(place: Place, believing: str, database: Database) -> None:
    assert (await place.me(place.issuer.token())).status_code == 200
    await place.http.delete(f"/v1/identity-providers/{place.provider['id']}")
    async with a_place(believing, database, place.issuer) as latter:
        body = {"access_token": place.issuer.token("zoe")}
        linked = await latter.http.post("/v1/identities", json=body)
        assert linked.status_code == 201, linked.text
        assert (await latter.me(place.issuer.token("ann"))).status_code == 401
        assert (await latter.me(place.issuer.token("zoe"))).json()["tenant"]["id"] == latter.tenant_id


async def test_wrong_tokens_are_limited_and_the_owner_is_not(
    settings: Settings, database: Database, issuer: Issuer
) -> None:
    from api.server import create_api

    more = {"issuer_networks": LOOPBACK, "refused_credentials_per_minute": 5}
    more["trusted_proxies"] = LOOPBACK
    api = create_api(settings.model_copy(update=more))
    async with serving(api) as address, a_place(address, database, issuer) as place:
        await place.http.post("/v1/identities", json={"access_token": issuer.token()})
        attacker, owner = {"X-Forwarded-For": "192.0.2.66"}, {"X-Forwarded-For": "192.0.2.1"}

        async def ask(text: str, where: dict[str, str]) -> httpx.Response:
            return await place.http.get("/v1/me", headers=place.holding(text) | where)

        assert (await ask(issuer.token(), attacker)).status_code == 200
        forged = signed(issuer.header(kid="unknown"), issuer.claims("eve"), issuer.keys["ES256"][1])
        answers = [await ask(forged, attacker) for _ in range(1_000)]
        codes = [answer.status_code for answer in answers]
        assert codes[:5] == [401] * 5
        assert codes.count(429) > 900
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        assert issuer.questions <= 4
        # Who signed in here before is heard out even from there, and everybody else from elsewhere.
        assert (await ask(issuer.token(), attacker)).status_code == 200
        assert (await ask(issuer.token(), owner)).status_code == 200
