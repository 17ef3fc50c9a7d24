"""Receivers that fail and servers that are killed while events are on their way: each event first arrives in its order,
none is missing, no id changes and every signature fits. `make soak` does the same for minutes."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.telling import RECEIVERS, survive

pytestmark = pytest.mark.timeout(300)

KILLS = 5


async def test_receivers_that_fail_and_five_killed_servers_lose_nothing(tmp_path: Path) -> None:
    found = await survive(tmp_path, 7, kills=KILLS)
    assert found.faults == []
    assert found.incidents > KILLS
    assert found.messages > found.incidents * RECEIVERS * 10
    assert found.repeats > found.incidents, "half of the answers said so"
