"""The sockets of the graph: what may be said on one, how many there may be, and how each of them ends."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from api.graphql import sockets
from app.settings import Settings
from tests.conftest import serving
from tests.sockets import BOARD, FOLLOW, ORIGIN, console

DEEP = (
    "subscription { incidentChanged(id: 1) { incident " + "{ steps { actions { step" * 4 + "{ key }" + "}}}" * 4 + "}}"
)
WHOLE = BOARD % "incident { number status clients { name } steps { key } }"


async def test_a_wrong_credential_is_refused(server: str, tenant: Any) -> None:
    for payload in (None, {}, {"Authorization": "Bearer no"}, {"Authorization": f"Bearer {tenant.key[:-1]}x"}):
        async with console(server) as live:
            await live.send(type="connection_init", payload=payload)
            assert await live.closed() == 4403


async def test_a_credential_in_the_address_or_the_handshake_opens_nothing(server: str, tenant: Any) -> None:
    headers = {"Authorization": f"Bearer {tenant.key}"}
    async with console(server, additional_headers=headers) as live:
        await live.send(type="connection_init")
        assert await live.closed() == 4403


async def test_who_does_not_begin_is_not_waited_for(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "INIT_SECONDS_MAX", 0.3)
    async with console(server) as live:
        assert await live.closed() == 4408


async def test_subscribing_before_beginning_is_refused(server: str) -> None:
    async with console(server) as live:
        await live.subscribe(FOLLOW, {"id": "INC-1001"})
        assert await live.closed() == 4401


async def test_beginning_twice_is_refused(server: str, tenant: Any) -> None:
    async with console(server, tenant.key) as live:
        await live.send(type="connection_init", payload={"Authorization": f"Bearer {tenant.key}"})
        assert await live.closed() == 4429


async def test_one_id_is_one_subscription(server: str, tenant: Any) -> None:
    async with console(server, tenant.key) as live:
        for _ in range(2):
            await live.subscribe(WHOLE, {})
        assert await live.closed() == 4409


async def test_a_socket_follows_twenty_things(server: str, tenant: Any) -> None:
    async with console(server, tenant.key) as live:
        for number in range(20):
            await live.subscribe(WHOLE, {}, str(number))
            assert (await live.told(str(number)))["resync"]
        await live.subscribe(WHOLE, {}, "20")
        message = await live.hear()
        assert (message["type"], message["id"]) == ("error", "20")
        assert message["payload"][0]["extensions"]["code"] == "too-many-subscriptions"
        await live.send(type="complete", id="3")
        await live.subscribe(WHOLE, {}, "3")
        assert (await live.told("3"))["resync"]


@pytest.mark.parametrize(
    "text", ["", "no json", "[]", '{"type":1}', '{"type":"start"}', '{"type":"ping","type":"ping"}']
)
async def test_what_is_no_message_ends_the_socket(server: str, tenant: Any, text: str) -> None:
    async with console(server, tenant.key) as live:
        await live.connection.send(text)
        assert await live.closed() == 4400


@pytest.mark.parametrize(
    "payload", [None, {}, {"query": 1}, {"query": "{ serverTime }", "variables": []}], ids=["none", "empty", "q", "v"]
)
async def test_a_payload_that_is_none_ends_the_socket(server: str, tenant: Any, payload: Any) -> None:
    async with console(server, tenant.key) as live:
        await live.send(type="subscribe", id="1", payload=payload)
        assert await live.closed() == 4400


async def test_bytes_and_large_frames_end_the_socket(server: str, tenant: Any) -> None:
    async with console(server, tenant.key) as live:
        await live.connection.send(b"{}")
        assert await live.closed() == 4400
    async with console(server, tenant.key) as live:
        await live.connection.send("x" * 1_000_000)
        assert await live.closed() == 1009


async def test_pings_are_answered(server: str, tenant: Any) -> None:
    async with console(server, tenant.key) as live:
        await live.send(type="ping")
        assert await live.hear() == {"type": "pong"}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ serverTime }", "use-http"),
        ('mutation { assignIncident(incidentId: "INC-1", input: {}) { __typename } }', "invalid-document"),
        ("subscription {", "invalid-document"),
        ("subscription { boardChanged { resync } incidentChanged(id: 1) { seq } }", "invalid-document"),
        ("subscription { boardChanged { " + "a: resync " * 20 + "} }", "query-too-large"),
        (DEEP, "query-too-large"),
        ("subscription($a: Int!) { incidentChanged(id: 1, afterSeq: $a) { seq } }", "invalid-document"),
        ('subscription { boardChanged(filter: {clientId: "no"}) { resync } }', "invalid-input"),
    ],
)  # fmt: skip
async def test_what_is_no_subscription_is_answered_with_an_error(
    server: str, tenant: Any, query: str, code: str
) -> None:
    async with console(server, tenant.key) as live:
        await live.subscribe(query)
        message = await live.hear()
        assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", code), message


async def test_only_trusted_documents_are_followed_where_only_they_are_run(
    settings: Settings, tenant: Any, tmp_path: Path
) -> None:
    from api.server import create_api

    (tmp_path / "board.graphql").write_text(WHOLE)
    more = {"graphql_trusted_only": True, "graphql_operations": tmp_path}
    async with serving(create_api(settings.model_copy(update=more))) as address, console(address, tenant.key) as live:
        await live.subscribe(WHOLE + " ")
        assert (await live.hear())["payload"][0]["extensions"]["code"] == "untrusted-document"
        named = {"documentId": sha256(WHOLE.encode()).hexdigest(), "extensions": {}, "operationName": "Board"}
        await live.send(type="subscribe", id="1", payload=named)
        assert (await live.told())["resync"]


async def test_other_protocols_are_not_spoken(server: str) -> None:
    for given in (["graphql-ws"], None):
        async with console(server, subprotocols=given) as live:
            assert await live.closed() == 4406


async def test_only_listed_origins_may_open_a_socket(server: str, other_server: str, tenant: Any) -> None:
    async with console(other_server, tenant.key, origin=ORIGIN) as live:
        await live.send(type="ping")
        assert await live.hear() == {"type": "pong"}
    for address, origin in ((server, ORIGIN), (other_server, "https://evil.example"), (other_server, "null")):
        with pytest.raises(InvalidStatus) as refused:
            async with console(address, origin=origin):
                pass
        assert refused.value.response.status_code == 403


async def test_a_tenant_has_so_many_sockets(other_server: str, tenant: Any) -> None:
    open = [console(other_server, tenant.key) for _ in range(3)]
    async with open[0], open[1], open[2], console(other_server) as fourth:
        await fourth.send(type="connection_init", payload={"Authorization": f"Bearer {tenant.key}"})
        assert await fourth.closed() == 1013


async def test_an_idle_socket_ends(server: str, tenant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "IDLE_SECONDS_MAX", 0.1)
    async with console(server, tenant.key) as idle:
        assert await idle.closed() == 4414


async def test_the_end_of_a_server_is_told(settings: Settings, tenant: Any) -> None:
    from api.server import create_api

    async with serving(create_api(settings)) as address:
        opened = console(address, tenant.key)
        live = await opened.__aenter__()
        await live.subscribe(WHOLE, {})
        assert (await live.told())["resync"]
    with pytest.raises(ConnectionClosed):
        await live.connection.recv()
    assert live.connection.close_code == 1012
    await opened.__aexit__(None, None, None)
