"""Webhook endpoints over HTTP: what may be one, what is shown of it, and that the events it wants are queued."""

from typing import Any, get_args
from uuid import UUID, uuid4

import httpx
import pytest

from api.rest.webhook_endpoints import Format
from app.database import Database
from domain.event_formats import FORMATS, TICKET
from tests.people import add_person, report

URL = "https://receiver.example/events"
ENDPOINTS = "/v1/webhook-endpoints"

WRITTEN = """
http://receiver.example/  ftp://receiver.example/  file:///etc/passwd  gopher://receiver.example/  //receiver.example/
receiver.example  https://  https:///x  https://user@receiver.example/  https://user:pass@receiver.example/
https://receiver.example/#part  https://receiver.example:0/  https://receiver.example:99999/  https://receiver.example:22/
https://receiver.example:25/  https://receiver.example:80/  https://receiver.example:53/  https://receiver.example:x/
https://127.0.0.1/  https://127.1/  https://127.0.1/  https://2130706433/  https://0x7f000001/  https://0x7f.1/
https://0177.0.0.1/  https://017700000001/  https://127.000.000.001/  https://0/  https://0.0.0.0/  https://127.0.0.1./
https://10.0.0.1/  https://10.255.255.255/  https://172.16.0.1/  https://172.31.255.255/  https://192.168.0.1/
https://169.254.169.254/latest/meta-data/  https://100.64.0.1/  https://192.0.0.8/  https://192.0.2.1/
https://192.88.99.1/  https://198.18.0.1/  https://198.51.100.1/  https://203.0.113.1/  https://224.0.0.1/
https://240.0.0.1/  https://255.255.255.255/  https://168.63.129.16/  https://[::]/  https://[::1]/
https://[0:0:0:0:0:0:0:1]/  https://[::ffff:127.0.0.1]/  https://[::ffff:7f00:1]/  https://[::ffff:10.0.0.1]/
https://[64:ff9b::7f00:1]/  https://[64:ff9b:1::7f00:1]/  https://[100::1]/  https://[2001::1]/  https://[2001:db8::1]/
https://[2002:7f00:1::1]/  https://[fc00::1]/  https://[fd00:ec2::254]/  https://[fe80::1]/  https://[fe80::1%25eth0]/
https://[fec0::1]/  https://[ff02::1]/  https://[::1  https://localhost/  https://LOCALHOST/  https://localhost./
https://a.localhost/  https://printer.local/  https://metadata.google.internal/  https://postgres/  https://1.2.3/
https://256.256.256.256/  https://１２７.0.0.1/  https://ｌocalhost/  https://127。0。0。1/  https://ⓔxample.example/
https://receiver.example\\@127.0.0.1/  https://127%2e0%2e0%2e1/  https://a..example/  https://receiver.example/é
"""
INSIDE = WRITTEN.split()


