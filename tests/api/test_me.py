"""Who am I, and the settings of the tenant."""

from typing import Any

import httpx
import pytest

from tests.api.people import calling, enrolled


async def test_it_says_who_calls_with_which_key(http: httpx.AsyncClient, tenant: Any) -> None:
    me = (await http.get("/v1/me")).json()
    assert (me["id"], me["kind"], me["tenant"]["name"]) == (str(tenant.person_id), "person", tenant.name)
    assert me["roles"] == ["it_security", "risk_owner", "tenant_admin"]
    assert "person.write" in me["permissions"] and me["key"]["id"] == str(tenant.key_id)
    assert me["client_ids"] is None


async def test_a_member_without_roles_knows_itself(http: httpx.AsyncClient, server: str) -> None:
    person, key = await enrolled(http)
    async with calling(server, key) as other:
        me = (await other.get("/v1/me")).json()
    assert (me["id"], me["roles"]) == (person, [])
    assert "person.write" not in me["permissions"] and "incident.report" in me["permissions"]


async def test_a_stranger_is_nobody(stranger: httpx.AsyncClient) -> None:
    assert (await stranger.get("/v1/me")).status_code == 401
    assert (await stranger.get("/v1/settings")).status_code == 401


async def test_settings_start_with_the_defaults_and_change_member_by_member(http: httpx.AsyncClient) -> None:
    first = await http.get("/v1/settings")
    assert (first.status_code, first.headers["etag"], first.json()["calendar"]["time_zone"]) == (200, '"0"', "UTC")
    assert (first.json()["grace"], first.json()["triage_within"]) == ("PT15M", "PT1H")
    calendar = {"time_zone": "Europe/Berlin", "country": "DE", "subdivision": "BE", "closed_days": ["2026-12-24"]}
    body = {"calendar": calendar, "harm_cost_threshold": 5000, "organisation": {"sectors": ["financial"]}}
    changed = await http.patch("/v1/settings", json=body, headers={"If-Match": '"0"'})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"1"')
    assert changed.json()["calendar"]["opens"] == "09:00"
    opened = (await http.patch("/v1/settings", json={"calendar": {"opens": "08:00"}})).json()
    assert (opened["calendar"]["time_zone"], opened["calendar"]["opens"]) == ("Europe/Berlin", "08:00")
    assert (opened["harm_cost_threshold"], opened["organisation"]) == ("5000", {"sectors": ["financial"]})
    reset = (await http.patch("/v1/settings", json={"calendar": None})).json()
    assert reset["calendar"]["time_zone"] == "UTC"
    assert (await http.patch("/v1/settings", json={}, headers={"If-Match": '"0"'})).status_code == 412


@pytest.mark.parametrize(
    "body",
    [
        {"calendar": {"time_zone": "Mars/Olympus"}},
        {"calendar": {"time_zone": "../../etc/passwd"}},
        {"calendar": {"country": "ZZ"}},
        {"calendar": {"country": "DE", "subdivision": "XX"}},
        {"calendar": {"subdivision": "BE"}},
        {"calendar": {"opens": "18:00"}},
        {"calendar": {"opens": "25:00"}},
        {"calendar": {"working_days": []}},
        {"calendar": {"working_days": [7]}},
        {"calendar": {"working_days": [True]}},
        {"calendar": {"closed_days": ["2026-02-30"]}},
        {"grace": "soon"},
        {"grace": "P1M"},
        {"grace": "P2D"},
        {"harm_cost_threshold": -1},
        {"organisation": {"hipaa_role": "patient"}},
        {"organisation": {"colour": "blue"}},
        {"next_number": 1},
        {"name": "Other"},
        {"directory_version": 1},
    ],
)
async def test_settings_that_cannot_be_are_refused(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    answer = await http.patch("/v1/settings", json=body)
    assert (answer.status_code, bool(answer.json()["errors"])) == (422, True)


async def test_only_an_administrator_changes_settings(http: httpx.AsyncClient, server: str) -> None:
    _, key = await enrolled(http, "risk_owner")
    async with calling(server, key) as other:
        assert (await other.get("/v1/settings")).status_code == 200
        assert (await other.patch("/v1/settings", json={"grace": "PT1M"})).status_code == 403
