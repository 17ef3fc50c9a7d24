"""What every answer carries, and what the door believes of what it is sent."""

from pathlib import Path

import httpx
import pytest
from prometheus_client import REGISTRY

from api.middleware import Door
from app.settings import Settings
from tests.api.small_api import Caller, routes
from tests.conftest import serving

PLACES = [
    "/v1/things",
    "/v1/nothing",
    "/healthz",
    "/readyz",
    "/docs",
    "/openapi.json",
    "/problems",
    "/problems/forbidden",
]


@pytest.mark.parametrize("path", PLACES)
async def test_every_answer_is_marked(door: httpx.AsyncClient, path: str) -> None:
    answer = await door.get(path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert len(answer.headers["x-request-id"]) >= 8
    if not answer.headers["content-type"].startswith("text/plain"):
        assert "charset=utf-8" in answer.headers["content-type"]


@pytest.mark.parametrize("path", PLACES)
async def test_head_is_get_without_its_body(door: httpx.AsyncClient, path: str) -> None:
    got, head = await door.get(path), await door.head(path)
    assert head.status_code == got.status_code
    assert head.content == b""
    assert head.headers["content-type"] == got.headers["content-type"]


@pytest.mark.parametrize(
    ("path", "template"),
    [("/healthz", "/healthz"), ("/problems/forbidden", "/problems/{code}"), ("/openapi.json", "/openapi.json")],
)
async def test_a_request_is_counted_under_its_template(door: httpx.AsyncClient, path: str, template: str) -> None:
    def counted() -> float:
        return REGISTRY.get_sample_value("holdfast_requests_total", labels) or 0

    labels = {"method": "GET", "route": template, "status": "200"}
    before = counted()
    assert (await door.get(path)).status_code == 200
    assert counted() == before + 1


async def test_a_callers_request_id_is_kept_when_it_is_harmless(door: httpx.AsyncClient) -> None:
    kept = await door.get("/healthz", headers={"X-Request-Id": "abc-123_DEF.4"})
    assert kept.headers["x-request-id"] == "abc-123_DEF.4"
    made = await door.get("/healthz", headers={"X-Request-Id": "a b<script>"})
    assert made.headers["x-request-id"] != "a b<script>"


async def test_limits_are_told(door: httpx.AsyncClient, settings: Settings) -> None:
    answer = await door.get("/v1/things")
    assert answer.headers["ratelimit-policy"] == f'"credential";q={settings.key_requests_per_minute};w=60'
    assert answer.headers["ratelimit"].startswith('"credential";r=')


async def test_very_long_addresses_and_headers_are_refused(door: httpx.AsyncClient) -> None:
    assert (await door.get("/v1/" + "a" * 9_000)).status_code == 414
    assert (await door.get("/healthz", headers={"X-Long": "a" * 17_000})).status_code == 431


@pytest.mark.parametrize(
    ("client", "forwarded", "address"),
    [
        ("203.0.113.9", "1.2.3.4", "203.0.113.9"),  # no proxy of ours: what it says is not believed
        ("10.0.0.1", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"),  # the left part is what the caller itself wrote
        ("10.0.0.1", "1.2.3.4, 10.0.0.2", "1.2.3.4"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "nonsense", "nonsense"),
    ],
)
def test_forwarded_addresses_are_believed_from_our_proxies_only(client: str, forwarded: str, address: str) -> None:
    proxies = Settings(trusted_proxies="10.0.0.0/8").trusted_proxies  # type: ignore[arg-type]
    layer = Door(lambda *_: None, proxies, [])  # type: ignore[arg-type,return-value]
    assert layer._address({"client": (client, 1)}, {b"x-forwarded-for": forwarded.encode()}) == address


async def test_only_our_hosts_are_answered(settings: Settings, caller: Caller) -> None:
    from api.server import create_api

    ours = settings.model_copy(update={"allowed_hosts": ("holdfast.example",), "cors_origins": ("https://c.example",)})
    async with serving(create_api(ours, routers=[routes])) as address, httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"{address}/healthz")).status_code == 421
        host = {"Host": "holdfast.example:8080"}
        assert (await http.get(f"{address}/healthz", headers=host)).status_code == 200
        for origin, allowed in [("https://c.example", True), ("null", False), ("https://c.example.evil", False)]:
            answer = await http.get(f"{address}/v1/things", headers=host | caller.headers | {"Origin": origin})
            assert ("access-control-allow-origin" in answer.headers) is allowed


async def test_the_reference_needs_nothing_from_elsewhere(door: httpx.AsyncClient) -> None:
    page = (await door.get("/docs", headers={"Authorization": ""})).text
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page
    assert "/v1/things" in page


async def test_the_document_tells_the_truth_about_errors(door: httpx.AsyncClient) -> None:
    document = (await door.get("/openapi.json")).json()
    assert "HTTPValidationError" not in document["components"]["schemas"]
    post = document["paths"]["/v1/things"]["post"]
    assert post["x-operation"] == "incident.report"
    assert {"201", "400", "401", "403", "404", "409", "413", "415", "422", "429", "503"} <= set(post["responses"])
    assert list(post["responses"]["422"]["content"]) == ["application/problem+json"]
    assert "Idempotency-Key" in [parameter["name"] for parameter in post["parameters"]]
    assert document["paths"]["/v1/open"]["post"]["security"] == []
    ids = [one["operationId"] for path in document["paths"].values() for one in path.values()]
    assert len(ids) == len(set(ids))


async def test_metrics_have_a_listener_of_their_own(door: httpx.AsyncClient, tmp_path: Path) -> None:
    from api.health import serve_metrics

    await door.get("/v1/things")
    server = await serve_metrics("127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with httpx.AsyncClient(trust_env=False) as http:
        text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
        assert 'holdfast_requests_total{method="GET",route="/v1/things",status="200"}' in text
        assert (await http.get(f"http://127.0.0.1:{port}/other")).status_code == 404
    server.close()
    assert (await door.get("/metrics")).status_code == 404
