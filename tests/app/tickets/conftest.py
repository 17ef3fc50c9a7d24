"""A service and couriers that may call this machine, and a desk to call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import httpx
import pytest

from app.courier import Courier
from app.database import Database
from app.secrets import vault_of
from app.settings import Settings
from tests.app.tickets.desk_calls import (
    Winding,
)
from tests.conftest import serving
from tests.stand_ins.desk import Desk


@pytest.fixture(scope="module")
def loopback(settings: Settings) -> Settings:
    """Settings of an operator who lets this machine be called."""
    return settings.model_copy(update={"webhook_networks": (ip_network("127.0.0.0/8"),)})


@pytest.fixture(scope="module")
async def near(loopback: Settings) -> AsyncIterator[str]:
    from api.server import create_api

    async with serving(create_api(loopback)) as address:
        yield address


@pytest.fixture
async def http(near: str, tenant: Any) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {tenant.key}"}
    async with httpx.AsyncClient(base_url=near, headers=headers, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    found: Desk = request.param()
    async with serving(found.app()) as address:
        found.url = address
        yield found


@pytest.fixture
def courier(database: Database, loopback: Settings) -> Winding:
    """Makes couriers; `ahead` winds their clock forward."""

    def make(**ahead: float) -> Courier:
        return Courier(database, loopback, vault_of(loopback), clock=lambda: datetime.now(UTC) + timedelta(**ahead))

    return make
