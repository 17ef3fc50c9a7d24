"""A started service tells its log to whoever reads it, and ends their streams in good order when it is told to end."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.test_serve import serve

__all__ = ["serve"]  # a fixture
pytestmark = pytest.mark.timeout(120)


def test_a_stream_tells_at_once_and_ends_when_the_service_does(serve: Any, tmp_path: Path) -> None:
    served = serve(tmp_path / "data")
    key = (tmp_path / "data" / "admin-key").read_text().strip()
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=served.address, headers=headers, timeout=30, trust_env=False) as http:
        wanted = {"Accept": "text/event-stream"}
        with http.stream("GET", "/v1/events", params={"types": "client.created"}, headers=wanted) as answer:
            lines = answer.iter_lines()
            assert http.post("/v1/clients", json={"name": "Acme"}).status_code == 201
            assert any(line.startswith("data: ") for line in lines)
            began = time.monotonic()
            served.process.terminate()
            assert [line for line in lines if line.startswith(":")][-1] == ": the end, connect again"
        assert served.process.wait(30) == 0
        assert time.monotonic() - began < 15, "nothing is waited for that has no end"
    assert "Traceback" not in served.log.read_text()