async def add(http: httpx.AsyncClient, **members: Any) -> dict[str, Any]:
    """Add an endpoint; its answer, with the secret."""
    body = {"name": "Board", "url": URL, "event_types": ["incident.*", "step.*", "action.*"], **members}
    answer = await http.post(ENDPOINTS, json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def deliveries(http: httpx.AsyncClient, endpoint: dict[str, Any], **query: Any) -> list[dict[str, Any]]:
    """The deliveries of an endpoint, oldest first within each stream."""
    answer = await http.get(f"{ENDPOINTS}/{endpoint['id']}/deliveries", params={"limit": 200, **query})
    assert answer.status_code == 200, answer.text
    told = [one for one in answer.json()["items"] if one["event_type"] != "webhook_endpoint.tested"]
    return sorted(told, key=lambda one: (one["stream_id"], one["seq"]))


def test_there_are_enough_ways_to_write_an_inside_address() -> None:
    assert len(set(INSIDE)) >= 60


@pytest.mark.parametrize("url", INSIDE)
async def test_what_is_no_public_address_is_refused(http: httpx.AsyncClient, url: str) -> None:
    answer = await http.post(ENDPOINTS, json={"name": "Board", "url": url, "event_types": ["*"]})
    assert answer.status_code == 422, f"{url}: {answer.text}"
    assert answer.json()["errors"][0]["pointer"].endswith("/url")


async def test_a_change_of_address_is_checked_too(http: httpx.AsyncClient) -> None:
    endpoint = await add(http)
    for url in ("https://10.0.0.1/", "http://receiver.example/", "https://2130706433/"):
        assert (await http.patch(f"{ENDPOINTS}/{endpoint['id']}", json={"url": url})).status_code == 422
    assert (await http.get(f"{ENDPOINTS}/{endpoint['id']}")).json()["url"] == URL


async def test_refused_addresses_inside_read_alike(http: httpx.AsyncClient) -> None:
    said = set()
    for url in ("https://10.0.0.1/", "https://127.0.0.1:8080/", "https://169.254.169.254/", "https://localhost/"):
        answer = await http.post(ENDPOINTS, json={"name": "Board", "url": url, "event_types": ["*"]})
        said.add(answer.json()["errors"][0]["reason"])
    assert len(said) == 1


async def test_the_secret_is_shown_once_and_kept_sealed(
    http: httpx.AsyncClient, database: Database, tenant: Any
) -> None:
    endpoint = await add(http)
    assert endpoint["secret"].startswith("whsec_")
    assert endpoint["public_key"].startswith("whpk_")
    assert "secret" not in (await http.get(f"{ENDPOINTS}/{endpoint['id']}")).json()
    rotated = (await http.post(f"{ENDPOINTS}/{endpoint['id']}/rotate", json={})).json()
    assert rotated["secret"] != endpoint["secret"]
    assert rotated["public_key"] != endpoint["public_key"]
    assert rotated["previous_secret_until"] is not None
    async with database.transaction(tenant.tenant_id) as db:
        row = await db.row("select e::text as text from webhook_endpoints e where id = $1", UUID(endpoint["id"]))
        told = await db.fetch("select data::text from event_data where stream = 'webhook_endpoint'")
    assert row is not None
    kept = row["text"] + "".join(one["data"] for one in told)
    for secret in (endpoint["secret"], rotated["secret"]):
        assert secret.removeprefix("whsec_") not in kept


@pytest.mark.parametrize(
    "members",
    [
        {"event_types": []},
        {"event_types": ["step"]},
        {"event_types": ["step.%"]},
        {"event_types": ["Step.completed"]},
        {"filter": "incident.severity =="},
        {"filter": "nobody == 1"},
        {"client_ids": []},
        {"client_ids": [str(uuid4())]},
        {"payload": "everything"},
        {"format": "soap"},
        {"headers": {"webhook-signature": "v1,x", "Host": "inside", "X-Y": "a\r\nb"}},
    ],
)
async def test_what_cannot_work_is_refused_with_a_reason(http: httpx.AsyncClient, members: dict[str, Any]) -> None:
    answer = await http.post(ENDPOINTS, json={"name": "Board", "url": URL, "event_types": ["*"], **members})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"].startswith("/")


async def test_every_wanted_event_is_queued_and_nothing_else(http: httpx.AsyncClient) -> None:
    before = await add(http)
    steps = await add(http, event_types=["step.skipped", "incident.declared"])
    everything = await add(http, event_types=["*"])
    incident = await report(http, playbook="data-leakage")
    timeline = (await http.get(f"/v1/incidents/{incident['id']}/timeline", params={"limit": 200})).json()["items"]
    kinds = [event["kind"] for event in timeline]
    of_incident = [one for one in await deliveries(http, everything) if one["stream_id"] == incident["id"]]
    assert [one["event_type"] for one in of_incident] == kinds
    assert [one["seq"] for one in of_incident] == [event["seq"] for event in timeline]
    assert {one["event_id"] for one in of_incident} == {f"evt_{event['hash'][:32]}" for event in timeline}
    wanted = [one for one in kinds if one.partition(".")[0] in ("incident", "step", "action")]
    assert [one["event_type"] for one in await deliveries(http, before)] == wanted
    assert {one["event_type"] for one in await deliveries(http, steps)} <= {"step.skipped", "incident.declared"}
    late = await add(http, event_types=["*"])
    assert [one["stream"] for one in await deliveries(http, late)] == ["webhook_endpoint"], "its own making alone"


async def test_a_client_limit_holds_whoever_acts(http: httpx.AsyncClient, tenant: Any) -> None:
    ours = (await http.post("/v1/clients", json={"name": "Ours"})).json()["id"]
    other = (await http.post("/v1/clients", json={"name": "Other"})).json()["id"]
    limited = await add(http, event_types=["*"], client_ids=[ours])
    everything = await add(http, event_types=["incident.*"])
    key = (await http.post("/v1/keys", json={"name": "Of ours", "client_ids": [ours]})).json()["key"]
    by_limited = await report(http, {"Authorization": f"Bearer {key}"}, client_ids=[ours])
    by_all = await report(http, client_ids=[ours])
    for clients in ([], [other], [ours, other]):
        await report(http, client_ids=clients)
    assert {one["stream_id"] for one in await deliveries(http, limited)} == {by_limited["id"], by_all["id"]}
    assert by_limited["id"] in {one["stream_id"] for one in await deliveries(http, everything)}
    hidden = await http.get(ENDPOINTS, headers={"Authorization": f"Bearer {key}"})
    assert hidden.status_code == 403 or hidden.json()["items"] == []


async def test_a_disabled_endpoint_is_told_nothing(http: httpx.AsyncClient) -> None:
    endpoint = await add(http)
    path = f"{ENDPOINTS}/{endpoint['id']}"
    disabled = (await http.patch(path, json={"status": "disabled"})).json()
    assert (disabled["status"], disabled["disabled_because"]) == ("disabled", "asked")
    await report(http)
    assert await deliveries(http, endpoint) == []
    refused = await http.post(f"{path}/test")
    assert (refused.status_code, refused.json()["code"]) == (409, "endpoint-disabled")
    assert (await http.patch(path, json={"status": "active"})).json()["disabled_because"] is None


async def test_only_administrators_write_endpoints(http: httpx.AsyncClient, database: Database, tenant: Any) -> None:
    somebody = await add_person(database, tenant.tenant_id, "security_lead", "risk_owner")
    body = {"name": "Board", "url": URL, "event_types": ["*"]}
    assert (await http.post(ENDPOINTS, json=body, headers=somebody.headers)).status_code == 403
    assert (await http.get(ENDPOINTS, headers=somebody.headers)).status_code == 403


def test_every_form_may_be_asked_for() -> None:
    assert set(get_args(Format)) == {*FORMATS, TICKET}
