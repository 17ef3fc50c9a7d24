"""A desk to call."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.conftest import serving
from tests.stand_ins.desk import Desk


@pytest.fixture
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    found: Desk = request.param()
    async with serving(found.app()) as address:
        found.url = address
        yield found
